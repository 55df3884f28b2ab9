"""Who gets to the page, and what a browser cannot be led to do there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.station import Time
from tests.web.visiting import ADA, ADDRESS, EVE, LOU, OWN, PROXY, Served, Visitor
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.interfaces.web.guard import LONGEST_BODY
from xnat_watchd.interfaces.web.visitors import COOKIE_HOLDS, LINK_HOLDS, MOST, VisitorTokens

FORM = "application/x-www-form-urlencoded"
PAUSE: dict[str, Any] = {"seen": "0"}


@pytest.fixture
def served(tmp_path: Path) -> Served:
    Ledger(open_database(tmp_path / "ledger.sqlite")).close()
    return Served(tmp_path, Time())


# -- the name and the origin -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "127.evil.com:8642", "127.0.0.1:8643", "127.0.0.1", "",
             "127.0.0.1:8642, evil.example", "localhost.:8642", "127.0.0.1:8642@evil.example"],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_refused_over_tcp(served: Served, host: str) -> None:
    answer = served.by(ADA, "loopback").get("/", {"Host": host})
    assert answer.status_code == 403
    assert answer.text == "This page is not reached under this name.\n"


def test_a_tunnel_to_the_unix_socket_may_have_any_port_but_no_other_name(served: Served) -> None:
    assert served.by(ADA).get("/", {"Host": "localhost:12345"}).status_code == 200
    assert served.by(ADA).get("/", {"Host": "[::1]:80"}).status_code == 200
    for host in ("evil.example:8642", "localhost.evil.example", "localhost:80:80", "127.0.0.2", "localhost:x"):
        assert served.by(ADA).get("/", {"Host": host}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-site"},  # another port of this machine
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:8642"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": ADDRESS},
    ],
)
def test_a_form_of_another_origin_changes_nothing(served: Served, headers: dict[str, str]) -> None:
    assert served.by(ADA).post("/pause", headers, **PAUSE).status_code == 403
    assert "Paused" not in served.by(ADA).get("/").text


@pytest.mark.parametrize("headers", [OWN, {"Origin": ADDRESS}, {**OWN, "Origin": ADDRESS}])
def test_a_form_of_ours_is_taken(served: Served, headers: dict[str, str]) -> None:
    assert served.by(ADA).post("/pause", headers, **PAUSE).status_code == 303
    assert "Paused" in served.by(ADA).get("/").text


def test_another_site_may_lead_a_person_here_and_may_load_nothing_from_here(served: Served) -> None:
    linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert served.by(ADA).get("/", linked).status_code == 200
    assert served.by(ADA).get("/static/page.js", {**linked, "Sec-Fetch-Mode": "no-cors"}).status_code == 403
    assert served.by(ADA).get("/", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
def test_no_other_method_is_answered(served: Served, method: str) -> None:
    assert served.by(ADA).send(method, "/", OWN).status_code == 405


def test_every_answer_forbids_frames_and_the_scripts_of_others(served: Served) -> None:
    ada, stranger = served.by(ADA), served.by(EVE, "loopback")
    answers = [
        ada.get("/"), ada.get("/none"), ada.get("/static/page.css"), stranger.get("/"), ada.get("/", {"Host": "x"}),
        ada.post("/item/1/retry"), ada.get("/list.csv"), ada.post("/pause", {}, **PAUSE),
    ]  # fmt: skip
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"  # or a browser says of our forms: from nowhere
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert not [name for name in answer.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118 - no dict


def test_a_body_is_a_form_and_bounded(served: Served) -> None:
    ada = served.by(ADA)
    assert ada.send("POST", "/pause", OWN, data=b"{}", content_type="application/json").status_code == 415
    assert ada.send("POST", "/pause", OWN, data=b"x" * (LONGEST_BODY + 1), content_type=FORM).status_code == 413
    assert ada.get("/list?q=" + "x" * 5000).status_code == 414
    assert ada.post("/pause", why="x" * 5000, **PAUSE).status_code == 303


# -- who -----------------------------------------------------------------------------------------------------


def test_who_is_in_no_group_sees_nothing_and_is_told_whom_to_ask(served: Served) -> None:
    for path in ("/", "/list", "/list.csv", "/item/1", "/wall", "/health"):
        answer = served.by(EVE).get(path)
        assert answer.status_code == 403
        assert "Ask root to put you into the group" in answer.text


def test_who_may_look_decides_nothing(served: Served) -> None:
    lou = served.by(LOU)
    assert lou.get("/").status_code == 200
    assert "<button" not in lou.get("/").text
    for path in ("/pause", "/resume", "/item/1.1/retry", "/item/1/skip"):
        assert lou.post(path, **PAUSE).status_code == 403
    assert "Paused" not in served.by(ADA).get("/").text


def test_over_tcp_nobody_gets_in_without_a_link(served: Served) -> None:
    answer = served.by(ADA, "loopback").get("/")
    assert answer.status_code == 401
    assert "xnat-watchd web --open" in answer.text
    assert served.by(ADA, "loopback").post("/pause", **PAUSE).status_code == 401


def link(served: Served, uid: int) -> str:
    made = served.by(uid).post("/link")
    return str(made.json["link"]).removeprefix(ADDRESS) if made.json else ""


def test_a_link_lets_a_browser_of_its_user_in_once(served: Served) -> None:
    path, browser = link(served, ADA), served.by(ADA, "loopback")
    entered = browser.get(path)
    assert (entered.status_code, entered.headers["Location"]) == (303, "/")
    cookie = entered.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert browser.get("/").status_code == 200
    assert served.by(ADA, "loopback").get(path).status_code == 403
    served.time.pass_(seconds=COOKIE_HOLDS)
    assert browser.get("/").status_code == 401


def test_who_makes_many_links_ends_nobody_elses(served: Served) -> None:
    browser = served.by(ADA, "loopback")
    browser.get(link(served, ADA))
    unused, first = link(served, ADA), link(served, LOU)
    for _ in range(MOST + 1):
        served.by(LOU, "loopback").get(link(served, LOU))
    for _ in range(MOST):
        link(served, LOU)
    assert served.by(LOU, "loopback").get(first).status_code == 403
    assert browser.get("/").status_code == 200
    assert served.by(ADA, "loopback").get(unused).status_code == 303


def test_a_browser_that_looks_keeps_its_cookie_and_one_that_does_not_loses_it(served: Served) -> None:
    browser, thief = served.by(ADA, "loopback"), served.by(LOU, "loopback")
    browser.get(link(served, ADA))
    assert "Set-Cookie" not in browser.get("/wall").headers
    for _ in range(5):
        served.time.pass_(seconds=COOKIE_HOLDS / 2)
        answer = browser.get("/wall")
        assert answer.status_code == 200
        for word in ("HttpOnly", "SameSite=Strict", f"Max-Age={COOKIE_HOLDS:.0f}"):
            assert word in answer.headers["Set-Cookie"]
    thief.client = browser.client
    served.time.pass_(seconds=COOKIE_HOLDS - 1)
    assert "Set-Cookie" not in thief.get("/wall").headers
    served.time.pass_(seconds=1)
    assert browser.get("/wall").status_code == 401


def test_a_cookie_is_renewed_for_its_user_alone_and_only_while_it_holds() -> None:
    time = Time()
    cookies = VisitorTokens(COOKIE_HOLDS, time.monotonic)
    cookie = cookies.new(ADA)
    time.pass_(seconds=COOKIE_HOLDS - 1)
    assert not cookies.renew(cookie, LOU)
    assert cookies.renew(cookie, ADA)
    assert not cookies.renew(cookie, ADA)  # it is as good as new
    time.pass_(seconds=COOKIE_HOLDS)
    assert not cookies.renew(cookie, ADA)
    assert not cookies.renew("nonsense", ADA)


def test_a_link_holds_a_minute_and_is_not_used_up_by_looking_ahead(served: Served) -> None:
    path, browser = link(served, ADA), served.by(ADA, "loopback")
    assert browser.send("HEAD", path, {}).status_code == 403
    assert browser.get(path, {"Sec-Purpose": "prefetch"}).status_code == 403
    served.time.pass_(seconds=LINK_HOLDS - 1)
    assert browser.get(path).status_code == 303
    late = link(served, ADA)
    served.time.pass_(seconds=LINK_HOLDS)
    assert browser.get(late).status_code == 403


def test_neither_link_nor_cookie_is_of_use_to_another_user_of_the_machine(served: Served) -> None:
    path = link(served, ADA)
    assert served.by(LOU, "loopback").get(path).status_code == 403
    ada = served.by(ADA, "loopback")
    ada.get(path)
    thief = served.by(LOU, "loopback")
    thief.client = ada.client  # with all of its cookies
    assert thief.get("/").status_code == 401


def test_a_connection_whose_user_is_not_known_gets_nowhere(served: Served) -> None:
    path, nobody = link(served, ADA), served.by(ADA)
    for address in ("loopback:", "127.0.0.1", "unix:", "unix:-1"):
        nobody.address = address
        answer = nobody.get("/")
        assert answer.status_code == 401
        assert "The kernel does not say whose program has connected." in answer.text
        assert nobody.get(path).status_code == 403


def test_links_are_made_over_the_unix_socket_alone(served: Served) -> None:
    browser = served.by(ADA, "loopback")
    browser.get(link(served, ADA))
    assert browser.post("/link").status_code == 404
    assert served.by(EVE).post("/link").status_code == 403


def test_a_proxy_says_who_it_is_and_nobody_else_may(served: Served) -> None:
    site = {"Host": "watchd.example.org"}
    assert '<span class="who">ada' in served.by(PROXY).get("/", {**site, "Remote-User": "ada"}).text
    assert served.by(PROXY).get("/", {**site, "Remote-User": "eve"}).status_code == 403
    for name in ("", "nobody-here", "ada, root", "ada,ada", "ada\x00"):
        answer = served.by(PROXY).get("/", {**site, "Remote-User": name})
        assert answer.status_code == 401
        assert "This machine has no user of the name" in answer.text
    assert served.by(EVE).get("/", {**site, "Remote-User": "ada"}).status_code == 403
    assert 'who">lou' in served.by(LOU).get("/", {**site, "Remote-User": "ada"}).text
    assert served.by(PROXY, "loopback").get("/", {"Remote-User": "ada"}).status_code == 401


# -- whatever is sent ------------------------------------------------------------------------------------------

PATHS = [
    "/",
    "/list",
    "/list.csv",
    "/item/",
    "/item/1",
    "/item/1.1/retry",
    "/pause",
    "/resume",
    "/enter/",
    "/link",
    "/wall",
    "/health",
    "/figures",
    "/static/",
    "/static/../../pyproject.toml",
]
FIELDS = ["state", "project", "q", "days", "before", "seen", "why", "done", "span"]
NAMES = [
    "Host",
    "Origin",
    "Cookie",
    "Remote-User",
    "Sec-Fetch-Site",
    "Sec-Fetch-Mode",
    "If-None-Match",
    "Range",
    "Content-Type",
    "Accept",
    "If-Modified-Since",
    "Transfer-Encoding",
    "X-Forwarded-For",
    "X-Forwarded-Host",
]
WORDS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=40)
HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
SENT = st.fixed_dictionaries({
    "path": st.sampled_from(PATHS), "rest": st.just("") | WORDS, "method": st.sampled_from(["GET", "HEAD", "POST"]),
    "fields": st.dictionaries(st.sampled_from(FIELDS), WORDS), "body": st.binary(max_size=300),
    "headers": st.dictionaries(st.sampled_from(NAMES), HEADER, max_size=3),
})  # fmt: skip


@settings(deadline=None)  # a machine with other work is no failure
@given(sent=SENT, uid=st.sampled_from([ADA, LOU, EVE, PROXY]), kind=st.sampled_from(["unix", "loopback"]))
def test_nothing_that_is_sent_makes_the_page_fail(shared: Served, sent: dict[str, Any], uid: int, kind: str) -> None:
    path = sent["path"] + sent["rest"].replace("?", "").replace("#", "")
    is_form = sent["method"] == "POST"
    answer = shared.by(uid, kind).send(
        sent["method"], path, {**OWN, **sent["headers"]}, query_string={} if is_form else sent["fields"],
        data=(sent["fields"] or sent["body"]) if is_form else sent["body"],
    )  # fmt: skip
    assert answer.status_code < 500 or (answer.status_code, sent["path"]) == (503, "/health"), answer.text


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Served:
    root = tmp_path_factory.mktemp("page")
    Ledger(open_database(root / "ledger.sqlite")).close()
    return Served(root, Time())


def test_a_program_of_somebody_who_may_look_gets_the_metrics_without_a_cookie_and_nothing_else(served: Served) -> None:
    for uid, code in ((ADA, 200), (LOU, 200), (EVE, 403)):
        assert served.by(uid, "loopback").get("/metrics").status_code == code
        assert served.by(uid).get("/metrics").status_code == code
        assert served.by(uid, "loopback").get("/").status_code == 401
    assert served.by(PROXY).get("/metrics").status_code == 401  # it has to say for whom
    nobody = Visitor(served.by(LOU).client, "loopback:")
    assert nobody.get("/metrics").status_code == 401
    assert served.by(LOU, "loopback").get("/metrics", {"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert served.by(LOU, "loopback").get("/metrics", {"Host": "evil.example"}).status_code == 403
