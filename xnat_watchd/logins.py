"""Logins as people and the service deal with them: proved before they are kept, tokens taken and given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event

from xnat_watchd.adapters.gateway.tokens import Tokens
from xnat_watchd.adapters.secret import Credential, Lease
from xnat_watchd.adapters.xnat_gateway import Where, XnatServer
from xnat_watchd.core.errors import AuthRefused
from xnat_watchd.core.ports import Clock

USUAL_LIFE = timedelta(days=2)  #: of a token where the server does not tell (F107, F109)
RENEWED_AFTER, WARNED_AFTER = 0.4, 0.75  #: shares of a token's life

TYPE_LOGIN = AuthRefused.default_advice


@dataclass(frozen=True, slots=True)
class Site:
    """The server of the settings, for whoever has a login to try there."""

    where: Where
    clock: Clock
    stop: Event = field(default_factory=Event)

    @contextmanager
    def server(self, credential: Credential) -> Iterator[XnatServer]:
        """Give the server for this login, and end its sessions afterwards."""
        server = XnatServer.of(self.where, credential, self.clock, self.stop)
        try:
            yield server
        finally:
            server.close()

    def prove(self, credential: Credential) -> str:
        """Give the name by which XNAT knows this login; one try. `AuthRefused` or `Unavailable` if it does not."""
        with self.server(credential) as server:
            return server.gateway().whoami()

    def token(self, credential: Credential) -> Credential:
        """Give a token that stands in for this login, proved. `Permanent` where XNAT makes none."""
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


def renew_at(lease: Lease) -> datetime:
    """Give when a token is to be exchanged: well before half its life, so that a weekend off does not end it."""
    return lease.issued + _life(lease) * RENEWED_AFTER


def warn_at(lease: Lease, expires: datetime) -> datetime:
    """Give from when on people must be warned of a token that ends then: it should have been exchanged long ago."""
    return lease.issued + (expires - lease.issued) * WARNED_AFTER


def _life(lease: Lease) -> timedelta:
    return USUAL_LIFE if lease.expires is None else lease.expires - lease.issued
