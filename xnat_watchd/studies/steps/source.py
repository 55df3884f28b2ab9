"""The ZIP that a study came in: what was judged is what is sent, and what is kept."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xnat_watchd.adapters.files.disk import Disk
from xnat_watchd.adapters.files.layout import folder_name_of
from xnat_watchd.adapters.files.stamps import Changed
from xnat_watchd.adapters.ledger import Overwrites
from xnat_watchd.core.delivery import CHANGED, Item, Place
from xnat_watchd.core.errors import NoRoom, NotYet, Permanent, Transient, Undecided, ZipChanged
from xnat_watchd.core.presence import Presence
from xnat_watchd.studies.steps.context import Tools, finished_row, must_have_waited


def is_judged(delivery: int, path: Path, changes: Overwrites, disk: Disk) -> bool:
    """Return whether this is the ZIP that was judged, and stamp it anew where its bytes had to tell.

    Its stamp says so without reading it. It has another one after a rename of ours that a crash cut short, on another
    disk, or when somebody gave it other rights: then its digest is compared.
    """
    judged = changes.judged(delivery)
    if judged is None:
        return False
    if judged.stamp and disk.stamp(path) == judged.stamp:
        return True
    size = disk.size(path)
    if size is None or judged.sha256 is None or judged.size not in {None, size}:
        return False
    with suppress(Changed):
        stamp = disk.secure(path)
        if disk.digest(path) == judged.sha256 and disk.stamp(path) == stamp:
            changes.stamp(delivery, stamp)
            return True
    return False


def judged_zip(item: Item, tools: Tools) -> tuple[Path, str]:
    """Return the ZIP that came, as it lies in the work folder, and its stamp: it is the one that was judged.

    `ZipChanged` where somebody has written to it since.
    """
    path = tools.folders.zip_of(item.delivery)
    with disk_errors_translated():
        _bring_back(item, path, tools)
        if not tools.disk.exists(path):
            raise Transient(
                "the study's ZIP is not in the work folder",
                advice="Check that the work folder's disk is mounted. If the ZIP is lost, export the study again.",
            )
        if not is_judged(item.delivery, path, tools.ledger.overwrites, tools.disk):
            raise ZipChanged(CHANGED)
    judged = tools.ledger.overwrites.judged(item.delivery)
    return path, judged.stamp if judged else ""


def must_not_have_changed(item: Item, place: Place, tools: Tools) -> None:
    """Give up a place when the ZIP was written to since it was sent there: any of the bytes may have arrived.

    That holds where the bytes are those that were judged by now, too: while they were sent they may have been others.
    """
    sent, stamp = tools.ledger.places.stamp(place), tools.disk.stamp(tools.folders.zip_of(item.delivery))
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
    judged_zip(item, tools)
    raise Transient("its ZIP was touched while it was sent; sent again to a new place")


@contextmanager
def disk_errors_translated() -> Iterator[None]:
    """Translate errors of the work folder: a full disk is this machine's trouble, any other fault may pass."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom("no room is left in the work folder", detail=str(error)) from error
        raise Transient(
            "the study's ZIP cannot be read", detail=str(error), advice="Look at the disk of the work folder."
        ) from error


def _bring_back(item: Item, path: Path, tools: Tools) -> None:
    """Move a ZIP that was put to rest back into the work folder, if it is that ZIP still."""
    known = tools.ledger.deliveries.delivered_zip(item.delivery)
    if known is None or known.resting is None or tools.disk.exists(path):
        return
    rest = tools.folders.kept_path(known.resting)
    if tools.disk.exists(rest):
        tools.disk.move(rest, path)
        if is_judged(item.delivery, path, tools.ledger.overwrites, tools.disk):
            return
        tools.disk.move(path, rest)
    elif tools.marks.presence(folder_name_of(known.resting), rest) is Presence.UNKNOWN:
        raise Transient("the folder where its ZIP rests is not there", advice="Check that its disk is mounted.")
    raise Permanent(
        "its ZIP does not lie where it was put to rest",
        detail=known.resting,
        advice="Put it back there and type `xnat-watchd retry ITEM`; or export the study again and drop it.",
    )
