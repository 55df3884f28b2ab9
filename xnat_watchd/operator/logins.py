"""Try logins, issue tokens and give them back, and count the logins that XNAT refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.secret import Credential, Lease
from xnat_watchd.adapters.xnat.gateway import ServerSettings, XnatServer
from xnat_watchd.adapters.xnat.tokens import Tokens
from xnat_watchd.core.errors import AuthRefused, Refusal, WatchdError
from xnat_watchd.core.ports import Clock

USUAL_LIFE = timedelta(days=2)  #: of a token, if the server does not say (F107, F109)
RENEWED_AFTER, WARNED_AFTER = 0.4, 0.75  #: parts of a token's life

TYPE_LOGIN = AuthRefused.default_advice


@dataclass(frozen=True, slots=True)
class LoginSite:
    """The server of the settings, to try a login there."""

    where: ServerSettings
    clock: Clock
    stop: Event = field(default_factory=Event)

    @contextmanager
    def server(self, credential: Credential) -> Iterator[XnatServer]:
        """Yield the server for this login, and end its login sessions afterwards."""
        server = XnatServer.from_settings(self.where, credential, self.clock, self.stop)
        try:
            yield server
        finally:
            server.close()

    def prove(self, credential: Credential) -> str:
        """Return the user name of this login, in one try. Raise `AuthRefused` or `Unavailable` if it fails."""
        with self.server(credential) as server:
            return server.gateway().whoami()

    def token(self, credential: Credential) -> Credential:
        """Return a new token for this login, after trying it. Raise `Permanent` if XNAT issues none."""
        with self.server(credential) as server, Tokens(server) as tokens:
            owner, token, now = server.gateway().whoami(), tokens.issue(), self.clock.now()
        lease = Lease(owner, now, now + token.life if token.life else None)
        fresh = Credential(token.alias, token.secret, credential.source, lease)
        self.prove(fresh)
        return fresh

    def give_back(self, token: Credential) -> None:
        """Make a token invalid. Raise `AuthRefused` if it is invalid already."""
        with self.server(token) as server, Tokens(server) as tokens:
            tokens.invalidate(token.user, token.password)


@dataclass(frozen=True, slots=True)
class LoginAttempts:
    """The refused logins of this machine, which the service's ledger counts: XNAT locks an account after too many.

    If the ledger cannot be read or written, for example by a user other than the service's, nothing is counted.
    """

    ledger: Location
    clock: Clock

    def are_left(self) -> bool:
        """Return whether a login that may be refused may be tried now."""
        with suppress(WatchdError), self._opened(read_only=True) as ledger:
            return ledger.gates.get().may_be_refused(self.clock.now())
        return True

    def refused(self) -> None:
        """Count a refused login."""
        with suppress(WatchdError), self._opened(read_only=False) as ledger:
            ledger.gates.count_refusal(self.clock.now())

    def succeeded(self) -> None:
        """Start counting from zero: XNAT has accepted a login."""
        with suppress(WatchdError), self._opened(read_only=False) as ledger:
            ledger.gates.forget_refusals()

    @contextmanager
    def _opened(self, *, read_only: bool) -> Iterator[Ledger]:
        if not self.ledger.exists():
            raise Refusal("there is no ledger yet")
        ledger = Ledger(open_database(self.ledger, read_only=read_only, upgrade=False))
        try:
            yield ledger
        finally:
            ledger.close()


def renew_at(lease: Lease) -> datetime:
    """Return when to exchange a token: well before half its life, so that a machine may be off for a weekend."""
    return lease.issued + _life(lease) * RENEWED_AFTER


def warn_at(lease: Lease, expires: datetime) -> datetime:
    """Return when to warn people of a token that ends at `expires`: by then it should have been exchanged."""
    return lease.issued + (expires - lease.issued) * WARNED_AFTER


def _life(lease: Lease) -> timedelta:
    return USUAL_LIFE if lease.expires is None else lease.expires - lease.issued
