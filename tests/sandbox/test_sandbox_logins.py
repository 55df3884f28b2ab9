"""Coming in: passwords, cookies, expiry, lockout, tokens (F1 to F7)."""

from __future__ import annotations

import re

import pytest

from tests.sandbox.kit import Clock, Visitor, reason
from xnat_watchd.sandbox import Sandbox

AUTH, WHO, JSESSION = "/data/services/auth", "/data/auth", "/data/JSESSION"


def form(**more: str) -> dict[str, str]:
    return {"username": "tech", "password": "secret", **more}


def without_password(visitor: Visitor) -> None:
    visitor.http.auth = None
    visitor.http.cookies.clear()


def test_a_login_by_form_gives_a_cookie_and_on_1_8_the_session_id_as_body(new: Visitor) -> None:  # F101
    without_password(new)
    answer = new.ask("PUT", AUTH, data=form())
    assert (answer.status_code, answer.text) == (200, answer.cookies["JSESSIONID"])
    assert new.get(WHO).text == "User 'tech' is logged in"


def test_the_form_of_1_6_gives_a_cookie_that_is_not_logged_in(old: Visitor) -> None:  # F5, F78
    without_password(old)
    answer = old.ask("PUT", AUTH, data=form())
    assert (answer.status_code, answer.text) == (200, "")
    assert answer.cookies["JSESSIONID"]
    for path in (WHO, "/data/projects"):
        refused = old.get(path)
        assert (refused.status_code, "WWW-Authenticate" in refused.headers) == (401, False)


def test_basic_begins_a_session_on_both(either: Visitor) -> None:  # F1
    begun = either.get(JSESSION)
    assert begun.text == begun.cookies["JSESSIONID"]
    either.http.auth = None
    assert either.get(WHO).text.startswith("User 'tech' is logged in")


def test_every_try_of_a_password_is_counted_and_no_question_in_a_session_is(either: Visitor) -> None:
    either.http.auth = ("tech", "no")
    either.get(JSESSION)
    either.ask("PUT", AUTH, data=form(password="no"))
    either.http.auth = ("tech", "secret")
    either.get(JSESSION)
    either.http.auth = None
    either.get(WHO)
    assert either.xnat.login_tries == 3


def test_a_wrong_password_by_form_is_500_on_1_6_and_401_on_1_8(old: Visitor, new: Visitor) -> None:  # F5, F101
    without_password(old)
    without_password(new)
    bad, unknown = old.ask("PUT", AUTH, data=form(password="no")), old.ask("PUT", AUTH, data=form(username="nobody"))
    assert (bad.status_code, reason(bad)) == (500, "Bad credentials")
    assert (unknown.status_code, reason(unknown)) == (500, "Missing login method parameter.")
    assert new.ask("PUT", AUTH, data=form(password="no")).status_code == 401


def test_every_answer_carries_the_expiry_of_the_session(either: Visitor) -> None:  # F4
    value = either.get(WHO).cookies["SESSION_EXPIRATION_TIME"]
    assert re.fullmatch(r'"1795341250219,900000"', value)


def test_somebody_without_credentials_gets_401_with_a_challenge(either: Visitor) -> None:  # F2, F3, F102
    without_password(either)
    answer = either.get("/data/projects")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_a_wrong_basic_password_is_401_and_on_1_6_without_a_challenge(old: Visitor, new: Visitor) -> None:  # F2, F102
    for visitor, challenges in ((old, False), (new, True)):
        visitor.http.auth = ("tech", "no")
        answer = visitor.get("/data/projects")
        assert (answer.status_code, "WWW-Authenticate" in answer.headers) == (401, challenges)
        assert "Login attempt failed. Please try again." in answer.text


def test_a_session_dies_after_fifteen_idle_minutes(either: Visitor, clock: Clock) -> None:  # F4, F107
    either.get(JSESSION)
    either.http.auth = None
    for minutes in (14, 14):
        clock.move(minutes=minutes)
        assert either.get("/data/projects").status_code == 200
    clock.move(minutes=16)
    assert either.get("/data/projects").status_code == 401


def test_a_dead_cookie_with_a_good_password_gets_a_new_session(either: Visitor, clock: Clock) -> None:  # F3, F103
    first = either.get(WHO).cookies["JSESSIONID"]
    clock.move(minutes=16)
    again = either.get(WHO)
    assert again.status_code == 200
    assert again.cookies["JSESSIONID"] != first


def test_1_6_uses_the_cookie_where_the_password_is_wrong(old: Visitor) -> None:  # F3
    old.get(WHO)
    old.http.auth = ("tech", "no")
    assert old.get("/data/projects").status_code == 200


def test_another_users_password_kills_the_session_of_the_cookie(old: Visitor) -> None:  # F3
    first = old.get(WHO).cookies["JSESSIONID"]
    old.http.auth = ("root", "secret")
    assert old.get(WHO).text == "User 'root' is logged in."
    without_password(old)
    assert old.ask("GET", "/data/projects", cookies={"JSESSIONID": first}).status_code == 401


def test_deleting_the_session_ends_it(either: Visitor) -> None:  # F1
    first = either.get(WHO).cookies["JSESSIONID"]
    assert either.ask("DELETE", JSESSION).status_code == 200
    without_password(either)
    assert either.ask("GET", "/data/projects", cookies={"JSESSIONID": first}).status_code == 401


def test_jsession_gives_a_guest_session_to_anyone_on_1_8_only(old: Visitor, new: Visitor) -> None:  # F103
    without_password(old)
    without_password(new)
    assert old.get(JSESSION).status_code == 401
    guest = new.get(JSESSION).text
    assert re.fullmatch(r"[0-9A-F]{32}", guest)
    assert new.get(JSESSION).text == guest
    assert new.get(WHO).status_code == 401


def test_twenty_wrong_passwords_lock_the_account_for_an_hour(new: Visitor, clock: Clock) -> None:  # F107
    without_password(new)
    for _ in range(20):
        assert new.ask("PUT", AUTH, data=form(password="no")).status_code == 401
    assert new.ask("PUT", AUTH, data=form()).status_code == 401
    clock.move(hours=1, seconds=1)
    assert new.ask("PUT", AUTH, data=form()).status_code == 200


def test_a_browser_is_sent_to_the_login_page_on_1_8(new: Visitor) -> None:  # F104
    without_password(new)
    answer = new.ask("GET", "/data/projects", headers={"User-Agent": "Mozilla/5.0"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/app/template/Login.vm")


def test_a_browser_cannot_change_anything_without_a_token(either: Visitor) -> None:  # F7
    either.get(WHO)
    either.http.auth = None
    answer = either.ask("PUT", "/data/projects/P1/subjects/S1", headers={"User-Agent": "Mozilla/5.0"})
    assert answer.status_code == 500
    assert "INVALID CSRF" in reason(answer)


@pytest.mark.parametrize("after", [401, 403])
def test_an_alias_token_works_until_it_is_invalidated(old: Visitor, new: Visitor, after: int) -> None:  # F6, F109
    visitor = new if after == 401 else old
    token = visitor.get("/data/services/tokens/issue").json()
    assert ("estimatedExpirationTime" in token) == (visitor is new)
    with Visitor(visitor.xnat, token["alias"], token["secret"]) as stand_in:
        assert "'tech'" in stand_in.get(WHO).text
        pair = f"{token['alias']}/{token['secret']}"
        assert stand_in.get(f"/data/services/tokens/validate/{pair}").json() == {"valid": "tech"}
        assert stand_in.get(f"/data/services/tokens/invalidate/{pair}").json() == {"result": "OK"}
    with Visitor(visitor.xnat, token["alias"], token["secret"]) as stand_in:
        assert stand_in.get(WHO).status_code == after


def test_only_a_site_admin_makes_tokens_for_others(either: Visitor) -> None:  # F110
    path = "/data/services/tokens/issue/user/outsider"
    assert either.get(path).status_code == 403
    with Visitor(either.xnat, "root") as root:
        assert root.get(path).status_code == 200


def test_the_version_tells_the_dialects_apart(old: Visitor, new: Visitor) -> None:  # F2, F8, F112
    assert (old.get("/data/version").text, new.get("/data/version").status_code) == ("1.6.5", 404)
    assert old.get("/xapi/siteConfig/buildInfo").status_code == 404
    assert new.get("/xapi/siteConfig/buildInfo").json()["version"] == "1.8.10"
    assert new.get("/xapi/users/username").text == "tech"


def test_requests_are_remembered_in_order(either: Visitor) -> None:
    either.get("/data/version", x="1")
    either.ask("PUT", AUTH, data=form(password="no"))
    assert [seen[:3] for seen in either.xnat.requests] == [("GET", "/data/version", "x=1"), ("PUT", AUTH, "")]


def test_a_stopped_sandbox_can_be_started_again(either: Visitor) -> None:
    xnat: Sandbox = either.xnat
    either.get(WHO)
    xnat.stop()
    assert len(xnat.requests) == 1
    xnat.start()
    assert either.get(WHO).status_code == 200
