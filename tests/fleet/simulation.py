"""A thousand stations that share a ledger: the real code of the ledger, a model of XNAT, and trouble all the time.

Each thread has a connection and some forty stations, which take turns. What a station has asked of the model has its
effect whatever becomes of the station. One trouble is left out, as nothing could help: a freeze between the moment in
which a station looks at its lease and the moment in which its request goes out.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from tests.fleet.clock import hurry_database
from tests.fleet.measured import MeasuredDatabase
from tests.fleet.model import ModelXnat
from tests.postgres.cluster import Cluster
from xnat_watchd.adapters.ledger.database import Database
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.adapters.ledger.studies import StepFacts
from xnat_watchd.core.delivery import Instance, Item, Person, Place, Series, Study, ZipContents
from xnat_watchd.core.errors import LedgerUnusable, NotSeenYet, TakenOver
from xnat_watchd.core.lease import RENEWED_EVERY, StationLease
from xnat_watchd.core.states import Progress

BEGAN = datetime(2100, 1, 1, tzinfo=UTC)  #: later than any clock: a time that goes back is that of an older copy
LATENESS = 30.0  #: seconds of the stations' time after which no effect of a request appears any more
IMAGES = 3  #: of each study


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationOptions:
    """How many of what. Times are seconds of the stations' own, which pass faster than ours."""

    stations: int = 1000
    seed: int = 7
    seconds: float = 60.0  #: of ours
    connections: int = 24
    speed: float = 1.0
    study_every: float = 300.0  #: from one study of a station to its next
    trouble_every: float = 600.0  #: from one trouble of a station to its next


@dataclass(slots=True)
class SimulationFigures:
    """What happened."""

    studies: int = 0
    done: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)  #: what stations found out after troubles
    archivings: int = 0
    statements: int = 0
    commits: int = 0
    seconds: float = 0.0
    p99: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def told(self) -> str:
        """Return all of it as lines."""
        troubles, found = (
            ", ".join(f"{n} x {what}" for what, n in one.most_common()) or "nothing"
            for one in (self.troubles, self.found)
        )
        lines = [
            f"studies    {self.studies} dropped, {self.done} complete, {self.archivings} archivings",
            f"troubles   {troubles}",
            f"found      {found}",
            f"statements {self.statements / self.seconds:.0f}/s, {1000 * self.p99:.0f} ms at p99",
            f"commits    {self.commits / self.seconds:.0f}/s, in {self.seconds:.0f} s",
            *(f"WRONG      {one}" for one in self.wrong[:50]),
        ]
        return "\n".join([*lines, "all is well" if not self.wrong else f"{len(self.wrong)} things are wrong"])


class SimulatedClock:
    """The time of all stations: it begins with the simulation, and passes faster than ours."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.begin()

    def begin(self) -> None:
        """Begin, or begin anew."""
        self._began, self.began = time.monotonic(), time.time()

    def seconds(self) -> float:
        """Return the seconds since the beginning."""
        return (time.monotonic() - self._began) * self.speed

    def moment(self) -> datetime:
        """Return the moment that it is."""
        return BEGAN + timedelta(seconds=self.seconds())

    def wait(self, until: float) -> None:
        """Wait until so many seconds since the beginning have passed."""
        time.sleep(max(until - self.seconds(), 0) / self.speed)


@dataclass(slots=True)
class Work:
    """What a station is at: a study, what it has asked XNAT for, and when the answer comes."""

    item: Item
    ends: float
    facts: StepFacts


class SimulatedStation:
    """One station. It acts when its turn comes, and says when the next one is due."""

    def __init__(
        self, number: int, database: Database, xnat: ModelXnat, clock: SimulatedClock, options: SimulationOptions
    ) -> None:
        self._ledger, self._xnat, self._clock, self._options = Ledger(database), xnat, clock, options
        self._chance = Random(options.seed * 1_000_003 + number)
        self.name = f"station-{number}"
        self._number, self._studies = number, 0
        self._process = StationProcess(self.name, "0.2.0", self.name)
        self._lease = StationLease(clock.seconds)
        self._people = max(options.stations // 3, 1)
        self._work: Work | None = None
        self._lives = False
        self._cut = False
        self._until = 0.0  #: when its trouble is over
        self._drops = self._next(options.study_every)
        self._trouble = self._next(options.trouble_every)
        self._beats = self._looks = 0.0
        self.dropped = list[str]()
        self.troubles, self.found = Counter[str](), Counter[str]()

    def begin(self) -> None:
        """Start for the first time, before the clock of all begins."""
        self._start()
        self._lease.renewed = 0.0

    def turn(self, *, calm: bool) -> float:
        """Do what is next, and return when the turn after it is due. If it is to be `calm`, no trouble comes."""
        now = self._clock.seconds()
        if now < self._until and not self._cut:
            return self._until
        if self._cut:
            if now < self._until:
                return min(self._until, now + 5)
            self._cut = False
        try:
            if not self._lives:
                self._start()
            if not calm and now >= self._trouble:
                return self._meet(now)
            self._live(now, calm=calm)
        except TakenOver:
            self.found["study taken over"] += 1
            self._work = None
        except LedgerUnusable:
            self.found["ledger away"] += 1
            return now + self._chance.uniform(1, 5)
        due = self._work.ends if self._work is not None else self._looks
        return max(min(due, self._beats, *(() if calm else (self._drops, self._trouble))), now)

    def _start(self) -> None:
        asked = self._clock.seconds()
        self._ledger.stations.enroll(self._process)
        self._ledger.stations.serve(self.name)
        self.found["study recovered"] += len(self._ledger.studies.recover(self._clock.moment()))
        self._lease.renewed = asked
        self._lives = True

    def _live(self, now: float, *, calm: bool) -> None:
        if now >= self._drops and not calm:
            self._drop()
            self._looks = 0.0
            self._drops = now + self._next(self._options.study_every)
        self._beat(now)
        if self._work is not None and now >= self._work.ends:
            work, self._work = self._work, None
            self._ledger.studies.advance(work.item, self._clock.moment(), work.facts, Progress.COMPLETE)
        if self._work is None and now >= self._looks and self._lease.may_begin():
            self._look(now)

    def _look(self, now: float) -> None:
        """Take a study if one is due; else look again when one is, or when another may be through with its subject."""
        moment = self._clock.moment()
        due = self._ledger.studies.next_due(moment)
        item = self._ledger.studies.take(moment) if due is not None and due <= moment else None
        self._work = None if item is None else self._begun(item)
        soon = now + self._chance.uniform(5, 15)
        later = soon if due is None else min(max((due - BEGAN).total_seconds(), now + 2), soon)
        self._looks = later if item is None else 0.0

    def _beat(self, now: float) -> None:
        """Show that it is there, and look for those who are not."""
        if now < self._beats:
            return
        self._beats, asked = now + RENEWED_EVERY, self._lease.now()
        if self._ledger.stations.renew(timedelta(seconds=LATENESS)) is None:
            self.found["itself gone"] += 1
            self._ledger.stations.enroll(self._process)
            self._work = None
        self._lease.renewed = asked
        self.found["another gone"] += len(self._ledger.gone_stations.put_in_doubt(self._clock.moment()))

    def _begun(self, item: Item) -> Work | None:
        """Ask XNAT for the next step of a study, if it is not found to be done; None if it must wait for that."""
        if item.progress is Progress.RECEIVED:
            return self._uploads(item, self._clock.seconds())
        if item.progress is Progress.UPLOADED:
            return self._archives(item, self._clock.seconds())
        return Work(item, self._clock.seconds(), StepFacts())

    def _uploads(self, item: Item, now: float) -> Work | None:
        facts = StepFacts(subject=f"S{item.person.id}")
        if item.in_doubt and self._xnat.has_uploaded(item.study_uid, now):
            self.found["upload found"] += 1
            return Work(item, now, facts)
        if item.in_doubt and self._must_wait(item, item.import_began):
            return None
        place = Place(item.project, f"20260101_{item.key:09}", f"watchd-{item.name}")
        images = [one.sop_uid for one in self._ledger.contents.wanted(item)]
        self._ledger.places.choose(item, place, images, self._clock.moment(), stamp="stamp")
        self._xnat.upload(item.study_uid, ends := self._takes(now))
        return Work(item, ends, facts)

    def _archives(self, item: Item, now: float) -> Work | None:
        subject = f"S{item.person.id}"
        facts = StepFacts(session=f"E{item.key}", subject=subject)
        if item.in_doubt and self._xnat.has_archived(item.study_uid, now):
            self.found["archiving found"] += 1
            return Work(item, now, facts)
        if item.in_doubt and self._must_wait(item, item.since or self._clock.moment()):
            return None
        label = StepFacts(subject=subject, label=f"L{item.key}")
        self._ledger.studies.note(item, label, self._clock.moment(), claims=subject)
        self._xnat.archive(item.study_uid, subject, now, ends := self._takes(now))
        return Work(item, ends, facts)

    def _takes(self, now: float) -> float:
        """Return when XNAT is through with what it is asked now: mostly soon."""
        return now + 0.9 * LATENESS * self._chance.random() ** 3

    def _must_wait(self, item: Item, since: datetime | None) -> bool:
        """Let a study wait if something that was asked for since then may still appear; return whether it does."""
        now = self._clock.moment()
        until = (since or now) + timedelta(seconds=LATENESS)
        if since is None or until <= now:
            return False
        self.found["waited for"] += 1
        due = min(until, now + timedelta(seconds=5))
        self._ledger.studies.postpone(item, due, now, NotSeenYet("it may still appear", until), charged=False)
        return True

    def _drop(self) -> None:
        """Take a ZIP of one study of somebody whom other stations see, too."""
        self._studies += 1
        uid = f"1.2.{self._number}.{self._studies}"
        who = f"{self._chance.randrange(self._people)}"
        study = Study(
            uid=uid, person=Person(name=f"P{who}", id=who), date="20260101", time="1200",
            series=(Series(f"{uid}.1", "1", "MR", image=True),),
            instances=tuple(Instance(f"{uid}.1.{n}", f"{uid}.1", 10, n, n, b"") for n in range(IMAGES)),
        )  # fmt: skip
        contents = ZipContents(
            sha256=f"{self._number:032}{self._studies:032}", size=10, studies=(study,), clutter_kinds={}, as_it_is=True
        )
        now, name = self._clock.moment(), f"{self._studies}.zip"
        delivery = self._ledger.deliveries.expect(name, "P1", f"{self.name}/{name}", now)
        self._ledger.deliveries.record(delivery, contents, f"work/{name}", now, "stamp")
        self.dropped.append(uid)

    def _meet(self, now: float) -> float:
        """Meet trouble."""
        self._trouble = now + self._next(self._options.trouble_every)
        what = self._chance.choice(("kill", "freeze", "cut"))
        self.troubles[what] += 1
        if what == "kill":
            self._lives, self._work = False, None
            self._until = now + self._chance.uniform(1, 90)
        elif what == "freeze":
            self._until = now + self._chance.uniform(1, 240)
        else:
            self._cut, self._until = True, now + self._chance.uniform(1, 120)
        return self._until

    def _next(self, every: float) -> float:
        return self._chance.expovariate(1 / every)


Stations = Sequence[SimulatedStation]


class Simulation:
    """One run."""

    def __init__(
        self, options: SimulationOptions, connect: Callable[[], Database], begun: Callable[[SimulatedClock], None]
    ) -> None:
        """`begun`: have the clock of the database go as this one does, which has just begun."""
        self._options, self._connect = options, connect
        self._begun = begun
        self._xnat, self.clock = ModelXnat(), SimulatedClock(options.speed)
        self._failed = list[BaseException]()

    def run(self) -> SimulationFigures:
        """Let everybody live, and judge."""
        options = self._options
        databases = [MeasuredDatabase(self._connect()) for _ in range(min(options.connections, options.stations))]
        stations = [
            SimulatedStation(n, databases[n % len(databases)], self._xnat, self.clock, options)
            for n in range(options.stations)
        ]
        shares = [stations[n :: len(databases)] for n in range(len(databases))]
        self._at_once(self._start, shares)
        for database in databases:
            database.took.clear()
            database.commits = 0
        self.clock.begin()
        self._begun(self.clock)
        began = time.monotonic()
        self._at_once(self._live, shares)
        seconds = time.monotonic() - began
        figures = self._judged(stations, Ledger(databases[0]))
        took = sorted(one for database in databases for one in database.took)
        figures.seconds, figures.statements = seconds, len(took)
        figures.commits = sum(one.commits for one in databases)
        figures.p99 = took[int(len(took) * 0.99)] if took else 0.0
        for database in databases:
            database.close()
        return figures

    def _at_once(self, act: Callable[[Stations], object], shares: Sequence[Stations]) -> None:
        """Do something with each share of the stations, in a thread for each."""

        def noted(share: Stations) -> None:
            try:
                act(share)
            except BaseException as error:  # noqa: BLE001 - told by the thread that waits
                self._failed.append(error)

        threads = [threading.Thread(target=noted, args=(share,)) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failed:
            raise self._failed[0]

    def _start(self, stations: Stations) -> None:
        for station in stations:
            station.begin()

    def _live(self, stations: Stations) -> None:
        """Let some stations take their turns; the last fifth of the time is calm."""
        end = self._options.seconds * self._options.speed
        turns = [(0.0, number) for number in range(len(stations))]
        while self.clock.seconds() < end and not self._failed:
            due, number = heapq.heappop(turns)
            self.clock.wait(due)
            heapq.heappush(turns, (stations[number].turn(calm=due > 0.8 * end), number))

    def _judged(self, stations: Sequence[SimulatedStation], ledger: Ledger) -> SimulationFigures:
        figures = SimulationFigures(archivings=self._xnat.begun, wrong=[*self._xnat.wrong])
        rows = ledger.views._db.rows("SELECT study_uid, progress FROM studies")
        known = {row["study_uid"]: row["progress"] for row in rows}
        for station in stations:
            figures.troubles += station.troubles
            figures.found += station.found
            figures.studies += len(station.dropped)
            figures.wrong += [f"lost by the ledger: {uid}" for uid in station.dropped if uid not in known]
        complete = [uid for uid, progress in known.items() if progress == Progress.COMPLETE]
        figures.done = len(complete)
        figures.wrong += [f"lost by XNAT: {uid}" for uid in complete if uid not in self._xnat.archived]
        return figures


def simulate(options: SimulationOptions, cluster: Cluster) -> SimulationFigures:
    """Let stations share a ledger in a database of its own, whose clock runs as fast as theirs."""
    where = Location(Path(), cluster.database("simulation"))

    def begun(clock: SimulatedClock) -> None:
        hurry_database(cluster, "simulation", speed=clock.speed, began=clock.began, shown=BEGAN.timestamp())
        cluster.tell("UPDATE xnat_watchd.stations SET seen = xnat_watchd.database_now(0)", "simulation")

    try:
        open_database(where).close()
        return Simulation(options, lambda: open_database(where), begun).run()
    finally:
        cluster.drop("simulation")
