"""Send one ZIP to a place of ours, and record in the ledger what is known before, during and after the upload."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from xnat_watchd.core.delivery import Instance, Item, Place
from xnat_watchd.core.errors import AlreadyImported, Misplaced, RepeatOnce, Transient, WatchdError
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.source import disk_errors_translated, judged_zip

OURS = "watchd-"  #: prefix of the folder of every place that we choose
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
    source, stamp = judged_zip(item, tools)
    size, clean = tools.disk.size(source) or 0, tools.folders.clean_zip(item.name)
    whole = len(missing) == len(tools.ledger.contents.instances(item))
    named = not anew or tools.gateway.collides() or tools.ledger.places.must_name(item)
    if whole and not named and tools.ledger.deliveries.as_it_is(item.delivery, size):
        return OutgoingZip(source, stamp)
    with disk_errors_translated(source):
        tools.write_clean(source, missing, clean)
    if tools.disk.stamp(source) != stamp:
        raise Transient("its ZIP was written to while it was read")
    return OutgoingZip(clean, "")


def new_place(item: Item, tools: Tools) -> Place:
    """Choose a place that nobody else uses: a time in XNAT's own format and a folder with a random part (F66).

    No other study of ours has this time. If XNAT brings the upload back in another folder, the time shows whose it is.
    """
    now = tools.clock.now()
    while tools.ledger.places.study_at(item.project, _stamp(now)) is not None:
        now += timedelta(milliseconds=1)
    random = "".join(ALPHABET[int(tools.chance() * len(ALPHABET))] for _ in range(10))
    return Place(item.project, _stamp(now), f"{OURS}{item.delivery}-{item.number}-{random}")


def is_chosen(place: Place) -> bool:
    """Return whether this program has chosen the place, on this station or another."""
    return place.folder.startswith(OURS)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%d_%H%M%S}{moment.microsecond // 1000:03d}"


def send_zip(item: Item, place: Place, content: OutgoingZip, tools: Tools) -> None:
    """Send a ZIP. On failure record what is known of the place. Raise the gateway's errors but `AlreadyImported`."""
    places, now, spoken = tools.ledger.places, tools.clock.now, _UploadRecorder(item, content.stamp, tools)
    try:
        tools.gateway.upload(place, str(content.path), spoken, alone=item.attempts > 1)
    except AlreadyImported:
        places.mark_taken(item, now())
    except Misplaced as error:
        places.add_misplaced(item, error.paths)
        raise
    except WatchdError as error:
        if error.spoke or isinstance(error, RepeatOnce):  # XNAT may keep what it refuses (seen on 1.6.4)
            places.mark_doubted(item, now())
        else:
            spoken.refused_unseen()
            if item.import_began is None:
                places.give_up(item, now())
        raise


class _UploadRecorder:
    """Records when the first byte is sent, which may be long after we began to wait for our turn, and when the last is.

    The last byte counts as sent once this machine has handed it to the network. A small body is sent long before XNAT
    reads it. If the service is killed then, XNAT may hold everything. If the answer shows that nothing has read the
    body (a lost login, a proxy that asks to come back later), it was no upload.
    """

    def __init__(self, item: Item, stamp: str, tools: Tools) -> None:
        self._item, self._stamp, self._tools = item, stamp, tools
        self._begun = self._whole = False

    def __call__(self, sent: int, size: int) -> None:
        """Note that `sent` of `size` bytes were sent. Size 0: it is not our turn yet."""
        places, now = self._tools.ledger.places, self._tools.clock.now
        if size and not self._begun:
            places.begin_import(self._item, now(), self._stamp)
            self._begun = True
        if self._begun and sent >= size and not self._whole:
            places.end_import(self._item, now())
            self._whole = True
        self._tools.progressed(sent, size)

    def refused_unseen(self) -> None:
        """Note that the upload was refused before anything read it."""
        if self._whole:
            self._tools.ledger.places.discount_upload(self._item)
