"""ZIPs of which no study came: the note beside each, and the later ZIP that holds all of one.

A copy that was broken off is the usual one. Its ZIP is dropped again, or copied again, and then nobody needs to decide
about the first. That is concluded from the bytes alone. A name proves nothing, since scanners use the same name again,
and neither do the studies that can still be read: more of them may have been in the part that is missing.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from xnat_watchd.adapters.files.disk import Disk
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.ledger.deliveries import Deliveries
from xnat_watchd.core.errors import for_item
from xnat_watchd.core.refusals import SETTLE

MOST_COMPARED = 100  #: the latest rejected ZIPs of the project; most differ in their first bytes
_NOTHING_SENT = "This ZIP could not be used, and nothing of it was sent to XNAT."
_NOT_KNOWN = "It is not known of this ZIP whether it was sent to XNAT."


@dataclass(slots=True)
class RejectedZips:
    """The ZIPs in `failed` about which a person has not decided, as they were when `look` was called last."""

    deliveries: Deliveries
    disk: Disk
    folders: Folders
    _known: dict[str, dict[int, str]] = field(default_factory=dict)  #: by project

    def look(self) -> None:
        """Have the ledger asked anew: at each sweep, and when another ZIP was rejected."""
        self._known = {}

    def within(self, delivery: int, project: str, first_image_ends: int) -> dict[int, str]:
        """Return the rejected deliveries whose ZIPs are the beginning of this one's: number -> where its ZIP lies.

        The beginning must hold a whole image, which ends at `first_image_ends` (0: not known). What comes before the
        first image, as a viewer, may be the same on every disc of a scanner.
        """
        if not first_image_ends:
            return {}
        whole = self.folders.zip_of(delivery)
        if project not in self._known:
            self._known[project] = self.deliveries.rejected(project, MOST_COMPARED)
        rejected = self._known[project]
        return {number: kept for number, kept in rejected.items() if self._is_within(whole, kept, first_image_ends)}

    def _is_within(self, whole: Path, kept: str, least: int) -> bool:
        try:
            return self.disk.begins_with(whole, self.folders.kept_path(kept), least)
        except OSError:  # not there any more, or not readable: nothing is concluded from it
            return False

    def note_replaced(self, kept: str, by: int, now: datetime) -> None:
        """Write beside a rejected ZIP that a later delivery replaces it. Without room for that, the ledger says it."""
        path = self.folders.kept_path(kept)
        with suppress(OSError):
            self.disk.write(note_of(path), replaced_note(by, now))


def note_of(zip_: Path) -> Path:
    """Return the path of the note beside a ZIP of which no study came."""
    return zip_.with_name(f"{zip_.name}.txt")


def reason_note(delivery: int, why: str, advice: str, project: str) -> str:
    """Return the text that says why no study came of a ZIP, and what to do, as `status` says it."""
    return (
        f"{_NOTHING_SENT if project else _NOT_KNOWN}\n\nWhy: {why}.\n"
        f"What to do: {advice} {for_item(SETTLE, str(delivery))}\n"
        f"To know more: type `xnat-watchd show {delivery}`.\n"
    )


def replaced_note(by: int, now: datetime) -> str:
    """Return the text that says which later delivery holds all of a ZIP, so that nothing is left to do."""
    return (
        f"{_NOTHING_SENT}\n\nIt was replaced by delivery {by} on {now.astimezone():%Y-%m-%d}, a ZIP that begins with"
        f" all that is in this one.\nWhat to do: nothing.\nTo know more: type `xnat-watchd show {by}`.\n"
    )
