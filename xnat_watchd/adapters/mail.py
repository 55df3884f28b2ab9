"""Messages by mail: TLS beyond this machine, and a login only where one is stored for the mail server."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from io import BufferedReader
from types import TracebackType

from xnat_watchd.adapters.bounded_connection import LONGEST, connected
from xnat_watchd.adapters.config import is_loopback
from xnat_watchd.adapters.secret import Credential
from xnat_watchd.core.errors import NotSent, PartlySent

TLS_AT_ONCE = 465  #: the port on which TLS begins with the first byte (RFC 8314)
MOST_SAID = 65536  #: bytes of the server's replies in one dialogue: smtplib keeps the lines of a reply until its end


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRoute:
    """Which server takes the mail, from whom and to whom."""

    server: str  #: host:port
    sender: str
    to: Sequence[str]
    credential: Credential | None = None
    tls: ssl.SSLContext | None = None  #: instead of the authorities of the machine
    longest: float = LONGEST  #: seconds for everything


def composed(route: MailRoute, subject: str, body: str, name: str, written: datetime) -> EmailMessage:
    """Return the mail. `name` makes its Message-ID, by which a mail that is sent twice is shown once."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = route.sender, ", ".join(route.to), subject
    mail["Date"] = format_datetime(written)
    mail["Message-ID"] = f"<{name}@{route.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # so that no holiday notice answers (RFC 3834)
    mail.set_content(body)
    return mail


def send(route: MailRoute, mail: EmailMessage) -> None:
    """Send a mail. Raise `NotSent`, whose text names the mail server and repeats nothing that it said.

    Raise `PartlySent` where the server has taken it for some of the addresses only.
    """
    with _dialogue(route) as server:
        refused = server.send_message(mail)
    if refused:
        raise PartlySent(f"the mail server {_host(route)} refuses {len(refused)} of {len(route.to)} addresses")


def greet(route: MailRoute) -> None:
    """Do all that comes before a mail: connect, begin TLS, log in. Raise `NotSent` as `send` does."""
    with _dialogue(route):
        pass


@contextmanager
def _dialogue(route: MailRoute) -> Iterator[smtplib.SMTP]:
    """Open a dialogue with the mail server, in which it may be given a mail. Its errors become `NotSent`."""
    host, port = _host(route), route.server.rpartition(":")[2]
    loopback = is_loopback(host)
    tls = None if loopback else route.tls or ssl.create_default_context()
    at_once = tls if int(port) == TLS_AT_ONCE else None
    try:
        with connected(host, int(port), at_once, route.longest) as line, _Dialogue(host, line) as server:
            if tls and not at_once:
                server.starttls(context=tls)
            server.ehlo_or_helo_if_needed()
            if route.credential:
                server.login(route.credential.user, route.credential.password.reveal())
            yield server
    except smtplib.SMTPResponseException as error:
        raise NotSent(f"the mail server {host} does not take it: it answered {error.smtp_code}") from error
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        raise NotSent(f"the mail server {host} cannot be used ({type(error).__name__})") from error


def _host(route: MailRoute) -> str:
    return route.server.rpartition(":")[0].strip("[]")


class _Replies:
    """The replies of a mail server, of which a dialogue reads so much and no more."""

    def __init__(self, replies: BufferedReader, most: int) -> None:
        self._replies, self.left = replies, most

    def readline(self, size: int) -> bytes:
        line = self._replies.readline(size)
        self.left -= len(line)
        if self.left < 0:
            raise OSError("the mail server says too much")
        return line

    def close(self) -> None:
        self._replies.close()


class _Dialogue(smtplib.SMTP):
    """The dialogue of smtplib over a connection that is open already."""

    _replies: _Replies | None = None
    _left = MOST_SAID

    def __init__(self, host: str, line: socket.socket) -> None:
        self._line = line
        super().__init__(host, line.getpeername()[1], local_hostname="localhost")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the dialogue. Whatever the server does now, what it has taken it has taken."""
        with suppress(OSError):
            super().__exit__(kind, error, trace)

    @property
    def file(self) -> _Replies | None:
        """What smtplib reads from: it is set anew with TLS, and what may be read is then as much as was left."""
        return self._replies

    @file.setter
    def file(self, replies: BufferedReader | None) -> None:
        if self._replies:
            self._left = self._replies.left
        self._replies = _Replies(replies, self._left) if replies else None

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        del host, port, timeout
        return self._line
