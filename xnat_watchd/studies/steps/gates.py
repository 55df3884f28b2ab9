"""Decide in one place whether XNAT may be asked now, and about which projects."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from threading import RLock
from typing import Protocol, TypeVar

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.errors import AuthRefused, NoRoom, Transient, Unavailable, WatchdError
from xnat_watchd.core.gate import Gate, shut_by
from xnat_watchd.core.ports import Clock, Log

T = TypeVar("T")


class Prober(Protocol):
    """What can send a cheap question to XNAT."""

    def probe(self) -> None:
        """Ask something cheap that only a working server and a valid login answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class XnatGates:
    """The gates of the server and of its projects, as one worker uses them. All workers share the `lock`."""

    ledger: Ledger
    prober: Prober
    clock: Clock
    log: Log
    chance: Callable[[], float]  #: numbers in [0, 1)
    lock: RLock  #: held while a study is taken, so that only one passes on trial
    refusal: Callable[[str], WatchdError | None] | None = (
        None  #: a cheap question about a project, if this worker asks it
    )

    def is_open(self) -> bool:
        """Return whether XNAT may be asked now."""
        with self.lock:
            if self.ledger.pauses.lasts(Activity.WORK):
                return False
            gate = self._probed()
            return not gate.shut and not (gate.trial and self.ledger.studies.any_busy())

    def closed(self) -> Collection[str] | None:
        """Return the projects about which XNAT may not be asked now; None if it may not be asked at all."""
        with self.lock:
            if not self.is_open():
                return None
            gates = {scope: self._asked_project(scope, one) for scope, one in self.ledger.gates.all().items() if scope}
            if self.ledger.gates.get().shut:  # the question about a project has shown that the server is in trouble
                return None
            busy = self.ledger.studies.any_busy
            return [scope for scope, gate in gates.items() if gate.shut or (gate.trial and busy(scope))]

    def are_all_open(self) -> bool:
        """Return whether no gate is shut or on trial, so that any study may be taken without a question to XNAT."""
        gates = self.ledger.gates.all().values()
        return not self.ledger.pauses.lasts(Activity.WORK) and not any(gate.shut or gate.trial for gate in gates)

    def ask(self, question: Callable[[], T]) -> T | None:
        """Ask XNAT something cheap while nothing else is under way, and shut the server's gate if it does not answer.

        Return the answer to the further `question`; None if there is none. Nothing is asked while the gate is shut,
        which is probed elsewhere, or while a person has paused the work.
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
        """Return the projects on trial: they were shut, and one study may now find out whether they are open again."""
        return [scope for scope, gate in self.ledger.gates.all().items() if scope and gate.trial]

    def is_on_trial(self, project: str) -> bool:
        """Return whether a project is on trial: one study finds out whether it is open again."""
        return self.ledger.gates.get(project).trial

    def shut(self, error: WatchdError, project: str = "") -> None:
        """Shut the gate of the server or of a project, unless another worker did so a moment ago."""
        with self.lock:
            gate = self.ledger.gates.get(project)
            if gate.shut and not gate.probe_due(self.clock.now()):
                return
            self._store(project, shut_by(gate, error, self.clock.now(), self.chance()))
            self.log.warning("gate.shut", project=project, reason=str(error))

    def passed(self, project: str = "") -> None:
        """Record that XNAT did what was asked in this project: a gate on trial is now open for every study."""
        with self.lock:
            for scope in {"", project}:
                gate = self.ledger.gates.get(scope)
                if gate.trial:
                    self._store(scope, gate.passed())
                    if scope:
                        self.log.info("gate.open", project=scope)

    def _probed(self) -> Gate:
        """Return the server's gate, after a probe if one is due. No study is used to find out."""
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
        """Return a project's gate, after the cheap question about the project if it is due."""
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
        with suppress(NoRoom):  # the next worker finds out again
            self.ledger.gates.set(scope, gate)
