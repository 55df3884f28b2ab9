"""Real services that share one ledger, and what happens to them; the practice XNAT is asked in the end."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.fleet.clock import hurry_database
from tests.fleet.hosts import SPEED, Host
from tests.fleet.witness import Witness
from tests.postgres.cluster import Cluster
from tests.postgres.line import Line
from tests.soak.judge import complaints
from tests.soak.run import A_NIGHT
from tests.soak.traffic import Drop, Traffic
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.adapters.ledger.opening import open_database

FEW = 15  #: every so many-th study of the traffic: four people have all of them
LEASE = 60.0 / SPEED  #: seconds after which a station that is not heard of is taken for dead
READY_AFTER = 60.0  #: seconds within which a service is ready
LAGS = 0.5  #: seconds of commits that a standby has not got when it is promoted
PAUSE = 0.1  #: seconds between two looks around
STUCK = 60.0  #: seconds without any progress after which the fleet is believed to hang
AT_ONCE = 6  #: ZIPs under way for each station
RETRIES = 3  #: times that somebody types `retry` for one study


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """How many of what."""

    seed: int = 1
    stations: int = 2
    zips: int = 30
    dialect: str = "1.6"
    postgres: bool = True  #: one ledger for all; else each has a SQLite of its own
    shared: bool = False  #: all of them on one share; else each on a root of its own
    troubles: Sequence[str] = ()
    every: float = 1.5  #: seconds from one trouble to the next
    least: int = 3  #: troubles that come before all is dropped
    most: float = 60.0  #: seconds after which nothing more is dropped


@dataclass(slots=True)
class FleetFigures:
    """What happened."""

    dropped: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    archivings: int = 0
    instances: int = 0
    held: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    flow: float = 0.0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def told(self) -> str:
        """Return all of it as lines."""
        happened = ", ".join(f"{count} x {what}" for what, count in self.troubles.most_common()) or "nothing"
        lines = [
            f"ZIPs       {self.dropped} dropped in {self.flow:.0f} s, all at rest after {self.seconds:.0f} s",
            f"troubles   {happened}",
            f"XNAT       {self.archivings} archivings, {self.instances} instances; {self.retried} studies retried",
            *(f"held       {count} x {why}" for why, count in self.held.most_common()),
            *(f"WRONG      {one}" for one in self.wrong[:50]),
        ]
        return "\n".join([*lines, "all is well" if not self.wrong else f"{len(self.wrong)} things are wrong"])


class Fleet:
    """One run."""

    def __init__(self, folder: Path, options: FleetOptions, tell: Callable[[str], None] = lambda _: None) -> None:
        self._folder, self._options, self._tell = folder, options, tell
        self._chance, self._traffic = Random(options.seed), Traffic(options.seed, FEW)
        self._drops = list[Drop]()
        self._over = list[tuple[float, Callable[[], object]]]()  #: when a trouble ends, and how
        self._retried = Counter[str]()
        self._began = time.time()
        self._troubled = 0.0  #: when the next trouble comes
        self.figures = FleetFigures()
        self._standby: Cluster | None = None
        self.hosts = list[Host]()

    def run(self) -> FleetFigures:
        """Let ZIPs flow through all the troubles, let all be well again, and judge."""
        began, witness = time.monotonic(), Witness(self._folder / "xnat", self._options.dialect)
        with witness.watching() as xnat:
            with self._fleet(xnat.url):
                self._begin()
                self._flow()
                self.figures.flow = time.monotonic() - began
                self._settle()
                for host in self.hosts:
                    host.stop()
            xnat.wait_for_jobs()
            stored = [{**asdict(one), "path": str(one.path)} for one in xnat.instances()]
        self.figures.seconds = time.monotonic() - began
        self.figures.instances, self.figures.archivings = len(stored), witness.archivings
        self.figures.wrong += witness.wrong
        if self.figures.troubles["fail over"]:  # what was sent, and sent again since the ledger knew no more of it
            stored = [one for one in stored if one["where"] == "archive"]
        self.figures.wrong += complaints(self._traffic.truth, self._drops, stored, *{host.root for host in self.hosts})
        return self.figures

    @contextmanager
    def _fleet(self, server: str) -> Iterator[None]:
        """Start everything, and leave nothing behind."""
        with ExitStack() as stack:
            if self._options.postgres:
                self._primary = Cluster.made()
                stack.callback(self._primary.close)
                open_database(Location(self._folder, self._primary.database("fleet"))).close()
                hurry_database(self._primary, "fleet", speed=SPEED, began=self._began)
            if "fail over" in self._options.troubles:
                self._standby = Cluster.copied(self._primary)
                stack.callback(self._standby.close)
            for number in range(self._options.stations):
                root = self._folder / ("share" if self._options.shared else f"root-{number + 1}")
                name, ledger = f"station-{number + 1}", self._ledger(number, stack)
                host = Host(name, self._folder, root, server, began=self._began, **ledger)
                self.hosts.append(host)
                stack.callback(host.kill)
                host.start()
            yield

    def _ledger(self, number: int, stack: ExitStack) -> dict[str, Any]:
        if not self._options.postgres:
            return {"ledger": "", "line": None}
        line = Line(self._primary)
        stack.callback(line.cut)
        name = f"station-{number + 1}"
        (self._folder / name).mkdir()  # a disk of its own, for its locks and its status
        where = f'path = "{self._folder / name / "ledger"}"\nurl = "{line.url("fleet")}"\nstation = "{name}"'
        return {"ledger": where, "line": line}

    def _begin(self) -> None:
        """Wait until all are ready."""
        end = time.monotonic() + READY_AFTER
        while any("daemon.ready" not in host.journal() for host in self.hosts):
            time.sleep(PAUSE)
            if time.monotonic() > end:
                raise RuntimeError("\n".join(host.journal()[-2000:] for host in self.hosts))

    # While it flows.

    def _flow(self) -> None:
        end = time.monotonic() + self._options.most
        self._troubled = time.monotonic() + self._options.every
        while len(self._drops) < self._options.zips and time.monotonic() < end:
            self._look_around()
            if len(self._drops) < self._paced() and self._under_way() < AT_ONCE * len(self.hosts):
                self._drop()
            self._trouble()
        self.figures.dropped = len(self._drops)

    def _paced(self) -> float:
        """Return how many ZIPs may have been dropped by now: all of them, or a part for each trouble so far."""
        if not self._options.troubles:
            return self._options.zips
        come = sum(self.figures.troubles[name] for name in self._options.troubles)
        return self._options.zips * (come + 1) / (self._options.least + 1)

    def _look_around(self) -> None:
        """Let a moment pass, end the troubles that are over, and start what has ended by itself, as systemd does."""
        time.sleep(PAUSE)
        for host in self.hosts:
            if not host.lives and not host.down:
                self.figures.troubles[f"end by itself with {host.ended_with()}"] += 1
                host.start()
        now = time.monotonic()
        over, self._over = [one for one in self._over if one[0] <= now], [one for one in self._over if one[0] > now]
        for _, end in over:
            end()

    def _trouble(self) -> None:
        now = time.monotonic()
        if not self._options.troubles or now < self._troubled:
            return
        self._troubled = now + self._chance.uniform(0.3, 1.7) * self._options.every
        name, host = self._chance.choice(self._options.troubles), self._chance.choice(self.hosts)
        lasts, over = TROUBLES[name](self, host)
        self.figures.troubles[name] += 1
        self._over.append((now + lasts * self._chance.uniform(0.3, 1.5), over))

    def _drop(self) -> None:
        drop = self._traffic.next()
        while drop.rests == "work":  # where a person must decide, nothing comes to rest by itself
            drop = self._traffic.next()
        host = self._chance.choice(self.hosts)
        part = host.root / f"{drop.name}.part"
        part.write_bytes(drop.data)
        part.rename(host.root / "drop" / drop.name)
        self._drops.append(drop)

    def _under_way(self) -> int:
        return sum(1 for root in {host.root for host in self.hosts} for _ in _unfinished(root))

    # Troubles.

    def kill(self, host: Host) -> tuple[float, Callable[[], object]]:
        """Kill a service; systemd starts it again after a moment."""
        host.kill()
        host.down = True
        return 1.0, host.start

    def stop(self, host: Host) -> tuple[float, Callable[[], object]]:
        """Stop a service in good order, and start it again."""
        host.stop()
        return 0.2, host.start

    def freeze(self, host: Host) -> tuple[float, Callable[[], object]]:
        """Freeze a service for about twice the lease."""
        host.freeze()
        return 2 * LEASE, host.thaw

    def cut(self, host: Host) -> tuple[float, Callable[[], object]]:
        """Cut a station off from the ledger."""
        assert host.line is not None
        host.line.cut()
        return LEASE, host.line.restore

    def stall(self, host: Host) -> tuple[float, Callable[[], object]]:
        """Let the line to the ledger stand still, as when somebody pulls the cable."""
        assert host.line is not None
        host.line.stall()
        return 2 * LEASE, host.line.restore

    def crash(self, _: Host) -> tuple[float, Callable[[], object]]:
        """Crash the server of the ledger; it recovers at once."""
        self._primary.restart()
        return 0.0, lambda: None

    def fail_over(self, _: Host) -> tuple[float, Callable[[], object]]:
        """Lose the server of the ledger with what it committed last: a standby that lagged takes its place, once."""
        if self._standby is not None:
            standby, self._standby = self._standby, None
            standby.catch_up_with(self._primary)
            standby.follow_no_more()
            time.sleep(LAGS)
            self._primary.stop(signal.SIGQUIT)
            standby.promote()
            for host in self.hosts:
                assert host.line is not None
                host.line.lead_to(standby)
            self._primary = standby
        return 0.0, lambda: None

    # When all is dropped.

    def _settle(self) -> None:
        """Let all be well, and people retry what is held, until nothing moves that may move."""
        for _, end in self._over:
            end()
        self._over.clear()
        for host in self.hosts:
            host.thaw()
            if self.figures.troubles["fail over"]:
                host.stop()  # at a start, ZIPs are found of which the ledger does not know
            host.start()
        before, since = "", time.monotonic()
        while now := sorted(path.name for root in {host.root for host in self.hosts} for path in _unfinished(root)):
            self._look_around()
            if str(now) != before:
                before, since = str(now), time.monotonic()
                self._tell(f"{len(self._drops)} ZIPs, {len(now)} not at rest")
            if time.monotonic() - since > STUCK / 4 and not self._retry():
                break
            if time.monotonic() - since > STUCK:
                self.figures.wrong.append(f"it does not come to rest: {now}")
                break

    def _retry(self) -> bool:
        """Type `retry` for what is held; return whether something may still move."""
        moves = False
        for host in self.hosts:
            status = host.status()
            waiting = {one["item"] for one in status.get("under_way", ())}
            held = [one for one in status.get("attention", ()) if one["item"] not in waiting and "." in one["item"]]
            self.figures.held.update(one["why"] for one in held)
            held += [one for one in status.get("under_way", ()) if A_NIGHT.match(one["why"] or "")]
            items = [one["item"] for one in held if self._retried[one["item"]] < RETRIES]
            self._retried.update(items)
            self.figures.retried += len(items)
            if items:
                host.type("retry", "--later", *items)
            moves |= bool(items or waiting or not status)
        return moves


def _unfinished(root: Path) -> Iterator[Path]:
    for folder in ("drop", "work"):
        yield from (root / folder).rglob("*.zip")


TROUBLES: Mapping[str, Callable[[Fleet, Host], tuple[float, Callable[[], object]]]] = {
    "kill": Fleet.kill,
    "stop": Fleet.stop,
    "freeze": Fleet.freeze,
    "cut": Fleet.cut,
    "stall": Fleet.stall,
    "crash": Fleet.crash,
    "fail over": Fleet.fail_over,
}
"""What may happen: for how many seconds, and what ends it."""
