"""Connect and read so that a stop is obeyed at once, and no server keeps a worker longer than the limits below.

The system's own calls may wait for any time for a name, a connection or the next byte. Here every wait is a sequence of
short waits, with a check of the stop event after each, and every answer has a deadline.
"""

from __future__ import annotations

import errno
import io
import os
import select
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, ClassVar

from xnat_watchd.core.lease import StationLease

POLL_INTERVAL = 0.25  #: seconds between two checks of the stop event
#: Seconds that an answer may pause once it has begun, and that its head may take. A worker waits for it.
LONGEST_PAUSE = 20.0
LOWEST_RATE = 32 << 10  #: bytes a second that an answer must bring at least
LONGEST_ANSWER = 600.0  #: seconds from an answer's first byte to its last, whatever its length
LARGEST_HEAD = 256 << 10  #: bytes of status and headers, preliminary answers included

Option = tuple[int, int, int | bytes]


class Interrupted(Exception):
    """The program stops. This is no OSError on purpose: urllib3 passes other errors on and closes the connection."""


class AnswerTooLong(Exception):
    """The answer exceeds a limit of size or time. This is no OSError, for the same reason."""


@dataclass(slots=True)
class ConnectionState:
    """What the connections of one `Transport` share with it."""

    stop: threading.Event
    lease: StationLease | None = None  #: in a ledger that several stations share
    spoke: bool = False  #: whether any byte of the request was sent

    def raise_if_stopped(self) -> None:
        """Raise `Interrupted` when the program stops, or when other stations may act on what we do."""
        if self.stop.is_set() or (self.lease is not None and not self.lease.lasts()):
            raise Interrupted

    def may_begin(self, *, change: bool) -> bool:
        """Return whether a request may be sent; a `change` of XNAT only while the ledger is heard of."""
        return self.lease is None or (self.lease.may_begin() if change else self.lease.lasts())


def connected(host: str, port: int, timeout: float, options: Sequence[Option], state: ConnectionState) -> socket.socket:
    """Return a connection to the first address of the host that accepts one. Raise `OSError` as `create_connection`."""
    deadline = monotonic() + timeout
    failed: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in _addresses(host, port, deadline, state):
        sock = socket.socket(family, kind, protocol)
        try:
            for option in options:
                sock.setsockopt(*option)
            _connect(sock, address, deadline, state)
        except OSError as error:
            sock.close()
            failed = error
        except Interrupted:
            sock.close()
            raise
        else:
            sock.settimeout(timeout)
            return sock
    raise failed


def _addresses(host: str, port: int, deadline: float, state: ConnectionState) -> list[Any]:
    """Resolve a name in a thread, which is abandoned if it takes too long: no resolver can be interrupted."""
    found: SimpleQueue[list[Any] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:  # no such name, or an invalid one
            found.put(error)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    while True:
        with suppress(Empty):
            said = found.get(timeout=POLL_INTERVAL)
            if isinstance(said, Exception):
                raise said
            return said
        state.raise_if_stopped()
        if monotonic() >= deadline:
            raise TimeoutError("the name was not resolved in time")


def _connect(sock: socket.socket, address: Any, deadline: float, state: ConnectionState) -> None:
    sock.setblocking(False)  # noqa: FBT003 - the method's own argument
    failed = sock.connect_ex(address)
    waiting = select.poll()
    waiting.register(sock, select.POLLOUT)
    while failed == errno.EINPROGRESS:
        if waiting.poll(POLL_INTERVAL * 1000):
            failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            break
        state.raise_if_stopped()
        if monotonic() >= deadline:
            raise TimeoutError("timed out")
    if failed:
        raise OSError(failed, os.strerror(failed))


class StoppableTlsSocket(ssl.SSLSocket):
    """A TLS socket whose handshake ends at a stop and at the socket's timeout."""

    state: ClassVar[ConnectionState]

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the base class's argument
        """Do the TLS handshake."""
        timeout = self.gettimeout() or LONGEST_PAUSE
        deadline = monotonic() + timeout
        self.settimeout(POLL_INTERVAL)
        while True:
            try:
                super().do_handshake(block)
                break
            except TimeoutError:  # OpenSSL continues where it was
                if self.state.stop.is_set():
                    self.close()
                    raise Interrupted from None
                if monotonic() >= deadline:
                    raise
        self.settimeout(timeout)


class StoppableResponse(HTTPResponse):
    """An answer that obeys the stop event and the limits from its first byte on."""

    def __init__(self, state: ConnectionState, sock: Any, **how: Any) -> None:
        super().__init__(sock, **how)
        self._stream = LimitedStream(self.fp.detach(), sock, state)  # `makefile` returns a buffered reader
        self.fp = io.BufferedReader(self._stream)

    def begin(self) -> None:
        """Read status and headers, and all preliminary answers before them."""
        self._stream.in_head = True
        super().begin()
        self._stream.in_head = False


class LimitedStream(io.RawIOBase):
    """The bytes that a server sends. Reading raises `AnswerTooLong` beyond the limits above."""

    def __init__(self, raw: io.RawIOBase, sock: Any, state: ConnectionState) -> None:
        self._raw, self._sock, self._state = raw, sock, state
        self._size = 0
        self._first_byte_at: float | None = None
        self.in_head = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for the next bytes. Raise `TimeoutError` if none come within the socket's timeout."""
        timeout = self._sock.gettimeout() or LONGEST_PAUSE
        deadline = monotonic() + timeout
        self._sock.settimeout(POLL_INTERVAL)
        try:
            while True:
                self._state.raise_if_stopped()
                self._check_limits()
                try:
                    size: int = self._sock.recv_into(buffer)
                except TimeoutError:
                    if monotonic() >= deadline:
                        raise
                else:
                    self._size += size
                    self._first_byte_at = self._first_byte_at or monotonic()
                    return size
        finally:
            self._sock.settimeout(timeout)

    def close(self) -> None:
        """Close the connection."""
        if not self.closed:
            self._raw.close()
        super().close()

    def _check_limits(self) -> None:
        takes = 0.0 if self._first_byte_at is None else monotonic() - self._first_byte_at
        if takes > min(LONGEST_PAUSE + self._size / LOWEST_RATE, LONGEST_ANSWER):
            raise AnswerTooLong
        if self.in_head and self._size > LARGEST_HEAD:
            raise AnswerTooLong
