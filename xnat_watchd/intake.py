"""From the drop folder into the ledger: list, settle, take, open, record. The folder is the truth, events are hints."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from xnat_watchd.adapters.files import Changed, Disk, identity
from xnat_watchd.adapters.folders import Folders, put_away, resting_done, resting_failed, whose
from xnat_watchd.adapters.ledger import Ledger
from xnat_watchd.core.delivery import ZipContents
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.ports import Clock, Log
from xnat_watchd.core.settling import Seen, Sighting, next_quiet, quiet, settle
from xnat_watchd.core.states import DeliveryState

FATAL_OPENINGS = 3  #: begun so often without an end, opening a ZIP may be what kills us

Ignored = dict[str, tuple[str, str]]  #: name -> why it is not taken, and what to do (empty: nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the folder is treated. Times in seconds."""

    quiet_for: float
    incomplete_after: float
    ignore: tuple[str, ...]  #: patterns of file names
    project: str  #: for all but the named ones; empty: the first folder names the project
    projects: Collection[str]  #: folders below drop that are projects of their own


class Intake:
    """The one who takes ZIPs. `sweep` may be called at any time, and by one thread only."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        disk: Disk,
        folders: Folders,
        clock: Clock,
        log: Log,
        habits: Habits,
        open_zip: Callable[[Path], ZipContents],
        is_whole: Callable[[Path], bool],
    ) -> None:
        self._ledger, self._disk, self._folders, self._clock, self._log = ledger, disk, folders, clock, log
        self._habits, self._open_zip, self._is_whole = habits, open_zip, is_whole
        self._sightings: Mapping[str, Sighting] = {}
        self._settling = 0

    @property
    def settling(self) -> int:
        """How many ZIPs in the folder stand still for not long enough yet."""
        return self._settling

    def sweep(self) -> float | None:
        """Look into the folder and take what is whole. Gives the seconds until another look may take more."""
        files, ignored = self._sorted_out()
        now = self._clock.monotonic()
        self._sightings = settle(files, self._sightings, now)
        still = quiet(self._sightings, now, self._habits.quiet_for)
        for sighting in still:
            self._consider(sighting, now, ignored)
        self._settling = len(self._sightings) - len(still)
        self._ledger.deliveries.ignore(ignored)
        return next_quiet(self._sightings, now, self._habits.quiet_for)

    def recover(self) -> None:
        """Finish or undo what was under way when the service stopped."""
        for name in self._disk.names(self._folders.work):
            mine = whose(name)
            if mine is None:
                if name.startswith(".") and name.endswith(".part"):
                    self._disk.remove(self._folders.work / name)
            elif mine[1] is None:
                self._recover_zip(mine[0])
        for arrival in self._ledger.deliveries.arrivals():
            if not self._disk.lies(self._folders.zip_of(arrival.id)):
                self._ledger.deliveries.withdraw(arrival.id, self._clock.now())

    # List and settle.

    def _sorted_out(self) -> tuple[list[Seen], Ignored]:
        files: list[Seen] = []
        ignored: Ignored = {}
        for seen in self._disk.look(self._folders.drop):
            why = self._why_not(seen.path)
            if why is None:
                files.append(seen)
            else:
                ignored[_printable(seen.path)] = why
        return files, ignored

    def _why_not(self, path: str) -> tuple[str, str] | None:
        name = path.rpartition("/")[2]
        if name.startswith("."):
            return "hidden", ""
        if any(fnmatch(name.lower(), pattern.lower()) for pattern in self._habits.ignore):
            return "a temporary name", ""
        if not name.lower().endswith(".zip"):
            return "no ZIP", ""
        if self._project_of(path) is None:
            return "no project", "Move it into a folder that is named after its XNAT project."
        return None

    def _project_of(self, path: str) -> str | None:
        first = path.partition("/")[0] if "/" in path else None
        if first is not None and (first in self._habits.projects or not self._habits.project):
            return first
        return self._habits.project or None

    # Take.

    def _consider(self, sighting: Sighting, now: float, ignored: Ignored) -> None:
        path = sighting.seen.path
        try:
            whole = self._is_whole(self._folders.drop / path)
            if not whole and now - sighting.same_since < self._habits.incomplete_after:
                ignored[_printable(path)] = ("not complete yet: its directory does not read", "")
                return
            self._take(sighting.seen, whole=whole)
        except Changed:
            return
        except FileNotFoundError:
            return
        except OSError as error:
            ignored[_printable(path)] = _refusal(error)

    def _take(self, seen: Seen, *, whole: bool) -> None:
        project = self._project_of(seen.path) or ""
        name = _printable(seen.path)
        delivery = self._ledger.deliveries.expect(name, project, identity(seen), self._clock.now())
        try:
            self._disk.take(self._folders.drop / seen.path, self._folders.zip_of(delivery), seen)
        except OSError:
            self._ledger.deliveries.withdraw(delivery, self._clock.now())
            raise
        self._log.info("delivery.taken", item=str(delivery), project=project)
        if whole:
            self._open(delivery, name, project)
        else:
            self._reject(delivery, name, Unusable("the ZIP is not complete: its directory does not read"))

    def _recover_zip(self, delivery: int) -> None:
        known = self._ledger.deliveries.resting(delivery)
        if known is None:
            self._adopt(delivery)
        elif known[0] is DeliveryState.ARRIVING:
            arrival = next(one for one in self._ledger.deliveries.arrivals() if one.id == delivery)
            self._open(delivery, arrival.name, arrival.project)
        elif known[1] is not None:
            put_away(self._folders, self._disk, delivery, known[1])

    def _adopt(self, number: int) -> None:
        """Put a ZIP without a row back into the drop folder: the ledger is another one, and it arrives again."""
        back = self._disk.move(self._folders.zip_of(number), self._folders.drop / f"recovered-{number}.zip")
        self._log.warning("delivery.recovered", item=str(number), reason=f"put back as {back.name}")

    # Open and record.

    def _open(self, delivery: int, name: str, project: str) -> None:
        if self._ledger.deliveries.opening(delivery) > FATAL_OPENINGS:
            self._reject(delivery, name, Unusable(
                f"the service died {FATAL_OPENINGS} times while it opened this ZIP",
                advice="Keep the ZIP and report it; export the study again and drop the new one.",
            ))  # fmt: skip
            return
        try:
            contents = self._open_zip(self._folders.zip_of(delivery))
        except Unusable as error:
            self._reject(delivery, name, error)
            return
        other = self._ledger.deliveries.under_way(project, contents.sha256)
        if other is not None:
            self._same_again(delivery, other, name, contents)
            return
        self._ledger.deliveries.record(delivery, contents, self._clock.now())
        self._log.info("delivery.recorded", item=str(delivery), project=project, studies=len(contents.studies))

    def _same_again(self, delivery: int, other: int, name: str, contents: ZipContents) -> None:
        """End a delivery whose bytes are under way: dropping them again is how people say retry."""
        now = self._clock.now()
        for key in self._ledger.studies.held_of(other):
            self._ledger.studies.release(key, now)
        resting = resting_done(delivery, name, now)
        self._ledger.deliveries.duplicate(delivery, other, contents, resting, now)
        put_away(self._folders, self._disk, delivery, resting)
        self._log.info("delivery.duplicate", item=str(delivery))

    def _reject(self, delivery: int, name: str, error: Unusable) -> None:
        resting = resting_failed(delivery, name)
        self._ledger.deliveries.reject(delivery, error, resting, self._clock.now())
        path = self._folders.rest(resting)
        self._disk.write(path.with_name(f"{path.name}.txt"), _note(delivery, error))
        put_away(self._folders, self._disk, delivery, resting)
        self._log.warning("delivery.rejected", item=str(delivery), reason=str(error))


def _note(delivery: int, error: Unusable) -> str:
    return f"Delivery {delivery} could not be used.\n\nWhy: {error}.\nWhat to do: {error.advice}\n"


def _printable(path: str) -> str:
    """Names are any bytes; what is shown and kept is text."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _refusal(error: OSError) -> tuple[str, str]:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "may not be read or moved by the service", "Give the service's group the right to write there."
    if error.errno in (errno.EBUSY, errno.ETXTBSY):
        return "in use by another program", ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no space left to take it", "Free some space on the disk of the work folder."
    return f"cannot be taken ({errno.errorcode.get(error.errno or 0, 'unknown fault')})", "Look at the disk."
