"""What every step works with, and the questions about the prearchive that more than one step asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from xnat_watchd.adapters.files.disk import Disk
from xnat_watchd.adapters.files.folder_marks import FolderMarks
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.delivery import Instance, Item, PrearchiveRow
from xnat_watchd.core.errors import NotSeenYet, NotYet
from xnat_watchd.core.labels import LabelFacts, facts_of
from xnat_watchd.core.ports import Clock, Gateway, Progressed
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.studies.steps.gates import XnatGates
from xnat_watchd.studies.steps.recent import RecentAnswers

WriteClean = Callable[[Path, Iterable[Instance], Path], None]

BUILD_AFTER = timedelta(minutes=2)  #: XNAT refreshes a receiving row every 15 s; if not for so long, nobody sends
BUILD_AGAIN = timedelta(minutes=10)  #: a server that is at work on it must not be told again sooner


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the steps of one worker use. The gateway belongs to the worker, everything else is shared."""

    ledger: Ledger
    gateway: Gateway
    gates: XnatGates
    clock: Clock
    disk: Disk
    folders: Folders
    marks: FolderMarks
    rules: Callable[[str], ProjectRules]
    write_clean: WriteClean
    chance: Callable[[], float]  #: numbers in [0, 1)
    progressed: Progressed
    recent: RecentAnswers

    def facts(self, item: Item) -> LabelFacts:
        """Return the facts from which labels are made."""
        return facts_of(item, item.file_name)


def finished_row(tools: Tools, row: PrearchiveRow, since: datetime | None) -> PrearchiveRow:
    """Return the row once XNAT has finished its work on it; raise `NotYet` until then.

    `since`: when `NotYet` was raised first. A row that stays in RECEIVING has lost its sender. It is built as it is,
    and its images are counted.
    """
    waited = tools.clock.now() - since if since else timedelta(0)
    is_stuck = row.is_receiving and waited >= BUILD_AFTER
    if is_stuck and tools.ledger.places.begin_build(row.place, tools.clock.now(), BUILD_AGAIN):
        tools.gateway.build(row.place)
    if row.is_at_work:
        raise NotYet(f"XNAT is at work on it ({row.status})")
    return row


def must_have_waited(tools: Tools, item: Item, import_began: datetime, after: timedelta) -> None:
    """Raise `Absent` until this time `after` the upload has passed: only then does it mean something to find nothing.

    If the clock was set back meanwhile, the time is counted from our first look.
    """
    now = tools.clock.now()
    if import_began > now:
        import_began = item.since or now
    if now - import_began < after:
        raise NotSeenYet("the answer was lost, and what was sent may still appear", import_began + after)
