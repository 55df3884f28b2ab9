"""A message reaches a mail server and a webhook; whatever they do, it is over soon, and what they said is not told."""

from __future__ import annotations

import email
import email.policy
import ssl
import time
from datetime import UTC, datetime
from json import loads
from pathlib import Path

import pytest

from tests.authorities import LEAF, SOUND, Authorities
from tests.channels import Other, hook, listening, mail_server
from xnat_watchd.adapters import mail, webhook
from xnat_watchd.adapters.mail import MailRoute, composed, send
from xnat_watchd.adapters.secret import Credential, Secret
from xnat_watchd.core.errors import NotSent

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
    assert b"rcpt TO:<b@example.org>\r\n" in other.got
    assert b"AUTH" not in b"".join(other.got)


@pytest.mark.parametrize("behaviour", ["hangs", "drips", "drops at once", "drops", "refuses", "500", "knows nobody"])
def test_a_mail_server_that_misbehaves_is_over_soon(behaviour: str) -> None:
    with listening(Other(behaviour), mail_server) as other:
        began = time.monotonic()
        with pytest.raises(NotSent) as told:
            mailed(route(other))
        assert time.monotonic() - began < SOON + LONGER
    assert "secret" not in str(told.value)


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
