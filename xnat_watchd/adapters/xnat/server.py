"""What all gateways of one process share: address, credential, dialect, and whose turn it is to import."""

from __future__ import annotations

import logging
import threading
from datetime import datetime

from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.login import Dialect, NumberedCredential, log_in
from xnat_watchd.adapters.xnat.memory import MemoryBudget
from xnat_watchd.adapters.xnat.sockets import ConnectionState
from xnat_watchd.adapters.xnat.transport import Access, Transport
from xnat_watchd.adapters.xnat.turns import Turns, locked
from xnat_watchd.adapters.xnat.writable_projects import WritableProjects
from xnat_watchd.core.errors import AuthRefused
from xnat_watchd.core.lease import StationLease
from xnat_watchd.core.ports import Clock


class ServerState:
    """The state of the server that all gateways share. Every method may be called from any thread."""

    def __init__(
        self,
        access: Access,
        credential: NumberedCredential,
        *,
        clock: Clock,
        stop: threading.Event,
        lease: StationLease | None = None,
    ) -> None:
        # urllib3 logs whole URLs, which contain labels and birth dates.
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        self.access = access
        self.clock = clock
        self.stop, self.lease = stop, lease
        self.turns = Turns(clock, stop)
        self.dump_lock = threading.Lock()  #: two header dumps at once may get each other's answer (F210)
        self.dialect: Dialect | None = None  #: as of the last login
        self.memory = MemoryBudget()  #: for the answers to all gateways
        self.writable = WritableProjects(clock)
        self.sharing_memory = MemoryBudget()  #: for what is kept of all projects while share tables are applied
        self.logins = 0  #: how many logins were tried
        self.heard: datetime | None = None  #: when XNAT last did what was asked
        self._credential = credential
        self._refused: AuthRefused | None = None
        self._lock = threading.Lock()
        self._login_lock = threading.Lock()

    def use_credential(self, user: str, password: Secret) -> None:
        """Use another credential from now on. Login sessions of the old one are left at the next request."""
        with self._lock:
            self._credential = NumberedCredential(user, password, self._credential.number + 1)
            self._refused = None
        self.writable.clear()

    @property
    def credential_number(self) -> int:
        """The number of the credential in use."""
        with self._lock:
            return self._credential.number

    def log_in(self, *, probing: bool) -> tuple[Transport, Dialect, int]:
        """Begin a login session. Logins happen one at a time.

        Once XNAT has refused a credential, only `probing` tries it again, because XNAT locks accounts (F107).
        """
        with locked(self._login_lock, self.stop):
            with self._lock:
                credential, refused = self._credential, self._refused
                if refused is not None and not probing:
                    raise AuthRefused(str(refused), detail=refused.detail)
                self.logins += 1
            return *self._log_in(credential), credential.number

    def _log_in(self, credential: NumberedCredential) -> tuple[Transport, Dialect]:
        transport = Transport(self.access, ConnectionState(self.stop, self.lease), self.clock, self.memory)
        with self._lock:
            previous = self.dialect
        try:
            dialect = log_in(transport, credential, self.clock.now(), previous)
        except AuthRefused as error:
            self.writable.clear()
            with self._lock:
                if credential is self._credential:
                    self._refused = error
            raise
        with self._lock:
            self.dialect = dialect
            if credential is self._credential:
                self._refused = None
        return transport, dialect
