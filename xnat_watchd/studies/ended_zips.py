"""ZIPs of deliveries that have ended: each goes from the work folder to where the ledger says, or is tried later."""

from __future__ import annotations

from xnat_watchd.adapters.files.layout import folder_name_of, move_out_of_work
from xnat_watchd.adapters.ledger.deliveries import DeliveredZip
from xnat_watchd.core.states import DeliveryState
from xnat_watchd.studies.intake_tools import IntakeTools
from xnat_watchd.studies.rejected_zips import note_of, reason_note
from xnat_watchd.studies.steps.source import is_judged


class EndedZips:
    """Moves ZIPs of which nothing is to be sent."""

    def __init__(self, tools: IntakeTools) -> None:
        self._tools, self._ledger, self._disk = tools, tools.ledger, tools.disk
        self._folders, self._marks, self._log = tools.folders, tools.marks, tools.log
        self.unmoved: set[int] = set()  #: deliveries that have ended, but whose ZIP could not be moved yet

    def try_move_away(self, delivery: int) -> None:
        """Move the ZIP of a delivery that has ended to where the ledger says, a note beside it; or try later."""
        known = self._ledger.deliveries.delivered_zip(delivery)
        if known is None or known.state in (DeliveryState.ARRIVING, DeliveryState.TAKEN):
            return
        try:
            self._move_away(delivery, known)
        except OSError as error:
            self.unmoved.add(delivery)
            self._tools.report(known.name, error)
        else:
            self.unmoved.discard(delivery)

    def is_own(self, delivery: int, known: DeliveredZip) -> bool:
        """Return whether the ZIP in the work folder is proved to be the one of this delivery."""
        path = self._folders.zip_of(delivery)
        as_dropped = self._disk.is_as_dropped(path, known.identity)
        return as_dropped or is_judged(known.judged, path, self._ledger.overwrites, self._disk)

    def put_back(self, delivery: int, name: str) -> None:
        """Put a ZIP back into the drop folder, where it arrives as a new one."""
        self._marks.must_be_known("drop")
        self._disk.put_back(self._folders.zip_of(delivery), self._folders.drop, name)
        self._log.warning("delivery.recovered", item=str(delivery), reason="put back into the drop folder")

    def _move_away(self, delivery: int, known: DeliveredZip) -> None:
        zip_file, kept_as = self._folders.zip_of(delivery), known.kept_as
        in_work = self._disk.exists(zip_file)
        can_go_back = in_work and known.project and kept_as
        if can_go_back and not is_judged(known.judged, zip_file, self._ledger.overwrites, self._disk):
            self._ledger.overwrites.release(delivery, self._tools.clock.now())
            self.put_back(delivery, known.name)
            return
        if kept_as is None:
            if in_work and self.is_own(delivery, known):
                self.put_back(delivery, known.name)
            return
        if in_work and known.state is DeliveryState.DUPLICATE and self._replaces_lost(delivery):
            return
        path = self._folders.kept_path(kept_as)
        self._marks.must_be_known(folder_name_of(kept_as))
        if known.state is DeliveryState.REJECTED:
            self._disk.write(note_of(path), reason_note(delivery, known.why, known.advice, known.project))
        move_out_of_work(self._folders, self._disk, delivery, path, known.studies)
        self._ledger.overwrites.stamp(delivery, self._disk.stamp(path) or "")

    def _replaces_lost(self, duplicate: int) -> bool:
        """Put the ZIP of a duplicate in the place of its original, if that is lost. Return whether it was."""
        original = self._ledger.deliveries.original(duplicate)
        known = self._ledger.deliveries.delivered_zip(original) if original is not None else None
        if original is None or known is None:
            return False
        places = [self._folders.zip_of(original), *([self._folders.kept_path(known.kept_as)] if known.kept_as else [])]
        if any(self._disk.exists(path) for path in places):
            return False
        self._ledger.deliveries.give_zip(duplicate, self._tools.clock.now())
        self._disk.move(self._folders.zip_of(duplicate), places[0])
        self._log.info("delivery.zip_replaced", item=str(original), by=str(duplicate))
        return True
