"""May we talk to XNAT now, and about which projects? Decided in one place for all who would ask it something."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from threading import RLock
from typing import Protocol

from xnat_watchd.adapters.ledger import Ledger, Of
from xnat_watchd.core.errors import AuthRefused, NoRoom, Transient, Unavailable
from xnat_watchd.core.gate import Gate, Trouble, shut_by
from xnat_watchd.core.ports import Clock, Log


class Prober(Protocol):
    """Who can ask something cheap."""

    def probe(self) -> None:
        """Ask something cheap that only a working server and a valid login answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The gates of the server and of its projects, as one worker meets them. All workers share the `lock`."""

    ledger: Ledger
    prober: Prober
    clock: Clock
    log: Log
    chance: Callable[[], float]  #: numbers in [0, 1)
    lock: RLock  #: whoever takes a study holds it until the study is busy: on trial one may pass, not two

    def is_open(self) -> bool:
        """Say whether we may ask something now."""
        return self.closed() is not None

    def closed(self) -> Collection[str] | None:
        """Give the projects about which nothing may be asked now; None where nothing may be asked at all."""
        with self.lock:
            busy = self.ledger.studies.busy
            if self.ledger.pauses.lasts(Of.WORK):
                return None
            gate = self._probed()
            if gate.shut or (gate.trial and busy()):
                return None
            gates = self.ledger.gates.all().items()
            # Where a project's time has come, one study at a time finds out.
            return [scope for scope, one in gates if scope and one.shut and (not self._is_due(one) or busy(scope))]

    def is_on_trial(self, project: str, why: str | None = None) -> bool:
        """Say whether a study finds out now whether a project is open again, which was shut because of `why`."""
        gate = self.ledger.gates.get(project)
        return self._is_due(gate) and why in (None, gate.why)

    def shut(self, error: Trouble, project: str = "") -> None:
        """Shut the server's gate or a project's, unless somebody met the same trouble a moment ago."""
        with self.lock:
            gate = self.ledger.gates.get(project)
            if gate.shut and not self._is_due(gate):
                return
            self._keep(project, shut_by(gate, error, self.clock.now(), self.chance()))
            self.log.warning("gate.shut", project=project, reason=str(error))

    def passed(self, project: str = "") -> None:
        """Note that XNAT answered, and did what was asked in this project: what was on trial is open for all."""
        with self.lock:
            for scope in {"", project}:
                gate = self.ledger.gates.get(scope)
                if gate.trial or (scope and self._is_due(gate)):
                    self._keep(scope, gate.passed())

    def _probed(self) -> Gate:
        """Give the server's gate, after a probe where one is due: a study is never what finds out."""
        gate, now = self.ledger.gates.get(), self.clock.now()
        if not gate.probe_due(now):
            return gate
        try:
            self.prober.probe()
        except (Unavailable, AuthRefused) as error:
            gate = shut_by(gate, error, now, self.chance())
        except Transient:
            return gate
        else:
            gate = gate.probed()
            self.log.info("gate.open")
        self._keep("", gate)
        return gate

    def _is_due(self, gate: Gate) -> bool:
        return gate.probe_due(self.clock.now())

    def _keep(self, scope: str, gate: Gate) -> None:
        with suppress(NoRoom):  # whoever comes next finds out again
            self.ledger.gates.set(scope, gate)
