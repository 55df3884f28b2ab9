"""A whole service without threads: every part real but for the clock, and what a test puts in its place."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from threading import RLock
from typing import Any

from tests.engine import opened
from xnat_watchd.adapters.dicom.zip_file import is_whole, open_zip, write_clean
from xnat_watchd.adapters.files.disk import MARK, Disk
from xnat_watchd.adapters.files.folder_marks import FolderMarks
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.delivery import Place
from xnat_watchd.core.limits import Limits
from xnat_watchd.core.ports import Gateway, Progressed
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.core.retention import RetentionRules
from xnat_watchd.core.retry import RetryPolicy
from xnat_watchd.studies.drop_folder import IntakeRules
from xnat_watchd.studies.early_sending import EarlySendings
from xnat_watchd.studies.held_reporter import HeldReporter
from xnat_watchd.studies.intake import Intake
from xnat_watchd.studies.late_rows import LateRowCleaner
from xnat_watchd.studies.pipeline import FinishedDeliveries, Pipeline
from xnat_watchd.studies.retention import Retention
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.gates import XnatGates
from xnat_watchd.studies.steps.projects import refusal
from xnat_watchd.studies.steps.recent import RecentAnswers

QUIET = 10.0


class Time:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)
        self.since_start = 1000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.since_start

    def uptime(self) -> float:
        return self.since_start

    def pass_(self, **span: float) -> None:
        self.at += timedelta(**span)
        self.since_start += timedelta(**span).total_seconds()


class Notes:
    """A log that keeps what it is told, so that a test can ask."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **facts: object) -> None:
        self.lines.append((event, facts))

    warning = error = info

    def events(self) -> list[str]:
        return [event for event, _ in self.lines]


def unseen(_sent: int, _size: int) -> None:
    """Take no interest in how far an upload is."""


def as_is(part: str, thing: Any) -> Any:
    """Leave a part as it is."""
    del part
    return thing


class Station:
    """A workstation: folders, ledger, intake and one worker. `around` may wrap any part by its name."""

    def __init__(
        self,
        root: Path,
        gateway: Gateway,
        time: Time,
        *,
        rules: Callable[[str], ProjectRules] = lambda _: ProjectRules(),
        around: Callable[[str, Any], Any] = as_is,
        limits: Callable[[], Limits] = Limits,
        keep: Callable[[], RetentionRules] = RetentionRules,
        project: str = "P1",
        projects: Collection[str] = (),
        seed: int = 0,
        log: Notes | None = None,
        progressed: Progressed = unseen,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        early: EarlySendings | None = None,
    ) -> None:
        self.time, self.log = time, log or Notes()
        self.folders = Folders(
            drop=root / "drop", shares=root / "shares", work=root / "work", done=root / "done", failed=root / "failed"
        )
        for folder in (self.folders.drop, self.folders.work, self.folders.done, self.folders.failed):
            folder.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(opened(root))
        held = HeldReporter(self.ledger, self.log)  # asks the ledger: nobody is killed before there is a service
        for part in ("deliveries", "studies", "findings", "decisions", "places", "early_places", "gates"):
            setattr(self.ledger, part, around(f"ledger.{part}", getattr(self.ledger, part)))
        disk, marks = around("disk", Disk()), FolderMarks(self.folders, self.ledger.marks)
        self.intake = Intake(
            ledger=self.ledger, disk=disk, folders=self.folders, marks=marks, clock=time, log=self.log,
            rules=IntakeRules(
                quiet_for=QUIET, incomplete_after=1800, ignore=("*.part",), project=project, projects=projects
            ),
            open_zip=around("zip.open", lambda path, observer: open_zip(path, limits(), observer=observer)),
            is_whole=is_whole, early=early,
        )  # fmt: skip
        gateway = around("gateway", gateway)
        gates = XnatGates(
            ledger=self.ledger,
            prober=gateway,
            clock=time,
            log=self.log,
            chance=Random(seed).random,
            lock=RLock(),
            refusal=partial(refusal, gateway=gateway, afresh=True),
        )
        self.tools = Tools(
            ledger=self.ledger, gateway=gateway, gates=gates, clock=time, disk=disk, folders=self.folders, marks=marks,
            rules=rules,
            write_clean=around("zip.write", write_clean), chance=Random(seed).random,
            progressed=progressed, recent=RecentAnswers(time),
        )  # fmt: skip
        self.takes_ahead = False  #: a step takes the next study with the progress of the last, as workers do
        self.pipeline = Pipeline(
            self.tools, retry, self.log, FinishedDeliveries(), held, early=early, goes_on=lambda: self.takes_ahead
        )
        self.retention = Retention(self.tools, keep, self.log)
        self.late = LateRowCleaner(self.tools, self.log)
        self._waited = set[Place]()  #: where nothing comes late any more

    def close(self) -> None:
        self.ledger.close()

    def drop(self, name: str, data: bytes | Path) -> Path:
        path = self.folders.drop / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.read_bytes() if isinstance(data, Path) else data)
        return path

    def start(self) -> None:
        self.ledger.studies.recover(self.time.now())
        self.intake.recover()

    def take_in(self) -> None:
        """Let what lies in the drop folder stand still for long enough, and take it."""
        self.intake.sweep()
        self.time.pass_(seconds=QUIET)
        self.intake.sweep()

    def work(self, *, hours: float = 48, steps: int = 1000) -> None:
        """Work until nothing is left that time could bring."""
        end = self.time.now() + timedelta(hours=hours)
        for _ in range(steps):
            while self.pipeline.step():
                pass
            self.pipeline.retire()
            self.late.sweep()
            if self._may_be_late():
                self._waited.update(self.ledger.places.doubted(datetime.min.replace(tzinfo=UTC)))
                self.time.pass_(hours=1)
                continue
            if self.idle() or self.time.now() > end or self.ledger.pauses.lasts(Activity.WORK):
                return
            self._wait()
        raise AssertionError("it never came to rest")

    def _may_be_late(self) -> bool:
        """Return whether all is done, but a result that was in doubt in this hour may still appear in XNAT."""
        doubted = self.ledger.places.doubted(self.time.now() - timedelta(hours=1))
        return self.idle() and not self._waited.issuperset(doubted)

    def _wait(self) -> None:
        """Let the time pass until something is due."""
        now = self.time.now()
        moments = [self.ledger.studies.next_due(now), *(gate.until for gate in self.ledger.gates.all().values())]
        due = min((moment for moment in moments if moment and moment > now), default=now)
        self.time.pass_(seconds=max((due - now).total_seconds(), 1.0))

    def idle(self) -> bool:
        due = self.ledger.studies.next_due(self.time.now())
        return due is None and not self.ledger.deliveries.retirable()

    def run(self) -> None:
        self.start()
        self.take_in()
        self.work()

    def standings(self) -> list[tuple[str, str, str]]:
        """Return every study with its progress and standing."""
        rows = self.ledger.views._db.rows("SELECT * FROM studies ORDER BY delivery, number")
        return [(f"{row['delivery']}.{row['number']}", row["progress"], row["standing"]) for row in rows]

    def why(self, item: str) -> str:
        return next(str(row["why"]) for row in self.ledger.views.attention() if row["item"] == item)

    def files(self) -> list[str]:
        """Return every file below the root's folders except those of the ledger."""
        root = self.folders.drop.parent
        return sorted(
            str(p.relative_to(root))
            for p in root.rglob("*")
            if p.is_file() and not p.name.startswith(("ledger.", MARK))
        )


def zipped(members: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()
