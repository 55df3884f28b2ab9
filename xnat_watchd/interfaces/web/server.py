"""The server: sockets that systemd or we have made, and for each connection the user at its other end."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import MultiSocketServer, TcpWSGIServer, UnixWSGIServer
from waitress.task import ThreadedTaskDispatcher

from xnat_watchd.adapters.peers import uid_over_loopback, uid_over_unix
from xnat_watchd.adapters.web_socket import address_of, is_served
from xnat_watchd.core.errors import Refusal
from xnat_watchd.interfaces.web.guard import LONGEST_BODY
from xnat_watchd.interfaces.web.visitors import ConnectionShare

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

THREADS = 4
CONNECTIONS = 256  #: at once; more wait
PATIENCE = 30  #: seconds in which a connection must do something
STRANGERS_PATIENCE = 5  #: seconds after which a connection ends of somebody who may not look, whatever it does
LONGEST_HEADERS = 16 << 10  #: bytes


ShareOf = Callable[[int | None], ConnectionShare]


class _PageConnection(HTTPChannel):
    """A connection, of which each user may have so many. One of a stranger ends soon, even if it sends on and on."""

    share: ConnectionShare

    def readable(self) -> bool:
        """Return whether more is read. This is asked at least once a second."""
        is_late = self.share.holder is None and time.time() - self.creation_time > STRANGERS_PATIENCE
        if is_late and self.socket is not None and not self.will_close:
            self.will_close = True
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)  # or it would not be closed before the other side has read
        return bool(super().readable())


class _UserOfConnection:
    """Has the application told, as REMOTE_ADDR, which user holds the other end: `unix:1000`, `loopback:1000`."""

    share_of: ShareOf

    def handle_accept(self: Any) -> None:
        """Accept a connection."""
        try:
            accepted = self.accept()
            if accepted is None:
                return
            connection, _ = accepted
            self.set_socket_options(connection)
            is_unix = self.family == socket.AF_UNIX
            uid = uid_over_unix(connection) if is_unix else uid_over_loopback(connection)
            share = self.share_of(uid)
        except OSError:  # gone again
            return
        open_now = [one for one in self._map.values() if isinstance(one, _PageConnection) and one.share == share]
        if len(open_now) >= share.most:
            connection.close()
            return
        who = f"{'unix' if is_unix else 'loopback'}:{'' if uid is None else uid}"
        _PageConnection(self, connection, (who, None), self.adj, map=self._map).share = share


class _UnixServer(_UserOfConnection, UnixWSGIServer):
    pass


class _LoopbackServer(_UserOfConnection, TcpWSGIServer):
    pass


def serve(application: WSGIApplication, sockets: Sequence[socket.socket], share_of: ShareOf) -> None:
    """Serve until SIGINT or SIGTERM, which must raise `SystemExit` or `KeyboardInterrupt`.

    `share_of` says how many connections a user may have; beyond it they are closed, so that nobody takes the page from
    the others.
    """
    adjustments = Adjustments(
        threads=THREADS, connection_limit=CONNECTIONS, channel_timeout=PATIENCE, ident=None,
        max_request_header_size=LONGEST_HEADERS, max_request_body_size=LONGEST_BODY,
        clear_untrusted_proxy_headers=True,
    )  # fmt: skip
    dispatcher = ThreadedTaskDispatcher()
    known: dict[int, Any] = {}  #: waitress enters each socket
    dispatcher.set_thread_count(THREADS)
    for one in sockets:
        kind = _UnixServer if one.family == socket.AF_UNIX else _LoopbackServer
        server = kind(
            application, map=known, _sock=one, dispatcher=dispatcher, adj=adjustments, bind_socket=False,
            sockinfo=(one.family, one.type, one.proto, one.getsockname()),
        )  # fmt: skip
        server.share_of = share_of
    MultiSocketServer(known, adjustments, [], dispatcher).run()


@contextmanager
def unix_socket(path: Path) -> Iterator[socket.socket]:
    """Yield a new socket there, for this user alone, and remove it at the end, unless another has taken its place.

    One that an earlier process has left there is replaced. Raise `Refusal` if a process still listens there.
    """
    if is_served(path):
        raise Refusal("the page of this ledger is served already", advice="Open it: `xnat-watchd web --open`.")
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        with address_of(path) as address:
            made.bind(address)
        path.chmod(0o600)
        made.listen()  # who connects from now on waits until the page is served
        own = path.stat().st_ino  # no other file has it while the socket is open
        try:
            yield made
        finally:
            with suppress(FileNotFoundError):
                if path.stat().st_ino == own:
                    path.unlink()


def loopback_socket(port: int) -> socket.socket:
    """Return a new socket on this port of loopback; 0 takes one that is free."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.listen()
    return made


def origins_of(sockets: Sequence[socket.socket]) -> tuple[str, ...]:
    """Return the origins under which these sockets are reached over TCP."""
    ports = [one.getsockname()[1] for one in sockets if one.family == socket.AF_INET]
    return tuple(f"http://{name}:{port}" for port in ports for name in ("127.0.0.1", "localhost"))
