"""Logins as people and the service deal with them: proved before they are kept, tokens taken and given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

from xnat_watchd.adapters.ledger import Ledger, open_database
from xnat_watchd.adapters.secret import Credential, Lease
from xnat_watchd.adapters.xnat.gateway import ServerSettings, XnatServer
from xnat_watchd.adapters.xnat.tokens import Tokens
from xnat_watchd.core.errors import AuthRefused, Refusal, WatchdError
from xnat_watchd.core.ports import Clock

USUAL_LIFE = timedelta(days=2)  #: of a token where the server does not tell (F107, F109)
RENEWED_AFTER, WARNED_AFTER = 0.4, 0.75  #: shares of a token's life

TYPE_LOGIN = AuthRefused.default_advice


@dataclass(frozen=True, slots=True)
class LoginSite:
    """The server of the settings, for whoever has a login to try there."""

    where: ServerSettings
    clock: Clock
    stop: Event = field(default_factory=Event)

    @contextmanager
    def server(self, credential: Credential) -> Iterator[XnatServer]:
        """Provide the server for this login, and end its sessions afterwards."""
        server = XnatServer.from_settings(self.where, credential, self.clock, self.stop)
        try:
            yield server
        finally:
            server.close()

    def prove(self, credential: Credential) -> str:
        """Return the name by which XNAT knows this login; one try. `AuthRefused` or `Unavailable` if it does not."""
        with self.server(credential) as server:
            return server.gateway().whoami()

    def token(self, credential: Credential) -> Credential:
        """Return a token that stands in for this login, proved. `Permanent` where XNAT makes none."""
        with self.server(credential) as server, Tokens(server) as tokens:
            owner, token, now = server.gateway().whoami(), tokens.issue(), self.clock.now()
        lease = Lease(owner, now, now + token.life if token.life else None)
        fresh = Credential(token.alias, token.secret, credential.source, lease)
        self.prove(fresh)
        return fresh

    def give_back(self, token: Credential) -> None:
        """Have XNAT forget a token. `AuthRefused` where it is dead already."""
        with self.server(token) as server, Tokens(server) as tokens:
            tokens.invalidate(token.user, token.password)


@dataclass(frozen=True, slots=True)
class LoginAttempts:
    """The tries to log in that anybody makes on this machine by what is stored: XNAT locks accounts by their number.

    The service's ledger counts them. Where it cannot be read or written, as by somebody who is not the service's user,
    nothing is counted.
    """

    ledger: Path
    clock: Clock

    def are_left(self) -> bool:
        """Return whether a login may be tried although it may be refused."""
        with suppress(WatchdError), self._opened(read_only=True) as ledger:
            return ledger.gates.get().may_be_refused(self.clock.now())
        return True

    def refused(self) -> None:
        """Count one that was refused."""
        with suppress(WatchdError), self._opened(read_only=False) as ledger:
            ledger.gates.count_refusal(self.clock.now())

    def succeeded(self) -> None:
        """Begin to count anew: XNAT has taken a login."""
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
    """Return when a token is to be exchanged: well before half its life, so that a weekend off does not end it."""
    return lease.issued + _life(lease) * RENEWED_AFTER


def warn_at(lease: Lease, expires: datetime) -> datetime:
    """Return from when on people must be warned of a token that ends then: it should have been exchanged long ago."""
    return lease.issued + (expires - lease.issued) * WARNED_AFTER


def _life(lease: Lease) -> timedelta:
    return USUAL_LIFE if lease.expires is None else lease.expires - lease.issued
