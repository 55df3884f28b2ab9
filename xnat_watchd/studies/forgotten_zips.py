"""ZIPs in the work folder that the ledger does not know, as after a restore: the project of none of them is guessed.

Only the folder in which a ZIP was dropped tells its project, and only the ledger remembers that. So each becomes a
delivery without a project, which is rejected: it lies in the failed folder until a person drops it again.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from xnat_watchd.adapters.files.disk import Disk, identity
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.errors import Taken, TakenOver, Unusable
from xnat_watchd.core.ports import Log

NOT_KNOWN = Unusable(
    "it lay in the work folder, and the ledger does not know for which project it is",
    advice="Drop it again, into the folder of its project. What XNAT has of it is not sent again.",
)


@dataclass(frozen=True, slots=True)
class ForgottenZips:
    """The ZIPs of one root that the ledger does not know."""

    ledger: Ledger
    disk: Disk
    folders: Folders
    log: Log

    def enter(self, numbers: Collection[int], now: datetime) -> None:
        """Make a delivery without a project of each ZIP that lies in the work folder under one of these numbers.

        Where there are any, the ledger is distrusted: it may be an older copy. A second call changes nothing.
        """
        if not numbers:
            return
        self.ledger.commit_history.distrust_root(max(numbers), now)
        self.log.error("ledger.has_forgotten", count=len(numbers))
        for number in sorted(numbers):
            with suppress(FileNotFoundError):  # another station of this root was quicker
                self._renumber(number, now)

    def _renumber(self, number: int, now: datetime) -> None:
        """Move a ZIP to the number of a delivery of its own: under the old one another may be known."""
        path, name = self.folders.zip_of(number), f"recovered-{number}.zip"
        known = identity(self.disk.seen(path, name))
        with suppress(Taken, TakenOver):  # a crash came between the two, or this station must begin anew first
            self.ledger.deliveries.expect(name, "", known, now)
        for arrival in self.ledger.deliveries.arrivals():
            if arrival.identity == known:
                self.disk.move(path, self.folders.zip_of(arrival.id))
                self.log.warning("delivery.recovered", item=str(arrival.id), reason="not known to the ledger")
