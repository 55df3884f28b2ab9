"""ZIPs that were written to after they were judged: a verdict holds only for the bytes that were judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xnat_watchd.adapters.ledger.judged_zips import JudgedZip
from xnat_watchd.adapters.ledger.overwrites import MOST_WATCHED
from xnat_watchd.core.states import DeliveryState
from xnat_watchd.studies.intake_tools import IntakeTools
from xnat_watchd.studies.rejected_zips import note_of
from xnat_watchd.studies.steps.source import is_judged


class OverwrittenZips:
    """Has ZIPs that were written to judged anew. `recorded` is as in `Intake`."""

    def __init__(self, tools: IntakeTools, recorded: Callable[[], None]) -> None:
        self._tools, self._ledger, self._disk = tools, tools.ledger, tools.disk
        self._folders, self._marks, self._log = tools.folders, tools.marks, tools.log
        self._recorded = recorded
        self._checked = 0  #: the last delivery under way that was checked for changes; 0: begin with the first

    def check(self) -> None:
        """Have every ZIP judged again that was written to: a verdict holds only for the bytes that were judged.

        Where very many are under way, a sweep checks some of them and the next one goes on: each of them is checked
        when it is sent in any case.
        """
        watched = self._ledger.overwrites.watched(self._tools.clock.now(), self._checked)
        taken = [one.delivery for one in watched if one.state is DeliveryState.TAKEN]
        self._checked = taken[-1] if len(taken) >= MOST_WATCHED else 0
        for judged in watched:
            kept, ours = judged.kept_as, self._folders.zip_of(judged.delivery)
            path = self._folders.kept_path(kept) if kept else ours
            try:
                if self._disk.stamp(path) in {None, judged.stamp}:
                    continue
                if not is_judged(
                    self._ledger.overwrites.judged(judged.delivery), path, self._ledger.overwrites, self._disk
                ):
                    self._judge_anew(judged, path)
            except OSError as error:
                self._tools.report(judged.name, error)

    def give_back_copies(self) -> None:
        """Put duplicates back into the drop folder whose original was written to in the root of another station."""
        for copy in self._ledger.overwrites.copies_of_others():
            try:
                self._judge_anew(copy, self._folders.kept_path(copy.kept_as or ""))
            except OSError as error:
                self._tools.report(copy.name, error)

    def _judge_anew(self, judged: JudgedZip, path: Path) -> None:
        now = self._tools.clock.now()
        if judged.kept_as is not None:
            self._marks.must_be_known("drop")
            self._disk.put_back(path, self._folders.drop, judged.name)
        if judged.state is DeliveryState.REJECTED:
            self._disk.remove(note_of(path))
            self._ledger.overwrites.supersede(judged.delivery, now)
        elif judged.kept_as is not None:
            self._ledger.overwrites.release(judged.delivery, now)
        else:  # it goes back to the drop folder once its studies have ended
            self._ledger.overwrites.mark_changed(judged.delivery, now)
            self._recorded()
        self._log.warning("delivery.changed", item=str(judged.delivery))
