"""May we talk to XNAT now, and about which projects? Decided in one place for all who would ask it something."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from threading import RLock
from typing import Protocol, TypeVar

from xnat_watchd.adapters.ledger import Activity, Ledger
from xnat_watchd.core.errors import AuthRefused, NoRoom, Transient, Unavailable, WatchdError
from xnat_watchd.core.gate import Gate, shut_by
from xnat_watchd.core.ports import Clock, Log

T = TypeVar("T")


class Prober(Protocol):
    """Who can ask something cheap."""

    def probe(self) -> None:
        """Ask something cheap that only a working server and a valid login answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class XnatGates:
    """The gates of the server and of its projects, as one worker meets them. All workers share the `lock`."""

    ledger: Ledger
    prober: Prober
    clock: Clock
    log: Log
    chance: Callable[[], float]  #: numbers in [0, 1)
    lock: RLock  #: whoever takes a study holds it until the study is busy: on trial one may pass, not two
    refusal: Callable[[str], WatchdError | None] | None = None  #: a cheap question about a project, for who asks that

    def is_open(self) -> bool:
        """Return whether we may ask something now."""
        with self.lock:
            if self.ledger.pauses.lasts(Activity.WORK):
                return False
            gate = self._probed()
            return not gate.shut and not (gate.trial and self.ledger.studies.any_busy())

    def closed(self) -> Collection[str] | None:
        """Return the projects about which nothing may be asked now; None where nothing may be asked at all."""
        with self.lock:
            if not self.is_open():
                return None
            gates = {scope: self._asked_project(scope, one) for scope, one in self.ledger.gates.all().items() if scope}
            if self.ledger.gates.get().shut:  # a question about a project has found the server in trouble
                return None
            busy = self.ledger.studies.any_busy
            return [scope for scope, gate in gates.items() if gate.shut or (gate.trial and busy(scope))]

    def ask(self, question: Callable[[], T]) -> T | None:
        """Ask, while nothing else does, whether XNAT would answer: the server's gate is shut where it does not.

        Return the answer to a further question; None where it is not known. A gate that is shut has a probe of its own,
        and nothing is asked while a person has paused the work.
        """
        if self.ledger.pauses.lasts(Activity.WORK) or self.ledger.gates.get().shut:
            return None
        try:
            self.prober.probe()
            return question()
        except (Unavailable, AuthRefused) as error:
            self.shut(error)
        except Transient:  # asked again the next time
            pass
        return None

    def trials(self) -> Collection[str]:
        """Return the projects that were shut and in which one study may find out now."""
        return [scope for scope, gate in self.ledger.gates.all().items() if scope and gate.trial]

    def is_on_trial(self, project: str) -> bool:
        """Return whether a study finds out now whether a project that was shut is open again."""
        return self.ledger.gates.get(project).trial

    def shut(self, error: WatchdError, project: str = "") -> None:
        """Shut the server's gate or a project's, unless somebody met the same trouble a moment ago."""
        with self.lock:
            gate = self.ledger.gates.get(project)
            if gate.shut and not gate.probe_due(self.clock.now()):
                return
            self._store(project, shut_by(gate, error, self.clock.now(), self.chance()))
            self.log.warning("gate.shut", project=project, reason=str(error))

    def passed(self, project: str = "") -> None:
        """Note that XNAT answered, and did what was asked in this project: what was on trial is open for all."""
        with self.lock:
            for scope in {"", project}:
                gate = self.ledger.gates.get(scope)
                if gate.trial:
                    self._store(scope, gate.passed())
                    if scope:
                        self.log.info("gate.open", project=scope)

    def _probed(self) -> Gate:
        """Return the server's gate, after a probe where one is due: a study is never what finds out."""
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
        self._store("", gate)
        return gate

    def _asked_project(self, project: str, gate: Gate) -> Gate:
        """Return a project's gate, after a cheap question where its time has come: it may tell already."""
        now = self.clock.now()
        if self.refusal is None or not gate.probe_due(now):
            return gate
        try:
            refused = self.refusal(project)
            gate = shut_by(gate, refused, now, self.chance()) if refused else gate.probed()
        except (Unavailable, AuthRefused) as error:
            self.shut(error)
            return gate
        except WatchdError:  # asked again the next time
            return gate
        self._store(project, gate)
        return gate

    def _store(self, scope: str, gate: Gate) -> None:
        with suppress(NoRoom):  # whoever comes next finds out again
            self.ledger.gates.set(scope, gate)
