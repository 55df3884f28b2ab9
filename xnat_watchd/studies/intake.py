"""Take ZIPs from the drop folder into the ledger: list, wait until they stand still, take, open, record.

The folder is the truth; events of the file system are hints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from xnat_watchd.adapters.files.disk import Disk, OddEntry, identity
from xnat_watchd.adapters.files.folder_marks import FolderMarks
from xnat_watchd.adapters.files.layout import (
    Folders,
    kept_in_done,
    kept_in_failed,
    owner_of,
)
from xnat_watchd.adapters.files.named_file import names_file_in
from xnat_watchd.adapters.files.stamps import Changed
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.delivery import ZipContents
from xnat_watchd.core.errors import Stopped, Taken, TakenOver, Unusable
from xnat_watchd.core.lease import LEASE
from xnat_watchd.core.loose_files import WAITS
from xnat_watchd.core.ports import CheckObserver, Clock, Log
from xnat_watchd.core.refusals import BEING_TAKEN, NO_PROJECT, NOT_COMPLETE, STILL_WRITTEN, Reason, refusal
from xnat_watchd.core.settling import FileStat, WatchedFile, next_quiet, quiet, settle
from xnat_watchd.core.states import DeliveryState
from xnat_watchd.studies.drop_folder import DropFolder, IntakeRules, printable
from xnat_watchd.studies.early_sending import EarlySendings
from xnat_watchd.studies.ended_zips import EndedZips
from xnat_watchd.studies.forgotten_zips import NOT_KNOWN, ForgottenZips
from xnat_watchd.studies.intake_tools import IntakeTools
from xnat_watchd.studies.overwritten_zips import OverwrittenZips
from xnat_watchd.studies.rejected_zips import RejectedZips

DIGEST_LIMIT = 256 * 1024**2  #: bytes up to which a refused file is read for its digest
FATAL_OPENINGS = 3  #: after so many openings that never ended, opening this ZIP may be what kills the service


class Intake:
    """Takes ZIPs. Call `sweep` at any time, but from one thread only.

    `recorded` is called as soon as a study can be carried, so that it need not wait for the end of the sweep.
    `is_whole` and `open_zip` may raise `Stopped`, which ends a sweep between two ZIPs or in the middle of one.
    """

    def __init__(  # noqa: PLR0913 - each is given by name
        self,
        *,
        ledger: Ledger,
        disk: Disk,
        folders: Folders,
        marks: FolderMarks,
        clock: Clock,
        log: Log,
        rules: IntakeRules,
        open_zip: Callable[[Path, CheckObserver | None], ZipContents],
        is_whole: Callable[[Path], bool],
        recorded: Callable[[], None] = lambda: None,
        early: EarlySendings | None = None,
    ) -> None:
        self._ledger, self._disk, self._folders, self._log = ledger, disk, folders, log
        self._marks, self._drop = marks, DropFolder(disk, folders.drop, rules)
        self._rules, self._open_zip, self._is_whole, self._recorded = rules, open_zip, is_whole, recorded
        self._early = early or EarlySendings()
        self._rejected = RejectedZips(ledger.deliveries, disk, folders)
        self._forgotten = ForgottenZips(ledger, disk, folders, log)
        self._tools = IntakeTools(
            ledger=ledger, disk=disk, folders=folders, marks=marks, clock=clock, log=log, report=self._report_refusal
        )
        self._ended, self._overwritten = EndedZips(self._tools), OverwrittenZips(self._tools, recorded)
        self._sightings: Mapping[str, WatchedFile] = {}
        self._settling = 0
        self._ignored: dict[str, Reason] = {}  #: name -> why it is not taken, as of this sweep
        self._noted: tuple[dict[str, Reason], float] | None = None  #: `_ignored` and patience that the ledger knows
        self._advice_due: datetime | None = None  #: when the ledger may have to show more of that
        self._reported: set[str] = set()  #: names of files that the system refused, and that were logged
        self._unfinished = False  #: a fault left a delivery half-done
        self._broken_off = False  #: the last sweep was, perhaps by a change of which it is unknown what became of it
        self._left_due = 0.0  #: when it is looked next (monotonic) for what another station has left in the work folder

    @property
    def settling(self) -> int:
        """Number of ZIPs in the folder that have not stood still for long enough yet, or whose turn has not come."""
        return self._settling

    def configure(self, rules: IntakeRules, clock: Clock) -> None:
        """Use these rules and this clock from the next sweep on. What was seen and what is unfinished stays known."""
        self._rules, self._tools.clock = rules, clock
        self._drop.configure(rules)

    def count_files(self) -> int:
        """Return how many files lie in the drop folder, other than those that are left alone."""
        return self._drop.count_files()

    def sweep(self) -> float | None:
        """Look into the folder and take every whole ZIP. Return the seconds until the next sweep may take more."""
        if self._broken_off:
            self._finish_untold()
        self._broken_off = True
        wait = self._look_and_take()
        self._broken_off = False
        return wait

    def _look_and_take(self) -> float | None:
        self._ignored = {}  # first: what cannot be finished is listed, too
        self._rejected.look()
        self._marks.must_be_known("work")
        if self._ledger.deliveries.take_over() or self._unfinished:
            self._finish()
        self._finish_left()
        self._overwritten.check()
        self._overwritten.give_back_copies()
        found = self._drop.look()
        self._ignored |= found.ignored
        for odd in found.odd:
            self._ignore_odd(odd)
        now = self._tools.clock.monotonic()
        self._sightings = settle(found.zips, self._sightings, now)
        still = quiet(self._sightings, now, self._rules.quiet_for)
        for looked_at, sighting in enumerate(still):
            self._settling = len(self._sightings) - looked_at  # a sweep of many takes long, and people look meanwhile
            self._consider(sighting, now)
        self._settling = len(self._sightings) - len(still)
        if self._drop_is_known():  # else a missing file may lie on a disk that is not mounted
            self._note_ignored()
        self._reported.intersection_update(self._ignored)
        return next_quiet(self._sightings, now, self._rules.quiet_for)

    def recover(self) -> None:
        """Finish or undo what was under way when the service stopped. `OSError` if the work folder is not ours."""
        self._marks.must_be_known("work")
        may_be_anothers = self._ledger.stations.has_company()
        unknown = list[int]()
        for name in self._disk.names(self._folders.work):
            owner = owner_of(name)
            if owner is not None and owner[1] is None:
                try:
                    if not self._recover_zip(owner[0]):
                        unknown.append(owner[0])
                except OSError as error:  # it stays there until the next start and disturbs nothing
                    self._report_refusal(name, error)
            elif not may_be_anothers and (owner is not None or (name.startswith(".") and name.endswith(".part"))):
                self._disk.remove(self._folders.work / name)  # a copy that can be made again
        self._forgotten.enter(unknown, self._tools.clock.now())
        self._finish()

    def _drop_is_known(self) -> bool:
        try:
            self._marks.must_be_known("drop")
        except OSError:
            return False
        return True

    def _note_ignored(self) -> None:
        """Have the ledger know which files are not taken: when they have become others, and when an advice is due."""
        now, patience = self._tools.clock.now(), self._rules.incomplete_after
        if (self._ignored, patience) != self._noted or (self._advice_due is not None and now >= self._advice_due):
            self._advice_due = self._ledger.deliveries.ignore(self._ignored, now, patience, WAITS)
            self._noted = self._ignored, patience

    def _ignore_odd(self, odd: OddEntry) -> None:
        if odd.error is not None:
            self._report_refusal(odd.path, odd.error)
        self._ignored[printable(odd.path)] = odd.what, self._refusal(odd.error)[1] if odd.error else ""

    # Take.

    def _consider(self, sighting: WatchedFile, now: float) -> None:
        path = sighting.seen.path
        try:
            whole = self._is_whole(self._folders.drop / path)
            if not whole and now - sighting.same_since < self._rules.incomplete_after:
                self._ignored[printable(path)] = NOT_COMPLETE
                return
            self._take(sighting.seen)  # if it is not whole, opening it shows why
        except Changed:
            self._ignored[printable(path)] = STILL_WRITTEN
        except FileNotFoundError:
            return
        except OSError as error:
            self._report_refusal(path, error)

    def _take(self, seen: FileStat) -> None:
        project, name = self._drop.project_of(seen.path), printable(seen.path)
        if project is None:  # by rules that were set since the folder was listed
            self._ignored[name] = NO_PROJECT
            return
        self._disk.ensure_free(self._folders.drop / seen.path, seen)  # before it gets a number
        try:
            delivery = self._ledger.deliveries.expect(name, project, identity(seen), self._tools.clock.now())
        except (Taken, TakenOver):
            self._ignored[name] = BEING_TAKEN
            return
        self._unfinished = True  # until it is done, whatever goes wrong
        try:
            self._disk.take(self._folders.drop / seen.path, self._folders.zip_of(delivery), seen)
        except (OSError, Stopped) as error:
            if isinstance(error, FileExistsError) or not self._disk.exists(self._folders.zip_of(delivery)):
                self._unfinished = bool(self._ended.unmoved)
                if not self._withdraw(delivery):
                    return
            raise
        self._log.info("delivery.taken", item=str(delivery), project=project)
        self._unfinished = not self._open(delivery, name, project, attempt=1) or bool(self._ended.unmoved)

    def _refusal(self, error: OSError) -> Reason:
        return refusal(error, of_work=names_file_in(self._folders.work, error))

    def _report_refusal(self, path: str, error: OSError) -> None:
        """List a file that the system refuses, and log it: once, and without its name."""
        name, reason = printable(path), self._refusal(error)
        self._ignored[name] = reason
        if name not in self._reported:
            self._reported.add(name)
            self._log.warning("file.refused", reason=reason[0])

    # Finish.

    def _finish(self) -> None:
        """Finish what a crash or a fault of the disk has interrupted. What fails again is tried at the next sweep."""
        self._unfinished, failed = True, False
        for arrival in self._ledger.deliveries.arrivals():
            if not self._disk.exists(self._folders.zip_of(arrival.id)):
                if self._withdraw(arrival.id):
                    self._ended.try_move_away(arrival.id)  # the station that took it may have moved it there just now
                continue
            try:
                attempt = self._ledger.deliveries.begin_opening(arrival.id)
                failed |= not self._open(arrival.id, arrival.name, arrival.project, attempt)
            except TakenOver:
                failed = True
            except OSError as error:
                failed = True
                self._report_refusal(arrival.name, error)
        for delivery in sorted(self._ended.unmoved):
            self._ended.try_move_away(delivery)
        self._unfinished = failed or bool(self._ended.unmoved)

    def _finish_untold(self) -> None:
        """Finish what was recorded by a change whose answer was lost: a file is expected, or its ZIP has ended."""
        self._unfinished = True
        for delivery in self._zips_in_work():
            known = self._ledger.deliveries.delivered_zip(delivery)
            if known and known.state in (DeliveryState.REJECTED, DeliveryState.DUPLICATE):
                self._ended.try_move_away(delivery)

    def _finish_left(self) -> None:
        """Move away what has ended and still lies in the work folder: who recorded its end may be gone for good.

        It was left for as long as a station has that is heard of no more.
        """
        if not self._ledger.stations.shared or self._tools.clock.monotonic() < self._left_due:
            return
        self._left_due = self._tools.clock.monotonic() + LEASE
        zips = self._zips_in_work()
        before = self._tools.clock.now() - timedelta(seconds=LEASE)
        left = self._ledger.deliveries.left_in_work(zips, before) if zips else []
        self._forgotten.enter(
            [delivery for delivery in left if not self._recover_zip(delivery)], self._tools.clock.now()
        )

    def _zips_in_work(self) -> list[int]:
        """Return the deliveries of which a ZIP lies in the work folder."""
        owners = map(owner_of, self._disk.names(self._folders.work))
        return [owner[0] for owner in owners if owner and owner[1] is None]

    def _withdraw(self, delivery: int) -> bool:
        """End a delivery whose file was gone. Return False if another station has taken it over, and may have it."""
        try:
            self._ledger.deliveries.withdraw(delivery, self._tools.clock.now())
        except TakenOver:
            self._log.warning("delivery.taken_over", item=str(delivery))
            return False
        return True

    def _recover_zip(self, delivery: int) -> bool:
        """Return False for a ZIP that is not proved to be the one of this delivery."""
        known = self._ledger.deliveries.delivered_zip(delivery)
        if known is None:
            return False
        if known.state is DeliveryState.TAKEN:  # its bytes are compared before any is sent
            return True
        if not self._ended.is_own(delivery, known):
            return False
        self._ended.try_move_away(delivery)
        return True

    # Open and record.

    def _open(self, delivery: int, name: str, project: str, attempt: int) -> bool:
        """Open a ZIP and record what it holds. Return False if nothing was recorded: this station was found gone."""
        try:
            self._judge(delivery, name, project, attempt)
        except TakenOver:
            self._log.warning("delivery.taken_over", item=str(delivery))
            self._ledger.deliveries.end_opening(delivery)
            self._ended.try_move_away(delivery)  # who took it over may not have found it, and have withdrawn it
            return False
        finally:
            self._early.close()
        return True

    def _judge(self, delivery: int, name: str, project: str, attempt: int) -> None:
        if attempt > FATAL_OPENINGS:
            self._reject(delivery, name, Unusable(
                f"the service died {FATAL_OPENINGS} times while it opened this ZIP",
                advice="Keep the ZIP and report it. Export the study again and drop the new ZIP.",
            ))  # fmt: skip
            return
        path = self._folders.zip_of(delivery)
        try:
            stamp = self._disk.secure(path)
            found = self._opened(delivery, project, path, stamp) if project else NOT_KNOWN
            ends = 0 if isinstance(found, Unusable) else found.first_image_ends
            replaced = self._rejected.within(delivery, project, ends)
            self._disk.require_stamp(path, stamp)
        except Changed:
            if not project:  # it may not go back to where it would be taken for one
                raise
            self._ledger.deliveries.must_be_ours(delivery)  # another host that has taken it over copies it first
            self._ended.put_back(delivery, name)
            self._ledger.deliveries.withdraw(delivery, self._tools.clock.now())
            raise
        except (OSError, Stopped):
            self._ledger.deliveries.end_opening(delivery)
            raise
        if isinstance(found, Unusable):
            self._reject(delivery, name, found, stamp)
        else:
            self._record(delivery, name, project, found, stamp, replaced)

    def _opened(self, delivery: int, project: str, path: Path, stamp: str) -> ZipContents | Unusable:
        observer = self._early.offer(delivery, project, path, stamp)
        try:
            return self._open_zip(path, observer)
        except Unusable as error:
            return error

    def _record(
        self, delivery: int, name: str, project: str, contents: ZipContents, stamp: str, replaced: Mapping[int, str]
    ) -> None:
        """Record what a ZIP contains. `replaced`: the rejected deliveries that it holds, and where their ZIPs lie."""
        now = self._tools.clock.now()
        kept_as = self._folders.free(kept_in_done(delivery, name, now))
        with self._early.decided() as adopt, self._ledger.together():
            other = self._ledger.deliveries.record(delivery, contents, kept_as, now, stamp)
            settled = [one for one in replaced if self._ledger.deliveries.replace(one, delivery, now)]
            if other is None and contents.as_it_is:
                adopt(self._ledger, now)
        for one in settled:
            self._log.info("delivery.replaced", item=str(one), by=str(delivery))
            self._rejected.note_replaced(replaced[one], delivery, now)
        if other is None:
            self._log.info("delivery.recorded", item=str(delivery), project=project, studies=len(contents.studies))
        else:
            self._log.info("delivery.duplicate", item=str(delivery))
            self._ended.try_move_away(delivery)
        self._recorded()

    def _reject(self, delivery: int, name: str, error: Unusable, stamp: str = "") -> None:
        kept_as = self._folders.free(kept_in_failed(delivery, name))
        sha256 = self._digest(self._folders.zip_of(delivery))
        self._ledger.deliveries.reject(delivery, error, kept_as, self._tools.clock.now(), sha256, stamp)
        self._rejected.look()
        self._log.warning("delivery.rejected", item=str(delivery), reason=str(error))
        self._ended.try_move_away(delivery)

    def _digest(self, path: Path) -> str | None:
        """Return the digest, by which the same bytes are known again; None if the file is large or cannot be read.

        A refused file may be sparse and terabytes long, and its digest is only a convenience.
        """
        try:
            return self._disk.digest(path) if path.stat().st_size <= DIGEST_LIMIT else None
        except OSError:
            return None
