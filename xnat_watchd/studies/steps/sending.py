"""Send one ZIP to a place of ours, and record in the ledger what is known before, during and after the upload."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from xnat_watchd.core.delivery import Instance, Item, Place
from xnat_watchd.core.errors import AlreadyImported, Misplaced, RepeatOnce, Transient, WatchdError
from xnat_watchd.core.place_names import OURS
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.source import disk_errors_translated, source_zip

A_MOMENT = 1.0  #: seconds; what is sent in less is recorded as if it were sent at once
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  #: without letters that are mistaken for one another


@dataclass(frozen=True, slots=True)
class OutgoingZip:
    """A ZIP to send. `stamp`: the stamp of the ZIP that came; empty if this is a clean one that we wrote."""

    path: Path
    stamp: str


def zip_of(item: Item, missing: Collection[Instance], tools: Tools, *, anew: bool) -> OutgoingZip:
    """Return the ZIP to send: the one that came, with its stamp, if it may go as it is; else a clean one that we write.

    Both are checked to hold what was judged; the one that came is checked once more after it was sent. Images that are
    added to a session are named by their SOPInstanceUIDs: a scanner gives its files new names at each export, and XNAT
    refuses a file whose name the session has already, whatever is in it (seen on XNAT 1.6.5, F73).
    """
    source, clean = source_zip(item, tools), tools.folders.clean_zip(item.name)
    whole = len(missing) == item.images
    named = not anew or tools.gateway.collides() or tools.ledger.places.must_name(item)
    if whole and not named and source.as_it_is and tools.disk.size(source.path) == source.size:
        return OutgoingZip(source.path, source.stamp)
    with disk_errors_translated(source.path):
        tools.write_clean(source.path, missing, clean)
    if tools.disk.stamp(source.path) != source.stamp:
        raise Transient("its ZIP was written to while it was read")
    return OutgoingZip(clean, "")


def new_place(project: str, item: str, tools: Tools) -> Place:
    """Choose a place that nobody else uses: a time in XNAT's own format and a folder with a random part (F66).

    No other study of ours has this time. If XNAT brings the upload back in another folder, the time shows whose it is.
    The folder is the session's name in the prearchive, too. It must be: a newer server adds the upload to any row of
    the same study and name (F148), and a project that archives by itself makes it the session's label (F99).
    """
    now = tools.clock.now()
    while tools.ledger.places.study_at(project, _stamp(now)) is not None:
        now += timedelta(milliseconds=1)
    random = "".join(ALPHABET[int(tools.chance() * len(ALPHABET))] for _ in range(10))
    return Place(project, _stamp(now), f"{OURS}{item}-{random}")


def is_chosen(place: Place) -> bool:
    """Return whether this program has chosen the place, on this station or another."""
    return place.folder.startswith(OURS)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%d_%H%M%S}{moment.microsecond // 1000:03d}"


def send_zip(
    item: Item, place: Place, content: OutgoingZip, tools: Tools, choose: Callable[[datetime, str], None] | None = None
) -> None:
    """Send a ZIP to our place. On failure record what is known of the place.

    `choose` records a new place as such, and that an import of the ZIP of a stamp begins there at a time. Raise the
    gateway's errors but `AlreadyImported`.
    """
    record = UploadRecord(item, content.stamp, tools)
    record.begin(choose)
    with outcome_recorded(item, record, tools):
        tools.gateway.upload(place, str(content.path), record, alone=item.attempts > 1)


@contextmanager
def outcome_recorded(item: Item, record: UploadRecord, tools: Tools) -> Iterator[None]:
    """Record what is known of the current place when the upload in the block fails. `AlreadyImported` is no failure."""
    places, now = tools.ledger.places, tools.clock.now
    try:
        yield
    except AlreadyImported:
        with tools.ledger.together():
            record.end()
            places.mark_taken(item, now())
    except Misplaced as error:
        with tools.ledger.together():
            record.end()
            places.add_misplaced(item, error.paths)
        raise
    except WatchdError as error:
        with tools.ledger.together():
            record.end()
            if error.spoke or isinstance(error, RepeatOnce):  # XNAT may keep what it refuses (seen on 1.6.4)
                places.mark_doubted(item, now())
            else:
                record.refused_unseen()
                if item.import_began is None:
                    places.give_up(item, now())
        raise


class UploadRecord:
    """What the ledger holds of an upload: when something of it was sent last, and whether that was all.

    Most studies are sent in less than a moment. So an upload is recorded, before its first byte, as if all of it were
    sent then; it is never recorded as less than XNAT may have. One that takes longer is corrected: while it waits for
    its turn, nothing is sent; then a part; and all, when the last byte is sent. The waits that begin with the last byte
    are minutes, so that a moment more or less is nothing to them.

    The last byte counts as sent once this machine has handed it to the network. A small body is sent long before XNAT
    reads it. If the service is killed then, XNAT may hold everything. If the answer shows that nothing has read the
    body (a lost login, a proxy that asks to come back later), it was no upload.
    """

    def __init__(self, item: Item, stamp: str, tools: Tools) -> None:
        self._item, self._stamp, self._tools = item, stamp, tools
        self._begun = self._whole = False  #: whether the first byte, and the last, were sent
        self._began: float | None = None  #: when it was recorded as if all were sent; None if it was corrected

    def begin(self, choose: Callable[[datetime, str], None] | None = None) -> None:
        """Record, before anything is sent, as if all of it were sent now; with `choose`, to a new place."""
        begin = choose or partial(self._tools.ledger.places.begin_import, self._item)
        begin(self._tools.clock.now(), self._stamp)
        self._began = self._tools.clock.monotonic()

    def go_on(self) -> None:
        """Go on with an upload of which a part is sent, and which was just recorded as if all of it were."""
        self._begun, self._began = True, self._tools.clock.monotonic()

    def __call__(self, sent: int, size: int) -> None:
        """Note that `sent` of `size` bytes were sent. Size 0: it is not our turn yet."""
        if self._began is not None and self._tools.clock.monotonic() - self._began >= A_MOMENT:
            self.end()
        if size and not self._begun:
            self._begun = True
            if self._began is None:
                self.begin()
        if self._begun and sent >= size and not self._whole:
            self._whole = True
            if self._began is None:
                self._tools.ledger.places.end_import(self._item, self._tools.clock.now())
        self._tools.progressed(sent, size)

    def end(self) -> None:
        """Correct what was recorded if it is not so: not all of it was sent, or nothing."""
        if self._began is not None and not self._whole:
            last = self._tools.clock.now() if self._begun else self._item.import_began
            self._tools.ledger.places.correct_import(self._item, last)
            self._began = None

    def refused_unseen(self) -> None:
        """Note that the upload was refused before anything read it."""
        if self._whole:
            self._tools.ledger.places.discount_upload(self._item)
