"""Decide in one place whether XNAT may be asked now, and about which projects."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import RLock
from typing import Protocol, TypeVar

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.errors import AuthRefused, NoRoom, Transient, Unavailable, WatchdError
from xnat_watchd.core.gate import AllGates, Gate, Restrictions, shut_by
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
            return self._is_open(self.now())

    def now(self) -> AllGates:
        """Return all gates as they are, and whether the work is paused. XNAT is not asked."""
        return self.ledger.gates.now()

    def restrictions(self) -> Restrictions | None:
        """Return about which projects XNAT may not be asked now; None if it may not be asked at all."""
        with self.lock:
            gates = self.now()
            if not self._is_open(gates):
                return None
            projects = {scope: self._asked_project(scope, gate) for scope, gate in gates.by_scope.items() if scope}
            if projects and self.now().of().shut:  # the question about one has shown that the server is in trouble
                return None
            return Restrictions(
                gates,
                closed=[
                    scope for scope, one in projects.items()
                    if one.shut or (one.trial and self._is_busy_on_trial(one, scope))
                ],
                trials=[scope for scope, one in projects.items() if one.trial],
            )  # fmt: skip

    def is_alone_on_trial(self, found: Restrictions) -> bool:
        """Return whether no other station has taken a study meanwhile where one at a time finds out what XNAT does."""
        return not any(
            gate.trial and self._is_busy_on_trial(gate, scope)
            for scope, gate in self.now().by_scope.items()
            if scope not in found.closed
        )

    def ask(self, question: Callable[[], T]) -> T | None:
        """Ask XNAT something cheap while nothing else is under way, and shut the server's gate if it does not answer.

        Return the answer to the further `question`; None if there is none. Nothing is asked while the gate is shut,
        which is probed elsewhere, or while a person has paused the work.
        """
        gates = self.now()
        if gates.paused or gates.of().shut:
            return None
        try:
            self.prober.probe()
            return question()
        except (Unavailable, AuthRefused) as error:
            self.shut(error)
        except Transient:  # asked again the next time
            pass
        return None

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
            gates = self.now()
            for scope in {"", project}:
                gate = gates.of(scope)
                if gate.trial:
                    self._store(scope, gate.passed())
                    if scope:
                        self.log.info("gate.open", project=scope)

    def _is_open(self, gates: AllGates) -> bool:
        if gates.paused:
            return False
        gate = self._probed(gates.of())
        return not gate.shut and not (gate.trial and self._is_busy_on_trial(gate))

    def _is_busy_on_trial(self, gate: Gate, project: str = "") -> bool:
        """Return whether a study finds out already; of a login, that is one that goes by it, so one of this station."""
        studies = self.ledger.studies
        return studies.any_busy_here() if gate.login else studies.any_busy(project)

    def _probed(self, gate: Gate) -> Gate:
        """Return the server's gate, after a probe if one is due. No study is used to find out."""
        now = self.clock.now()
        if not gate.probe_due(now) or not self.ledger.gates.may_probe("", gate, now):
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
        if self.refusal is None or not gate.probe_due(now) or not self.ledger.gates.may_probe(project, gate, now):
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
