"""Alias tokens, from both dialects and from a server that says what it likes."""

from __future__ import annotations

from datetime import timedelta
from threading import Event

import pytest

from tests.adapters.gateway.gateway_kit import PLACE, Site, failure, server_at
from tests.adapters.gateway.scripted_xnat import ScriptedXnat
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.secret import Secret
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.adapters.xnat.tokens import Token, Tokens
from xnat_watchd.core.errors import AuthRefused, Permanent

ISSUE, INVALIDATE = "/data/services/tokens/issue", "/data/services/tokens/invalidate/"
ALIAS = "61e4f5db-33e0-4f06-86e7-a59217d65f5c"
CANARY = "Zyx9canary7QwZyx9canary7Qw"


def issued(site: Site) -> Token:
    with Tokens(site.server) as tokens:
        return tokens.issue()


def by(site: Site, token: Token) -> XnatServer:
    return XnatServer(site.xnat.url, user=token.alias, password=token.secret, clock=SystemClock(), stop=Event())


def test_a_token_stands_in_for_the_one_who_asked_for_it(either: Site) -> None:
    server = by(either, issued(either))
    assert server.gateway().whoami() == "tech"
    server.close()


def test_a_newer_server_tells_how_long_it_lives_and_1_6_does_not(old: Site, new: Site) -> None:
    assert issued(new).life == timedelta(days=2)
    assert issued(old).life is None


def test_it_opens_the_account_until_its_time_is_over(either: Site) -> None:
    token = issued(either)
    either.moment[0] += timedelta(days=2, seconds=-1)
    server = by(either, token)
    assert server.gateway().look(PLACE) is None
    server.close()
    either.moment[0] += timedelta(seconds=2)
    failure(AuthRefused, by(either, token).gateway().probe)


def test_one_that_is_taken_back_opens_nothing_any_more(either: Site) -> None:
    token = issued(either)
    with Tokens(by(either, token)) as tokens:
        tokens.invalidate(token.alias, token.secret)
    failure(AuthRefused, by(either, token).gateway().probe)


def test_one_that_the_server_does_not_know_may_be_taken_back_too(either: Site) -> None:
    with Tokens(either.server) as tokens:
        tokens.invalidate(ALIAS, Secret("12345678"))


def test_on_a_newer_server_it_dies_with_the_password(new: Site) -> None:  # F114
    token = issued(new)
    new.xnat.add_user("tech", "another")
    failure(AuthRefused, by(new, token).gateway().probe)


def test_its_secret_stays_out_of_the_logs_of_newer_servers(new: Site) -> None:
    token = issued(new)
    with Tokens(new.server) as tokens:
        tokens.invalidate(token.alias, token.secret)
    assert not any(token.secret.reveal() in path + query for _, path, query, _ in new.xnat.requests)


def test_asking_for_one_leaves_no_login_session_behind(either: Site) -> None:
    issued(either)
    assert either.asked("DELETE", "/data/JSESSION") == either.server.logins == 1


@pytest.mark.parametrize("status", [403, 404])
def test_a_server_that_makes_none_is_told_apart(scripted: ScriptedXnat, status: int) -> None:
    scripted.on("GET", ISSUE, status=status, content="<html><head><title>Status page</title></head><h3>no</h3></html>")
    with Tokens(server_at(scripted.url)) as tokens:
        assert "without --token" in failure(Permanent, tokens.issue).advice


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        f'"{CANARY}"',
        "[" * 50_000,
        f'{{"alias": "{ALIAS}"}}',
        f'{{"alias": "tech", "secret": "{CANARY}"}}',
        f'{{"alias": "{ALIAS}/../x", "secret": "{CANARY}"}}',
        f'{{"alias": "{ALIAS}", "secret": ["{CANARY}"]}}',
        f'{{"alias": "{ALIAS}", "secret": "{CANARY}\\r\\nX-Other: y"}}',
        f'{{"alias": "{ALIAS}", "secret": "{CANARY * 20}"}}',
    ],
)
def test_what_is_no_token_is_refused_and_not_repeated(scripted: ScriptedXnat, said: str) -> None:
    scripted.on("GET", ISSUE, content=said)
    with Tokens(server_at(scripted.url)) as tokens:
        error = failure(Permanent, tokens.issue)
    assert CANARY not in f"{error!r} {error.detail} {error.advice}"
    assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize(
    ("created", "expires", "life"),
    [
        ("1526359704410", "1526532504410", timedelta(days=2)),
        ("1526359704410", "1526359704410", None),
        ("1526532504410", "1526359704410", None),
        ('"1526359704410"', "1526532504410", None),
        ("null", "1526532504410", None),
        ("0", "1e300", None),
        ("0", "9" * 400, None),
    ],
)
def test_a_life_that_makes_no_sense_is_not_known(
    scripted: ScriptedXnat, created: str, expires: str, life: timedelta | None
) -> None:
    times = f'"created": {created}, "estimatedExpirationTime": {expires}'
    scripted.on("GET", ISSUE, content=f'{{"alias": "{ALIAS}", "secret": "{CANARY}", {times}}}')
    with Tokens(server_at(scripted.url)) as tokens:
        assert tokens.issue() == Token(ALIAS, Secret(CANARY), life)
