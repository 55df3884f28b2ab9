"""The engines that a ledger can have, and what a service does to it, by its public operations alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.postgres.databases import cluster
from xnat_watchd.adapters.ledger.deliveries import EndedDelivery
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.ledger.postgres_opening import open_postgres
from xnat_watchd.adapters.ledger.studies import StepFacts
from xnat_watchd.core.delivery import Instance, Item, Person, Place, Series, Study, ZipContents
from xnat_watchd.core.findings import Finding
from xnat_watchd.core.states import Progress

PATIENCE = 2.0  #: seconds to wait for a lock in the database


@dataclass(frozen=True)
class Engine:
    """What holds the tables. `connect` opens a ledger in a folder as another thread or program would."""

    name: str
    connect: Callable[[Path], Ledger]


def _sqlite(folder: Path) -> Ledger:
    return Ledger(open_database(folder / "ledger.sqlite"))


def _postgres(folder: Path) -> Ledger:
    return Ledger(open_postgres(cluster().database_of(folder), patience=PATIENCE))


ENGINES = (Engine("sqlite", _sqlite), Engine("postgres", _postgres))


def study(
    uid: str = "1.2.1", images: int = 2, person: Person | None = None, findings: Collection[Finding] = ()
) -> Study:
    """Return a study of one series."""
    series = f"{uid}.1"
    return Study(
        uid=uid, person=person or Person(name="Quoll^Zenobia", id="ZQ-1"), date="20260101", time="1200",
        series=(Series(series, "1", "MR", image=True),), findings=tuple(findings),
        instances=tuple(Instance(f"{series}.{n}", series, 10, n, n, b"") for n in range(1, images + 1)),
    )  # fmt: skip


class Recorder:
    """Records in a ledger what a service would record."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self._folder = engine, folder
        self.ledger = engine.connect(folder)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self._zips = 0

    def pass_(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)

    def another(self) -> Ledger:
        """Return a connection of its own to the same ledger."""
        return self.engine.connect(self._folder)

    def restart(self) -> None:
        """End without a word, and begin anew."""
        self.ledger.close()
        self.ledger = self.another()

    # Deliveries.

    def receive(self, *studies: Study, project: str = "P1", sha256: str = "") -> int:
        """Record a ZIP of these studies, or of one; return its number."""
        self._zips += 1
        delivery = self.ledger.deliveries.expect(f"{self._zips}.zip", project, f"{self._zips}", self.now)
        contents = ZipContents(
            sha256=sha256 or f"{self._zips:064}", size=10, studies=studies or (study(f"1.2.{self._zips}"),),
            clutter_kinds={}, as_it_is=True,
        )  # fmt: skip
        self.ledger.deliveries.record(delivery, contents, f"done/{delivery}.zip", self.now, "stamp")
        return delivery

    def retire(self, kept_as: str = "done/1.zip") -> EndedDelivery:
        """End the only delivery whose studies have ended."""
        (ended,) = self.ledger.deliveries.retirable()
        assert self.ledger.deliveries.retire(ended, kept_as, self.now)
        return ended

    # Studies.

    def take(self) -> Item:
        """Take the next study; there must be one."""
        item = self.ledger.studies.take(self.now)
        assert item is not None
        return item

    def advance(self, item: Item, facts: StepFacts | None = None, until: Progress = Progress.COMPLETE) -> None:
        """Record the next progress of a study."""
        self.ledger.studies.advance(item, self.now, facts or StepFacts(), until)

    def send(self, item: Item) -> Place:
        """Record that a study is sent to a place of its own."""
        place = Place(item.project, f"2026010{item.key % 9 + 1}_120000000", f"watchd-{item.name}-{item.generation}")
        images = [one.sop_uid for one in self.ledger.contents.wanted(item)]
        self.ledger.places.choose(item, place, images, self.now, stamp="stamp")
        return place

    def upload(self, item: Item, subject: str = "S1") -> None:
        """Send a study, and record that XNAT has it."""
        self.send(item)
        self.advance(item, StepFacts(subject=subject))

    def archive(self, item: Item, subject: str = "S1") -> None:
        """Record that a study is archived for its person."""
        self.ledger.studies.note(item, StepFacts(subject=subject, label=f"L{item.key}"), self.now, claims=subject)
        self.advance(item, StepFacts(session=f"E{item.key}", subject=subject))

    def step(self, item: Item) -> None:
        """Do what is next for a study, for a subject of its own."""
        subject = f"S{item.key}"
        if item.progress is Progress.RECEIVED:
            self.upload(item, subject)
        elif item.progress is Progress.UPLOADED:
            self.archive(item, subject)
        else:
            self.advance(item)

    def complete(self) -> None:
        """Carry every study that may be taken to its end."""
        while (item := self.ledger.studies.take(self.now)) is not None:
            self.step(item)

    def key(self, delivery: int, number: int = 1) -> int:
        """Return the key of a study."""
        return self.ledger.views.keys(delivery, number)[f"{delivery}.{number}"]

    def standing(self, delivery: int, number: int = 1) -> str:
        """Return a study's standing."""
        return self.ledger.views.standing(self.key(delivery, number))
