"""Logging in: once where it is refused, again where a session was lost, and never anywhere else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.adapters.gateway.gateway_kit import ARCHIVE, HERE, IMPORT, LOGIN, PLACE, Site, a_site, failure, server_at
from tests.adapters.gateway.scripted_xnat import Asked, ScriptedXnat, scripted_xnat
from tests.station import Time
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat import client
from xnat_watchd.adapters.xnat.gateway import XnatGateway, XnatServer
from xnat_watchd.adapters.xnat.login import Dialect
from xnat_watchd.core.errors import AuthRefused, Unavailable


def test_a_wrong_password_is_asked_about_once_whatever_the_workers_do(either: Site) -> None:
    server = server_at(either.xnat.url, password="wrong")
    for gateway in (server.gateway() for _ in range(4)):
        failure(AuthRefused, lambda gateway=gateway: gateway.look(PLACE))  # type: ignore[misc]
        failure(AuthRefused, lambda gateway=gateway: gateway.writable("P1"))  # type: ignore[misc]
    assert either.xnat.login_tries == server.logins == 1


def test_workers_that_begin_at_once_ask_about_a_wrong_password_once(either: Site) -> None:
    server = server_at(either.xnat.url, password="wrong")
    begin, refused = threading.Barrier(4), []

    def work() -> None:
        gateway = server.gateway()
        begin.wait()
        refused.append(failure(AuthRefused, lambda: gateway.look(PLACE)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(refused), either.xnat.login_tries) == (4, 1)


def test_only_a_probe_tries_a_refused_password_again(either: Site) -> None:
    server = server_at(either.xnat.url, password="wrong")
    gateway = server.gateway()
    for _ in range(3):
        failure(AuthRefused, gateway.probe)
    failure(AuthRefused, lambda: gateway.look(PLACE))
    assert either.xnat.login_tries == 3


def test_a_probe_that_is_answered_opens_the_door_for_all(either: Site) -> None:
    server = server_at(either.xnat.url, password="tomorrow")
    first, second = server.gateway(), server.gateway()
    failure(AuthRefused, first.probe)
    either.xnat.add_user("tech", "tomorrow")
    either.xnat.grant("tech", "P1", "member")
    failure(AuthRefused, lambda: second.look(PLACE))
    first.probe()
    assert second.look(PLACE) is None
    server.close()


def test_a_new_credential_is_tried_at_once(either: Site) -> None:
    server = server_at(either.xnat.url, password="wrong")
    gateway = server.gateway()
    failure(AuthRefused, gateway.probe)
    server.use_credential("tech", Secret("secret"))
    assert gateway.look(PLACE) is None
    server.close()


def test_a_session_of_the_old_credential_is_left(either: Site) -> None:
    either.gateway.probe()
    either.server.use_credential("tech", Secret("wrong"))
    failure(AuthRefused, lambda: either.gateway.look(PLACE))


def test_on_1_6_the_session_that_counts_begins_by_basic(old: Site) -> None:
    """The form answers 200 there with a cookie that is not logged in (seen on 1.6.4)."""
    assert old.gateway.whoami() == "tech"
    assert [(method, path) for method, path, *_ in old.xnat.requests] == [
        ("PUT", "/data/services/auth"), ("GET", "/data/auth"), ("GET", "/data/JSESSION"), ("GET", "/data/auth"),
        ("GET", "/data/version"),
    ]  # fmt: skip


def test_a_server_that_was_a_1_6_is_asked_by_basic_at_once(old: Site) -> None:
    old.gateway.probe()
    before = old.xnat.login_tries
    old.server.gateway().probe()
    assert (old.asked(*LOGIN), old.xnat.login_tries - before) == (1, 1)


def test_a_password_that_was_changed_meanwhile_is_tried_once(either: Site) -> None:
    either.gateway.probe()
    either.xnat.add_user("tech", "tomorrow")
    before = either.xnat.login_tries
    failure(AuthRefused, either.server.gateway().probe)
    assert either.xnat.login_tries - before == 1


def test_a_form_that_lets_everybody_in_is_no_proof_of_a_password(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    scripted.on("GET", "/data/auth", status=401)
    scripted.on("GET", "/data/JSESSION", status=401)
    failure(AuthRefused, gateway.probe)
    assert (scripted.count(*LOGIN), scripted.count("GET", "/data/JSESSION")) == (1, 1)
    failure(AuthRefused, lambda: gateway.look(PLACE))
    assert scripted.count("GET", "/data/JSESSION") == 1


def test_the_cookie_of_the_form_is_not_sent_with_the_password(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    """A cookie of one user beside the credentials of another ends the session of the cookie (F3)."""
    says = iter([(401, ""), (200, "User 'tech' is logged in.")])

    def who(asked: Asked) -> None:
        status, content = next(says)
        asked.answer(status, content)

    sent: list[str] = []

    def begin(asked: Asked) -> None:
        sent.append(asked.headers.get("Cookie", ""))
        asked.answer(200, "FRESH", Set_Cookie="JSESSIONID=FRESH; Path=/")

    scripted.on("GET", "/data/auth", who)
    scripted.on("GET", "/data/JSESSION", begin)
    assert gateway.whoami() == "tech"
    assert sent == [""]
    assert scripted.cookies[-1] == "JSESSIONID=FRESH"


def test_an_unknown_user_is_refused(either: Site) -> None:
    server = XnatServer(
        either.xnat.url, user="nobody", password=Secret("x"), clock=SystemClock(), stop=threading.Event()
    )
    failure(AuthRefused, server.gateway().probe)


def test_a_login_that_the_server_cannot_answer_is_no_refusal(either: Site) -> None:
    either.xnat.faults.on(*LOGIN).refuse(503, "busy", **{"Retry-After": "30"})
    error = failure(Unavailable, either.gateway.probe)
    assert isinstance(error, Unavailable)
    assert (error.after, error.spoke) == (timedelta(seconds=30), False)
    either.gateway.probe()


@pytest.mark.parametrize("status", [302, 400, 403, 404, 429, 500, 502])
def test_nothing_but_a_refusal_is_a_refusal(scripted: ScriptedXnat, gateway: XnatGateway, status: int) -> None:
    scripted.on(*LOGIN, status=status, Location="/app/template/Login.vm")
    failure(Unavailable, gateway.probe)


def test_a_login_page_is_no_login(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    scripted.on(*LOGIN, content="<!DOCTYPE html><html>Log in", Set_Cookie="JSESSIONID=GUEST")
    failure(Unavailable, gateway.probe)


@pytest.mark.parametrize("said", ["User 'guest' is logged in", "User 'other' is logged in", "Welcome", ""])
def test_a_login_as_somebody_else_is_no_login(scripted: ScriptedXnat, gateway: XnatGateway, said: str) -> None:
    scripted.on("GET", "/data/auth", content=said)
    failure(Unavailable, gateway.probe)
    assert scripted.count("GET", "/data/projects") == 0


def test_a_cookie_that_does_not_hold_is_no_login(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    scripted.on("GET", "/data/auth", status=401)
    failure(Unavailable, gateway.probe)
    assert scripted.logins == 2  # by the form, and by Basic


def test_a_name_may_be_spelt_as_the_directory_spells_it(scripted: ScriptedXnat, gateway: XnatGateway) -> None:  # F113
    scripted.on("GET", "/data/auth", content="User 'Tech' is logged in.")
    assert gateway.whoami() == "Tech"


def test_an_alias_token_logs_its_owner_in_and_may_be_taken_back(either: Site) -> None:
    auth = ("tech", "secret")
    token = requests.get(f"{either.xnat.url}/data/services/tokens/issue", auth=auth, timeout=10).json()
    server = XnatServer(
        either.xnat.url,
        user=token["alias"],
        password=Secret(token["secret"]),
        clock=SystemClock(),
        stop=threading.Event(),
    )
    gateway = server.gateway()
    assert gateway.whoami() == "tech"
    assert either.asked(*LOGIN) == 0  # that is for passwords
    path = f"/data/services/tokens/invalidate/{token['alias']}/{token['secret']}"
    assert requests.get(either.xnat.url + path, auth=auth, timeout=10).status_code == 200
    error = failure(AuthRefused, server.gateway().probe)
    assert str(error) == "XNAT refuses the user or the password"
    server.close()


def test_an_alias_token_that_makes_us_a_guest_is_no_login(scripted: ScriptedXnat) -> None:
    alias = "61e4f5db-33e0-4f06-86e7-a59217d65f5c"
    scripted.on("GET", "/data/JSESSION", Set_Cookie="JSESSIONID=GUEST; Path=/")
    scripted.on("GET", "/data/auth", content="User 'guest' is logged in")
    failure(Unavailable, server_at(scripted.url, user=alias).gateway().probe)


def test_each_gateway_has_a_login_session_of_its_own(scripted: ScriptedXnat) -> None:  # F62
    server = server_at(scripted.url)
    for _ in range(2):
        server.gateway().probe()
    assert scripted.logins == 2
    assert {one for one in scripted.cookies if one} == {"JSESSIONID=SESSION0001", "JSESSIONID=SESSION0002"}
    server.close()
    assert scripted.count("DELETE", "/data/JSESSION") == 2


def test_an_expired_session_is_begun_anew_without_a_word(either: Site, monkeypatch: pytest.MonkeyPatch) -> None:  # F106
    monkeypatch.setattr(client, "STAYS_CONFIRMED", 0.0)  # the gateway's clock does not jump as the site's does
    assert either.gateway.look(PLACE) is None
    either.moment[0] += timedelta(minutes=16)
    assert either.gateway.look(PLACE) is None
    either.moment[0] += timedelta(minutes=16)
    either.upload()
    either.moment[0] += timedelta(minutes=16)
    either.archive()
    assert (either.server.logins, either.gateway.look(PLACE)) == (4, None)


@pytest.mark.parametrize("expiry", ['"1795341250219,900000"', "1795341250219,900000", '"soon"', "", None])
def test_a_session_that_has_certainly_expired_is_not_tried(scripted: ScriptedXnat, expiry: str | None) -> None:
    """XNAT says with every answer how long a login session lasts (F4). What it does not say is found out."""
    headers: dict[str, Any] = (
        {} if expiry is None else {"Set_Cookie": f"SESSION_EXPIRATION_TIME={expiry}; Version=1; Path=/"}
    )
    scripted.on("GET", "/data/projects", content='{"ResultSet": {"Result": [{"ID": "P1"}]}}', **headers)
    time = Time()
    server = server_at(scripted.url, clock=time)
    gateway = server.gateway()
    assert gateway.listed()
    time.pass_(minutes=14)
    assert gateway.listed()
    time.pass_(minutes=14)
    assert gateway.listed()
    assert scripted.logins == 1
    time.pass_(minutes=16)
    assert gateway.listed()
    assert scripted.logins == (2 if expiry and "900000" in expiry else 1)
    server.close()


def test_a_server_that_was_new_is_asked_for_its_version_once_at_the_next_login(tmp_path: Path) -> None:
    with a_site(tmp_path, "1.8") as site:
        site.gateway.probe()
        begin = len(site.xnat.requests)
        site.server.gateway().probe()
        assert [path for _, path, _, _ in site.xnat.requests[begin:]] == [
            "/data/services/auth", "/data/auth", "/xapi/siteConfig/buildInfo",
        ]  # fmt: skip


@pytest.mark.parametrize("said", ["<html>", '{"version": "1.6.5"}'])
def test_a_server_that_was_new_and_does_not_say_so_any_more_is_asked_in_full(scripted: ScriptedXnat, said: str) -> None:
    server = server_at(scripted.url)
    server.dialect = Dialect("1.8", "1.8.10")
    scripted.on("GET", "/xapi/siteConfig/buildInfo", content=said)
    scripted.on("GET", "/data/version", content="1.6.5")
    server.gateway().probe()
    assert server.dialect == Dialect("1.6", "1.6.5")
    server.close()


def test_an_upload_that_waits_for_its_turn_is_sent_as_the_server_then_wants_it(
    scripted: ScriptedXnat, a_zip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server was upgraded meanwhile: if 1.8 gets the request of 1.6, it takes it by another importer (F131, F149)."""
    monkeypatch.setattr(client, "STAYS_CONFIRMED", 0.0)
    upgraded, server = threading.Event(), server_at(scripted.url, read_timeout=10.0)
    _upgraded_when(scripted, upgraded.is_set)
    scripted.on("POST", IMPORT, content=HERE)
    with ExitStack() as turn:
        turn.enter_context(server.turns.importing(alone=True, waiting=lambda: None))

        def waits(_: int, size: int) -> None:
            if not size:
                upgraded.set()
                turn.close()

        server.gateway().upload(PLACE, a_zip, waits, alone=False)
    assert (server.dialect or Dialect("1.6")).name == "1.8"
    assert scripted.count("POST", f"{IMPORT}.*import-handler=DICOM-zip") == 1
    server.close()


def test_a_session_is_merged_as_the_server_wants_it_that_was_upgraded_meanwhile(
    scripted: ScriptedXnat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `overwrite`, which 1.6 needs, 1.8 ignores conflicts (F196)."""
    monkeypatch.setattr(client, "STAYS_CONFIRMED", 0.0)
    upgraded, server = threading.Event(), server_at(scripted.url, read_timeout=10.0)
    _upgraded_when(scripted, upgraded.is_set)
    scripted.on("POST", ARCHIVE, content=HERE)
    gateway = server.gateway()
    gateway.probe()
    assert server.dialect == Dialect("1.6", "1.6.5")
    upgraded.set()
    gateway.archive(PLACE, "S", "L", join=True, pipelines=True)
    assert scripted.count("POST", f"{ARCHIVE}.*overwrite") == 0
    assert scripted.count("POST", f"{ARCHIVE}.*event_reason") == 1
    server.close()


def _upgraded_when(scripted: ScriptedXnat, is_upgraded: Callable[[], bool]) -> None:
    """Have the server be a 1.6 until then, and a 1.8 afterwards, which knows no login session of the time before."""

    def version(asked: Asked) -> None:
        asked.answer(404) if is_upgraded() else asked.answer(200, "1.6.5")

    def who(asked: Asked) -> None:
        known = not is_upgraded() or "SESSION0001" not in (asked.headers.get("Cookie") or "")
        asked.answer(200, "User 'tech' is logged in") if known else asked.answer(401)

    scripted.on("GET", "/data/version", version)
    scripted.on("GET", "/data/auth", who)


def test_a_session_that_is_always_lost_is_the_servers_trouble(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    scripted.on("GET", "/data/projects", status=401)
    failure(Unavailable, lambda: gateway.writable("P1"))
    assert scripted.logins == 2


def test_a_guests_empty_list_is_never_believed(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    """With `requireLogin` off an expired session becomes a guest's, with a 200 and a new cookie (F116)."""
    rows = iter([("GUEST", "[]"), ("", '[{"ID": "P1"}]')])

    def reply(asked: Asked) -> None:
        cookie, listed = next(rows)
        headers = {"Set_Cookie": f"JSESSIONID={cookie}; Path=/"} if cookie else {}
        asked.answer(200, f'{{"ResultSet": {{"Result": {listed}}}}}', **headers)

    scripted.on("GET", "/data/projects", reply)
    assert gateway.writable("P1")
    assert scripted.logins == 2


def test_a_guest_for_ever_is_the_servers_trouble(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    scripted.on("GET", "/data/projects", content="{}", Set_Cookie="JSESSIONID=GUEST; Path=/")
    failure(Unavailable, lambda: gateway.writable("P1"))


def test_no_credential_and_no_body_follow_a_redirect(scripted: ScriptedXnat, a_zip: str) -> None:  # F286
    with scripted_xnat() as elsewhere:
        server = server_at(scripted.url)
        gateway = server.gateway()
        scripted.on("POST", IMPORT, status=307, Location=f"{elsewhere.url}{IMPORT}")
        scripted.on("GET", HERE, status=302, Location=f"{elsewhere.url}/app/template/Login.vm")
        error = failure(Unavailable, lambda: gateway.upload(PLACE, a_zip, lambda _, __: None, alone=False))
        assert error.spoke
        error = failure(Unavailable, lambda: gateway.look(PLACE))
        assert "browser" in error.advice
        server.use_credential("tech", Secret("secret"))
        scripted.on(*LOGIN, status=307, Location=f"{elsewhere.url}/data/services/auth")
        scripted.replies.insert(0, scripted.replies.pop())
        failure(Unavailable, gateway.probe)
        assert elsewhere.asked == []


def test_the_environment_sets_no_proxy(
    scripted: ScriptedXnat, gateway: XnatGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    gateway.probe()
    assert scripted.logins == 1


def test_a_proxy_that_is_given_is_used() -> None:
    with scripted_xnat() as proxy:
        server = server_at("http://xnat.invalid", proxies={"http": proxy.url})
        assert server.gateway().whoami() == "tech"
        server.close()
        assert proxy.asked[0] == ("PUT", "http://xnat.invalid/data/services/auth")
