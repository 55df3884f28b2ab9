"""A message reaches a mail server and a webhook; whatever they do, it is over soon, and what they said is not told."""

from __future__ import annotations

import email
import email.policy
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from json import loads
from pathlib import Path

import pytest

from tests.authorities import LEAF, SOUND, Authorities
from tests.channels import GOODBYES, Other, hook, listening, mail_server
from xnat_watchd.adapters import apprise_channel, mail, webhook
from xnat_watchd.adapters.credentials import secret_lines
from xnat_watchd.adapters.mail import MailRoute, composed, send
from xnat_watchd.adapters.secret import Credential, Secret
from xnat_watchd.core.errors import NotSent, PartlySent, Refusal

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOON = 0.5  #: seconds that a message may take in these tests
LONGER = 5.0  #: seconds that a busy machine adds to them
FIELDS = {"text": "XNAT does not answer", "station": "mr1"}


def route(other: Other, **changed: object) -> MailRoute:
    given = {
        "server": f"127.0.0.1:{other.port}", "sender": "mr1@example.org",
        "to": ("a@example.org", "b@example.org"), "longest": SOON,
    }  # fmt: skip
    return MailRoute(**{**given, **changed})  # type: ignore[arg-type]


def mailed(where: MailRoute) -> None:
    send(where, composed(where, "[xnat-watchd mr1] P1", "Größe\n.\nend\n", "1.mr1", AT))


# -- webhook -----------------------------------------------------------------------------------------------


def test_a_webhook_gets_the_message_as_json() -> None:
    with listening(Other("takes it"), hook) as other:
        webhook.post(f"http://127.0.0.1:{other.port}/x?y=1", FIELDS, SOON)
    head, _, body = other.got[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /x?y=1 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{other.port}".encode() in head
    assert loads(body) == FIELDS


def test_a_ping_has_no_content() -> None:
    with listening(Other("takes it"), hook) as other:
        webhook.post(f"http://127.0.0.1:{other.port}/ping", {}, SOON)
    assert other.got[0].endswith(b"\r\n\r\n")


def test_an_answer_without_an_end_is_not_read() -> None:
    with listening(Other("endless body"), hook) as other:
        webhook.post(f"http://127.0.0.1:{other.port}/x", FIELDS, SOON)


@pytest.mark.parametrize(
    "behaviour", ["hangs", "drips", "drops at once", "drops", "500", "elsewhere", "nonsense", "endless headers"]
)
def test_a_webhook_that_misbehaves_is_over_soon(behaviour: str) -> None:
    with listening(Other(behaviour), hook) as other:
        began = time.monotonic()
        with pytest.raises(NotSent) as told:
            webhook.post(f"http://127.0.0.1:{other.port}/token", FIELDS, SOON)
        assert time.monotonic() - began < SOON + LONGER
    assert len(other.got) == 1
    assert "token" not in str(told.value)
    assert "Secret" not in str(told.value)


def test_a_webhook_that_nobody_serves_is_told() -> None:
    with listening(Other("takes it"), hook) as other:
        pass
    with pytest.raises(NotSent, match="cannot be reached"):
        webhook.post(f"http://127.0.0.1:{other.port}/x", FIELDS, SOON)


# -- mail --------------------------------------------------------------------------------------------------


def test_a_mail_arrives_as_it_was_written() -> None:
    with listening(Other("takes it"), mail_server) as other:
        mailed(route(other))
    (sent,) = other.mails
    parsed = email.message_from_bytes(sent.removesuffix(b".\r\n"), policy=email.policy.default)
    assert parsed["Subject"] == "[xnat-watchd mr1] P1"
    assert parsed["To"] == "a@example.org, b@example.org"
    assert parsed["Message-ID"] == "<1.mr1@example.org>"
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert b"rcpt to:<b@example.org>\r\n" in [line.lower() for line in other.got]  # Python 3.13 writes small letters
    assert b"AUTH" not in b"".join(other.got)


@pytest.mark.parametrize("behaviour", ["hangs", "drips", "drops at once", "drops", "refuses", "500", "knows nobody"])
def test_a_mail_server_that_misbehaves_is_over_soon(behaviour: str) -> None:
    with listening(Other(behaviour), mail_server) as other:
        began = time.monotonic()
        with pytest.raises(NotSent) as told:
            mailed(route(other))
        assert time.monotonic() - began < SOON + LONGER
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("tried", [mailed, mail.greet])
def test_of_a_mail_server_that_talks_without_an_end_little_is_read(tried: Callable[[MailRoute], None]) -> None:
    with listening(Other("talks for ever"), mail_server) as other, pytest.raises(NotSent, match="Disconnected"):
        tried(route(other, longest=LONGER))
    assert other.said < 16 * 1024 * 1024  # what the kernel keeps for both sides


def test_with_tls_a_mail_server_may_not_say_as_much_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authorities = Authorities(tmp_path)
    root = authorities.sign("root", SOUND)
    authorities.sign("leaf", LEAF, by="root")
    monkeypatch.setattr(mail, "is_loopback", lambda _: False)
    tls = authorities.context("leaf")
    with listening(Other("talks much, and again with TLS", tls), mail_server) as other:
        where = route(
            other, server=f"localhost:{other.port}", tls=ssl.create_default_context(cafile=root), longest=LONGER
        )
        with pytest.raises(NotSent, match="Disconnected"):
            mailed(where)
    assert b"".join(other.got).upper().count(b"EHLO") == 2


@pytest.mark.parametrize("end", [*GOODBYES, "drops at the end"])
def test_once_a_mail_is_taken_nothing_that_the_server_does_counts(end: str) -> None:
    with listening(Other(end), mail_server) as other:
        mailed(route(other))
    assert len(other.mails) == 1


def test_where_an_address_is_refused_it_is_told_that_the_others_have_the_mail() -> None:
    with listening(Other("knows a"), mail_server) as other, pytest.raises(PartlySent) as told:
        mailed(route(other))
    assert "refuses 1 of 2 addresses" in str(told.value)
    assert "secret" not in str(told.value)
    assert len(other.mails) == 1


def test_beyond_this_machine_nothing_is_sent_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "is_loopback", lambda _: False)
    login = Credential("user", Secret("hidden"), "a test")
    with listening(Other("takes it"), mail_server) as other, pytest.raises(NotSent):
        mailed(route(other, credential=login))
    assert other.mails == []
    assert b"AUTH" not in b"".join(other.got)


def test_beyond_this_machine_a_mail_goes_by_tls_with_the_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authorities = Authorities(tmp_path)
    root = authorities.sign("root", SOUND)
    authorities.sign("leaf", LEAF, by="root")
    monkeypatch.setattr(mail, "is_loopback", lambda _: False)
    with listening(Other("takes it", authorities.context("leaf")), mail_server) as other:
        where = route(
            other, server=f"localhost:{other.port}", credential=Credential("user", Secret("hidden"), "a test"),
            tls=ssl.create_default_context(cafile=root), longest=LONGER,
        )  # fmt: skip
        mailed(where)
    assert len(other.mails) == 1
    assert b"AUTH PLAIN" in b"".join(other.got)


def test_a_mail_server_with_a_certificate_of_its_own_gets_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authorities = Authorities(tmp_path)
    authorities.sign("leaf", LEAF)
    monkeypatch.setattr(mail, "is_loopback", lambda _: False)
    with listening(Other("takes it", authorities.context("leaf")), mail_server) as other, pytest.raises(NotSent):
        mailed(route(other, server=f"localhost:{other.port}", longest=LONGER))
    assert other.mails == []


# -- only tried out ----------------------------------------------------------------------------------------


def test_a_server_is_tried_out_without_a_message() -> None:
    with listening(Other("takes it"), mail_server) as posts, listening(Other("takes it"), hook) as web:
        mail.greet(route(posts))
        webhook.reach(f"http://127.0.0.1:{web.port}/token", SOON)
    assert (posts.mails, web.got) == ([], [])
    assert b"rcpt" not in b"".join(posts.got).lower()


@pytest.mark.parametrize("behaviour", ["hangs", "drips", "drops at once", "refuses"])
def test_a_mail_server_that_would_take_none_is_told_when_it_is_tried_out(behaviour: str) -> None:
    with listening(Other(behaviour), mail_server) as other, pytest.raises(NotSent):
        mail.greet(route(other))


def test_beyond_this_machine_a_server_that_is_tried_out_must_speak_tls_and_is_known_by_its_certificate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mail, "is_loopback", lambda _: False)
    login = Credential("user", Secret("hidden"), "a test")
    authorities = Authorities(tmp_path)
    authorities.sign("leaf", LEAF)
    tls = authorities.context("leaf")
    with listening(Other("takes it"), mail_server) as plain, pytest.raises(NotSent):
        mail.greet(route(plain, credential=login))
    with listening(Other("takes it", tls), mail_server) as unknown, pytest.raises(NotSent, match="SSLCert"):
        mail.greet(route(unknown, server=f"localhost:{unknown.port}", credential=login, longest=LONGER))
    assert not [sent for other in (plain, unknown) for sent in other.got if b"AUTH" in sent.upper()]


# -- apprise -----------------------------------------------------------------------------------------------

PATIENCE = 20.0  #: seconds that starting a process may take on a busy machine


def addresses(*urls: str) -> list[Secret]:
    return [Secret(url) for url in urls]


def test_a_message_arrives_by_apprise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "apprise.py").write_text("raise SystemExit(0)")
    monkeypatch.chdir(tmp_path)  # where somebody types a command, nothing is imported from
    with listening(Other("takes it"), hook) as one, listening(Other("takes it"), hook) as two:
        urls = addresses(*(f"json://127.0.0.1:{other.port}/token" for other in (one, two)))
        apprise_channel.notify("chat", urls, "[xnat-watchd mr1] P1", "Größe\nend\n", PATIENCE)
    for other in (one, two):
        (got,) = other.got
        told = loads(got.partition(b"\r\n\r\n")[2])
        assert (told["title"], told["message"].strip()) == ("[xnat-watchd mr1] P1", "Größe\nend")


def test_apprise_gets_neither_the_login_for_xnat_nor_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNAT_WATCHD_XNAT__PASSWORD", "secret")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with listening(Other("takes it"), hook) as other:
        apprise_channel.notify("chat", addresses(f"json://127.0.0.1:{other.port}/"), "subject", "body", PATIENCE)
    assert len(other.got) == 1
    assert (
        not {"XNAT_WATCHD_XNAT__PASSWORD", "HTTP_PROXY", "CREDENTIALS_DIRECTORY"}
        & apprise_channel._environment().keys()
    )


@pytest.mark.parametrize("behaviour", ["500", "drops", "nonsense"])
def test_a_service_behind_apprise_that_takes_nothing_is_told_without_its_address(behaviour: str) -> None:
    with listening(Other(behaviour), hook) as other, pytest.raises(NotSent) as told:
        apprise_channel.notify("chat", addresses(f"json://127.0.0.1:{other.port}/token"), "subject", "body", PATIENCE)
    assert "token" not in str(told.value)


def test_a_service_behind_apprise_that_drips_is_over_soon() -> None:
    began = time.monotonic()
    with listening(Other("drips"), hook) as other, pytest.raises(NotSent, match="does not answer"):
        apprise_channel.notify("chat", addresses(f"json://127.0.0.1:{other.port}/"), "subject", "body", 3.0)
    assert time.monotonic() - began < 3.0 + LONGER


@pytest.mark.parametrize("urls", [(), ("nonsense-token",), ("json://localhost", "token://")])
def test_addresses_that_apprise_does_not_know_are_told_without_repeating_them(urls: tuple[str, ...]) -> None:
    with pytest.raises(Refusal) as told:
        apprise_channel.recognise("chat", addresses(*urls), PATIENCE)
    assert "chat" in str(told.value)
    assert "token" not in f"{told.value}"


def test_apprise_that_is_not_installed_is_told_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise_channel, "LIBRARY", "no_such_library")
    with pytest.raises(Refusal, match="apprise is not installed") as told:
        apprise_channel.recognise("chat", addresses("json://localhost"), PATIENCE)
    assert "pip install 'xnat-watchd[apprise]'" in told.value.advice


def test_a_file_of_addresses_is_for_its_user_alone(tmp_path: Path) -> None:
    file = tmp_path / "chat.url"
    file.write_text("# the chat of the team\nslack://token\n\n  json://other \n")
    for mode in (0o644, 0o640, 0o620):
        file.chmod(mode)
        with pytest.raises(Refusal, match="other users of this machine may read or change it"):
            secret_lines(file)
    file.chmod(0o600)
    assert [one.reveal() for one in secret_lines(file)] == ["slack://token", "json://other"]
    file.write_bytes(b"\xff")
    for wrong in (file, tmp_path / "missing.url"):
        with pytest.raises(Refusal):
            secret_lines(wrong)
