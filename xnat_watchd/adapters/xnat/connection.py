"""HTTP connections that stop at once when the program stops, or when the server answers before the body is sent."""

from __future__ import annotations

import errno
import select
import socket
import ssl
import sys
from functools import partial
from typing import Any, ClassVar, cast

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.retry import Retry
from urllib3.util.ssl_ import create_urllib3_context

from xnat_watchd.adapters.xnat.sockets import (
    LONGEST_PAUSE,
    POLL_INTERVAL,
    ConnectionState,
    Option,
    StoppableResponse,
    StoppableTlsSocket,
    connected,
)
from xnat_watchd.adapters.xnat.trust import set_certificate_checks
from xnat_watchd.adapters.xnat.zip_body import PIECE

TLS_RECORDS = 1 << 16  #: bytes passed to TLS at once: it does not tell how much of a larger piece was sent
KEEPALIVE: list[Option] = [
    *HTTPConnection.default_socket_options,
    # The answer to an import comes minutes after its last byte. A firewall must not drop the connection meanwhile.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6),
]


class _StoppableConnection(HTTPConnection):
    """A connection that checks the stop event while it waits, and checks for an answer while it sends a body."""

    state: ClassVar[ConnectionState]
    _connecting = False
    _in_body = False
    _has_answered = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # urllib3 only calls it.
        self.response_class = cast("type[StoppableResponse]", partial(StoppableResponse, self.state))

    def _new_conn(self) -> socket.socket:
        """Connect as urllib3 does and with its errors, but obey the stop event."""
        try:
            sock = connected(self._dns_host, self.port, self._connect_timeout, self.socket_options or (), self.state)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "timed out") from error
        except OSError as error:
            raise NewConnectionError(self, "refused") from error
        sys.audit("http.client.connect", self, self.host, self.port)
        return sock

    @property
    def _connect_timeout(self) -> float:
        return float(self.timeout) if isinstance(self.timeout, int | float) else LONGEST_PAUSE

    def connect(self) -> None:
        self._has_answered = False
        self._connecting = True  # bytes sent to a proxy have not reached XNAT yet
        try:
            super().connect()
        finally:
            self._connecting = False

    def endheaders(self, message_body: Any = None, *, encode_chunked: bool = False) -> None:
        self._in_body = False
        super().endheaders(message_body, encode_chunked=encode_chunked)
        self._in_body = True

    def send(self, data: Any) -> None:
        """Send all the data, each time as much as the kernel accepts without blocking."""
        if self.sock is None:
            self.connect()
        sock = self.sock
        timeout = sock.gettimeout() or LONGEST_PAUSE
        rest = memoryview(data).cast("B")
        sock.settimeout(0)
        try:
            while rest:
                self._wait(select.POLLOUT, timeout)
                rest = rest[self._send_some(sock, rest) :]
        finally:
            sock.settimeout(timeout)

    def getresponse(self) -> Any:
        """Wait for the answer, which may take an hour. Once it has begun, it may pause for `LONGEST_PAUSE` at most."""
        self._in_body = False
        if self.sock is not None:
            timeout = self.sock.gettimeout() if self.timeout is None else float(self.timeout)
            if not (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
                self._wait(select.POLLIN, timeout or LONGEST_PAUSE)
            if self._input_is_answer:
                self.timeout = min(timeout or LONGEST_PAUSE, LONGEST_PAUSE)
        response = super().getresponse()
        self._has_answered = True
        return response

    @property
    def _input_is_answer(self) -> bool:
        """Whether readable data is an answer: TLS 1.3 sends session tickets unasked before the first answer."""
        return self._has_answered or not isinstance(self.sock, ssl.SSLSocket)

    def _send_some(self, sock: socket.socket, rest: memoryview) -> int:
        try:
            gone = sock.send(rest[:TLS_RECORDS] if isinstance(sock, ssl.SSLSocket) else rest)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0  # the kernel's buffer is full, or TLS must exchange something first
        self.state.spoke = self.state.spoke or not self._connecting
        return gone

    def _wait(self, event: int, timeout: float) -> None:
        """Wait until the socket is ready. Raise `TimeoutError`, or `Interrupted` when the program stops.

        Raise `BrokenPipeError` for an early answer: urllib3 catches it and reads the answer (F282).
        """
        poll = select.poll()
        listens = self._in_body and self._input_is_answer
        poll.register(self.sock, event | (select.POLLIN if listens else 0))
        waited = 0.0
        while True:
            ready = poll.poll(POLL_INTERVAL * 1000)
            self.state.raise_if_stopped()
            if ready and listens and ready[0][1] & ~select.POLLOUT:
                raise BrokenPipeError(errno.EPIPE, "the server answered before the body was sent")
            if ready:
                return
            waited += POLL_INTERVAL
            if waited >= timeout:
                raise TimeoutError("timed out")


class _StoppableTlsConnection(_StoppableConnection, HTTPSConnection):
    """A stoppable connection over TLS."""


class StoppableAdapter(HTTPAdapter):
    """An adapter with one connection at a time, large pieces, and no retries of any kind."""

    def __init__(self, state: ConnectionState, *, strict: bool = False) -> None:
        self._context = create_urllib3_context()
        set_certificate_checks(self._context, strict=strict)
        self._context.sslsocket_class = type("Tls", (StoppableTlsSocket,), {"state": state})
        plain = type("Plain", (_StoppableConnection,), {"state": state})
        over_tls = type("OverTls", (_StoppableTlsConnection,), {"state": state})
        self._pools = {
            "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("TlsPool", (HTTPSConnectionPool,), {"ConnectionCls": over_tls}),
        }
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=Retry(0, read=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the library use our connection classes."""
        super().init_poolmanager(*args, **kwargs, blocksize=PIECE, socket_options=KEEPALIVE, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make the library use our connection classes behind a proxy too."""
        manager = super().proxy_manager_for(
            proxy, **kwargs, blocksize=PIECE, socket_options=KEEPALIVE, ssl_context=self._context
        )
        manager.pool_classes_by_scheme = self._pools
        return manager
