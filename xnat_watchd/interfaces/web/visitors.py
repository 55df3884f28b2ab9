"""Who looks at the page: what the kernel says of the other end, or a proxy of this machine that has asked them.

Over the Unix socket the kernel names the user. Over loopback TCP the browser must have a cookie, which it gets for a
link that works once and that `xnat-watchd web --open` gets over the Unix socket. The cookie counts only on connections
of the user for whom the link was made: browsers send a cookie to every port of a machine, so other users of it may
come by one.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from werkzeug.http import parse_cookie

from xnat_watchd.adapters.operator_socket import Requester, requester_of
from xnat_watchd.core.access import UserAccess

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

COOKIE = "xnat-watchd"
LINK_HOLDS = 60.0  #: seconds
COOKIE_HOLDS = 12 * 3600.0  #: seconds after its last use
RENEWED_AFTER = 600.0  #: seconds of use after which a cookie holds for the whole time again
MOST = 50  #: tokens of each kind for a user; the oldest go
OF_A_USER = 16  #: connections; a browser opens six
OF_THE_PROXY = 64  #: connections, for all whom it serves
OF_STRANGERS = 16  #: connections, all together: one person may have the numbers of thousands of users (subuid(5))
_LONGEST = 100  #: characters of a token that are looked at


@dataclass(frozen=True, slots=True)
class Proxy:
    """The users of this machine whose word counts about who a request is from, and the header in which they say it."""

    uids: Collection[int] = ()
    header: str = "Remote-User"

    def named(self, environ: WSGIEnvironment) -> str:
        """Return the login name that the proxy says; empty if it says none."""
        return str(environ.get(f"HTTP_{self.header.upper().replace('-', '_')}", ""))


@dataclass(frozen=True, slots=True)
class ConnectionShare:
    """Who a connection counts for, and how many there may be at once. All who may not look are one holder: None."""

    holder: int | None
    most: int


class VisitorTokens:
    """Secrets of 128 bits that each stand for a user for some time. Only their digests are kept, and in memory."""

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self._seconds, self._monotonic = seconds, monotonic
        self._known: dict[bytes, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def new(self, uid: int) -> str:
        """Return a new secret that stands for a user."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._make_room(uid)
            self._known[_digest(token)] = (uid, self._monotonic() + self._seconds)
        return token

    def _make_room(self, uid: int) -> None:
        """Remove what has ended, and the oldest token of this user if it has too many. No other user's goes."""
        now = self._monotonic()
        self._known = {digest: known for digest, known in self._known.items() if now < known[1]}
        own = [digest for digest, (holder, _) in self._known.items() if holder == uid]
        if len(own) >= MOST:
            del self._known[own[0]]

    def uid_of(self, token: str) -> int | None:
        """Return for whom a secret stands, or None."""
        uid, until = self._known.get(_digest(token), (None, 0.0))
        return uid if self._monotonic() < until else None

    def renew(self, token: str, uid: int) -> bool:
        """Have a secret that stands for this user hold as long as a new one; return whether that was due."""
        with self._lock:
            holder, until = self._known.get(_digest(token), (None, 0.0))
            now = self._monotonic()
            is_due = holder == uid and now < until < now + self._seconds - RENEWED_AFTER
            if is_due:
                del self._known[_digest(token)]  # to be entered as the newest
                self._known[_digest(token)] = (uid, now + self._seconds)
            return is_due

    def spend(self, token: str, uid: int) -> bool:
        """Return whether a secret stands for this user; from then on it stands for nobody."""
        with self._lock:
            stands = self.uid_of(token) == uid
            if stands:
                del self._known[_digest(token)]
            return stands


@dataclass(frozen=True)
class Visitors:
    """Knows who a request is from. `by_uid` and `by_name` ask the machine's user database."""

    by_uid: Callable[[int], Requester]
    by_name: Callable[[str], Requester | None]
    links: VisitorTokens
    cookies: VisitorTokens
    proxy: Proxy = field(default_factory=Proxy)

    def at(self, environ: WSGIEnvironment) -> Requester | None:
        """Return who a request is from; None if that is not known."""
        uid, over_unix = connected(environ), environ["REMOTE_ADDR"].startswith("unix:")
        if uid is None:
            return None
        if not over_unix:
            cookie = cookie_of(environ)
            return self.by_uid(uid) if self.cookies.uid_of(cookie) == uid else None
        if self.is_by_proxy(environ):
            return self.by_name(self.proxy.named(environ))
        return self.by_uid(uid)

    def share_of(self, uid: int | None) -> ConnectionShare:
        """Return how many connections a user may have. None is one who is not known."""
        if uid in self.proxy.uids:
            return ConnectionShare(uid, OF_THE_PROXY)
        if uid is None or self.by_uid(uid).access < UserAccess.LOOK:
            return ConnectionShare(None, OF_STRANGERS)
        return ConnectionShare(uid, OF_A_USER)

    def is_by_proxy(self, environ: WSGIEnvironment) -> bool:
        """Return whether a request comes from the proxy, whose word about who asks counts."""
        return environ["REMOTE_ADDR"].startswith("unix:") and connected(environ) in self.proxy.uids

    def program_at(self, environ: WSGIEnvironment) -> Requester | None:
        """Return the user whose program has connected over loopback, without a cookie; None if that is not known."""
        uid = connected(environ)
        return None if uid is None or environ["REMOTE_ADDR"].startswith("unix:") else self.by_uid(uid)


def requester_here(uid: int) -> Requester:
    """Return a user of this machine. The user of this very process can open the ledger, so nothing is kept from it."""
    known = requester_of(uid)
    return replace(known, access=UserAccess.DECIDE) if uid == os.geteuid() else known


def connected(environ: WSGIEnvironment) -> int | None:
    """Return the user whose process holds the other end of the connection, as `server` has it from the kernel."""
    kind, _, uid = environ.get("REMOTE_ADDR", "").partition(":")
    return int(uid) if kind in ("unix", "loopback") and uid.isdigit() else None


def cookie_of(environ: WSGIEnvironment) -> str:
    """Return the cookie of the page that a browser has sent; empty if it has none."""
    return str(parse_cookie(environ.get("HTTP_COOKIE", "")).get(COOKIE, ""))


def _digest(token: str) -> bytes:
    return sha256(token[:_LONGEST].encode("utf-8", "surrogatepass")).digest()
