"""The ZIP that a study came in. Only the bytes that were judged are sent and kept."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from xnat_watchd.adapters.files.disk import Disk
from xnat_watchd.adapters.files.layout import folder_name_of
from xnat_watchd.adapters.files.stamps import Changed
from xnat_watchd.adapters.ledger.deliveries import DeliveredZip
from xnat_watchd.adapters.ledger.judged_zips import JudgedZip
from xnat_watchd.adapters.ledger.overwrites import Overwrites
from xnat_watchd.core.delivery import CHANGED, Item, Place
from xnat_watchd.core.disk_errors import FULL, is_failing
from xnat_watchd.core.errors import NoRoom, NotYet, Permanent, Transient, Undecided, ZipChanged
from xnat_watchd.core.presence import Presence
from xnat_watchd.studies.steps.context import Tools, finished_row, must_have_waited


def is_judged(judged: JudgedZip | None, path: Path, changes: Overwrites, disk: Disk) -> bool:
    """Return whether this is the ZIP that was judged. Record its new stamp if the bytes had to be compared."""
    return proved_stamp(judged, path, changes, disk) is not None


def proved_stamp(judged: JudgedZip | None, path: Path, changes: Overwrites, disk: Disk) -> str | None:
    """Return the stamp of the ZIP at this path if it is the one that was judged, else None.

    An equal stamp proves it without reading the file. The stamp differs after a move that a crash interrupted, on
    another disk, or when somebody changed the file's rights. Then the digests are compared, and the new stamp recorded.
    """
    if judged is None:
        return None
    if judged.stamp and disk.stamp(path) == judged.stamp:
        return judged.stamp
    size = disk.size(path)
    if size is None or judged.sha256 is None or judged.size not in {None, size}:
        return None
    with suppress(Changed):
        stamp = disk.secure(path)
        if disk.digest(path) == judged.sha256 and disk.stamp(path) == stamp:
            changes.stamp(judged.delivery, stamp)
            return stamp
    return None


@dataclass(frozen=True, slots=True)
class SourceZip:
    """The ZIP that was judged, in the work folder."""

    path: Path
    stamp: str
    size: int | None  #: bytes when it was judged
    as_it_is: bool  #: it may be sent unchanged


def source_zip(item: Item, tools: Tools) -> SourceZip:
    """Return the ZIP in the work folder. It is the one that was judged.

    Raise `ZipChanged` if somebody has written to it since.
    """
    path = tools.folders.zip_of(item.delivery)
    known = tools.ledger.deliveries.delivered_zip(item.delivery)
    with disk_errors_translated(path):
        if known is not None:
            _bring_back(known, path, tools)
        if not tools.disk.exists(path):
            raise Transient(
                "the study's ZIP is not in the work folder",
                advice="Check that the work folder's disk is mounted. If the ZIP is lost, drop it again.",
            )
        judged = known.judged if known else None
        stamp = proved_stamp(judged, path, tools.ledger.overwrites, tools.disk)
        if judged is None or stamp is None:
            raise ZipChanged(CHANGED)
    return SourceZip(path, stamp, judged.size, judged.as_it_is)


def must_not_have_changed(item: Item, place: Place, sent: str, tools: Tools) -> None:
    """Abandon a place if the ZIP was written to since it was sent there: nobody knows which bytes arrived.

    That is so even if the bytes are now those that were judged: while they were sent they may have been others. `sent`:
    the stamp of the ZIP that was sent; empty if it was a copy of ours.
    """
    stamp = tools.disk.stamp(tools.folders.zip_of(item.delivery))
    if not sent or stamp in {None, sent}:
        return
    row = tools.gateway.look(place)
    if row is not None:
        tools.gateway.discard(finished_row(tools, row, item.since).place)
    elif any(session.came_from(place) for session in tools.gateway.sessions(item.project, item.uids)):
        raise Undecided(
            "its ZIP was written to while it was sent, and XNAT has archived what came by itself",
            advice="Compare the session in XNAT with the ZIP and delete it there; then `xnat-watchd resend ITEM`.",
        )
    elif item.import_began is None:
        raise NotYet("XNAT took it and does not list it yet")
    elif item.in_doubt:
        must_have_waited(tools, item, item.import_began, tools.gateway.lateness())
    tools.ledger.places.give_up(item, tools.clock.now())
    source_zip(item, tools)
    raise Transient("its ZIP was touched while it was sent; sent again to a new place")


@contextmanager
def disk_errors_translated(*read: Path) -> Iterator[None]:
    """Translate errors of disks while these ZIPs are `read` and others are written.

    A full disk is `NoRoom`. A disk that fails is this machine's trouble, and its `OSError` goes on to the pipeline.
    Only a ZIP that cannot be read for a reason of its own, such as a bad sector, is the study's trouble: `Transient`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoRoom("no room is left in the work folder", detail=str(error)) from error
        reads = error.filename is None or Path(error.filename) in read  # an open file has no name in its errors
        if is_failing(error) and not (reads and error.errno == errno.EIO):
            raise
        raise Transient(
            "the study's ZIP cannot be read", detail=str(error), advice="Look at the disk of the work folder."
        ) from error


def _bring_back(known: DeliveredZip, path: Path, tools: Tools) -> None:
    """Move a kept ZIP back into the work folder, if it is still the ZIP that was judged."""
    if known.kept_as is None or tools.disk.exists(path):
        return
    kept = tools.folders.kept_path(known.kept_as)
    if tools.disk.exists(kept):
        tools.disk.move(kept, path)
        if is_judged(known.judged, path, tools.ledger.overwrites, tools.disk):
            return
        tools.disk.move(path, kept)
    elif tools.marks.presence(folder_name_of(known.kept_as), kept) is Presence.UNKNOWN:
        raise Transient("the folder where its ZIP is kept is not there", advice="Check that its disk is mounted.")
    raise Permanent(
        "its ZIP is no longer in the folder where it was kept",
        detail=known.kept_as,
        advice="Put it back there and type `xnat-watchd retry ITEM`. Or export the study again and drop the new ZIP.",
    )
