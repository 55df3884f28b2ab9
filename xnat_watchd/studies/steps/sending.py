"""Sending one ZIP to a place of ours: what is sent, and what is written down before it goes, while and afterwards."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from xnat_watchd.core.delivery import Instance, Item, Place
from xnat_watchd.core.errors import AlreadyImported, Misplaced, RepeatOnce, Transient, WatchdError
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.source import disk_errors_translated, judged_zip

OURS = "watchd-"  #: begins the folder of every place that we choose
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  #: without letters that are mistaken for one another


@dataclass(frozen=True, slots=True)
class OutgoingZip:
    """A ZIP to send. `stamp`: of the one that came; empty where it is a clean one, which is ours."""

    path: Path
    stamp: str


def zip_of(item: Item, missing: Collection[Instance], tools: Tools, *, anew: bool) -> OutgoingZip:
    """Return the ZIP to send: the one that came if it may go as it is, with its stamp; else a clean one, which is ours.

    Of both it is seen that they hold what was judged, of the first once more when it has been sent. What is added to a
    session is named by its SOP Instance UIDs: a scanner's export names its files anew each time, and XNAT refuses a
    file whose name the session has already, whatever is in it (seen on XNAT 1.6.5, F73).
    """
    source, stamp = judged_zip(item, tools)
    size, clean = tools.disk.size(source) or 0, tools.folders.clean_zip(item.name)
    whole = len(missing) == len(tools.ledger.contents.instances(item))
    named = not anew or tools.gateway.collides() or tools.ledger.places.must_name(item)
    if whole and not named and tools.ledger.deliveries.as_it_is(item.delivery, size):
        return OutgoingZip(source, stamp)
    with disk_errors_translated():
        tools.write_clean(source, missing, clean)
    if tools.disk.stamp(source) != stamp:
        raise Transient("its ZIP was written to while it was read")
    return OutgoingZip(clean, "")


def new_place(item: Item, tools: Tools) -> Place:
    """Choose a place that nobody else has: a time in XNAT's own format and a folder with a random part (F66).

    No other study of ours has the time: by it what XNAT brings back elsewhere is known for this study's.
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
    """Send it; on failure record what is known of the place. Raises what the gateway does, but `AlreadyImported`."""
    places, now, spoken = tools.ledger.places, tools.clock.now, _UploadRecorder(item, content.stamp, tools)
    try:
        tools.gateway.upload(place, str(content.path), spoken, alone=item.attempts > 1)
    except AlreadyImported:
        places.mark_taken(item, now())
    except Misplaced as error:
        places.add_misplaced(item, error.paths)
        raise
    except WatchdError as error:
        if error.spoke or isinstance(error, RepeatOnce):  # what it refuses it may have kept (seen on XNAT 1.6.4)
            places.mark_doubted(item, now())
        else:
            spoken.refused_unseen()
            if item.import_began is None:
                places.give_up(item, now())
        raise


class _UploadRecorder:
    """Writes down when the bytes begin to go, not when we begin to wait for our turn, and that all of them went.

    All of them went once this machine has them on their way: a small body long before anybody looks at it. Where we are
    killed then, XNAT has it all, as far as anybody can tell. Where the answer says that nothing has looked at it (a
    login that was lost, a proxy that asks to come back later), it was no upload.
    """

    def __init__(self, item: Item, stamp: str, tools: Tools) -> None:
        self._item, self._stamp, self._tools = item, stamp, tools
        self._begun = self._whole = False

    def __call__(self, sent: int, size: int) -> None:
        """Be told of `sent` of `size` bytes; size 0: it is not our turn yet."""
        places, now = self._tools.ledger.places, self._tools.clock.now
        if size and not self._begun:
            places.begin_import(self._item, now(), self._stamp)
            self._begun = True
        if self._begun and sent >= size and not self._whole:
            places.end_import(self._item, now())
            self._whole = True
        self._tools.progressed(sent, size)

    def refused_unseen(self) -> None:
        """Be told that it was refused before anything looked at it."""
        if self._whole:
            self._tools.ledger.places.discount_upload(self._item)
