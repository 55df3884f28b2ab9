"""May we talk to XNAT now? The server's gate, as those see it who carry no studies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from xnat_watchd.adapters.ledger import Ledger, Of
from xnat_watchd.core.errors import AuthRefused, Transient, Unavailable
from xnat_watchd.core.gate import shut_by
from xnat_watchd.core.ports import Clock, Log


class Prober(Protocol):
    """Who can ask something cheap."""

    def probe(self) -> None:
        """Ask something cheap that only a working server and a valid login answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The gate of the server, shared with the pipeline's workers: `lock` is theirs."""

    ledger: Ledger
    prober: Prober
    clock: Clock
    log: Log
    chance: Callable[[], float]  #: numbers in [0, 1)
    lock: Lock

    def is_open(self) -> bool:
        """Say whether we may ask something now; a gate whose time has come is probed first."""
        if self.ledger.pauses.lasts(Of.WORK):
            return False
        with self.lock:
            gates = self.ledger.gates
            gate, now = gates.get(), self.clock.now()
            if gate.probe_due(now):
                try:
                    self.prober.probe()
                except (Unavailable, AuthRefused) as error:
                    gate = shut_by(gate, error, now, self.chance())
                except Transient:
                    return False
                else:
                    gate = gate.probed()
                    self.log.info("gate.open")
                gates.set("", gate)
            return not (gate.shut or (gate.trial and self.ledger.studies.busy()))

    def shut(self, error: Unavailable | AuthRefused) -> None:
        """Shut the gate for all, unless somebody met the same trouble a moment ago."""
        with self.lock:
            gate, now = self.ledger.gates.get(), self.clock.now()
            if gate.shut and not gate.probe_due(now):
                return
            self.ledger.gates.set("", shut_by(gate, error, now, self.chance()))
            self.log.warning("gate.shut", reason=str(error))

    def passed(self) -> None:
        """Note that XNAT answered: what was open for a trial is open for all."""
        with self.lock:
            gate = self.ledger.gates.get()
            if gate.trial:
                self.ledger.gates.set("", gate.passed())
