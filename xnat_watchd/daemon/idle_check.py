"""The idle check: XNAT is asked while there is nothing to do, so that a problem is known before the next ZIP comes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.errors import unwritable
from xnat_watchd.core.ports import Clock
from xnat_watchd.operator.status import About, attention_row
from xnat_watchd.studies.steps.gates import XnatGates

EVERY = 300.0  #: seconds between two checks; up to a quarter less by chance, so that many stations do not ask at once


@dataclass(kw_only=True)
class IdleCheck:
    """Checks XNAT at the start, and from time to time while no study is carried.

    One thread runs the check; other threads only read `problems`.
    """

    gates: XnatGates
    reachable: Callable[[Collection[str]], Mapping[str, bool]]  #: projects, and whether we may add to them
    ledger: Ledger
    clock: Clock
    unwritable: Sequence[str] = ()  #: projects of the settings that XNAT did not list as writable for us
    due: float = 0.0  #: when the next check is due (monotonic seconds)

    def put_off(self) -> None:
        """Postpone the check: the work itself has just talked to XNAT."""
        self.due = self.clock.monotonic() + EVERY * (1 - self.gates.chance() / 4)

    def ask_if_due(self, projects: Collection[str]) -> None:
        """Check the server, our login and these projects, if that is due and nothing is under way."""
        if self.clock.monotonic() < self.due or self._is_at_work():
            return
        self.put_off()
        seen = self.gates.ask(lambda: self.reachable(projects) if projects else {})
        if seen is not None:
            self.unwritable = [name for name in projects if not seen.get(name)]

    def problems(self) -> list[dict[str, object]]:
        """Return a row for each project of the settings that XNAT does not list as writable."""
        return [_problem(name) for name in self.unwritable]

    def _is_at_work(self) -> bool:
        now, gates = self.clock.now(), self.ledger.gates.all()
        due = self.ledger.studies.next_due(now, [scope for scope, gate in gates.items() if gate.shut])
        return self.ledger.studies.any_busy_here() or (due is not None and due <= now)


def _problem(project: str) -> dict[str, object]:
    error = unwritable(project)
    advice = "Check the project's ID in the settings, and that the account is a member or owner of it."
    return {**attention_row("project", f"project {project}: {error}", advice, About.PROJECT), "project": project}
