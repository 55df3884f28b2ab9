"""The soak: ZIPs flow, answers go wrong, the service is killed again and again; in the end XNAT is asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random
from typing import Any

from tests.dicom import CANARIES
from tests.engine import is_postgres, location_of, settings_of
from tests.soak import hurried, recovery
from tests.soak.counters import MetricsReader
from tests.soak.disks import Disks
from tests.soak.faults import Script
from tests.soak.inbox import Inbox, Told, told_by
from tests.soak.judge import complaints
from tests.soak.practice import PASSWORD, Practice
from tests.soak.stranger import Stranger
from tests.soak.traffic import Drop, Traffic

SPEED = 60.0  #: a minute of the service's time is a second of ours
PLANNED = 40  #: faults that lie ready
AT_ONCE = 50  #: ZIPs under way at a time
STUCK = 150.0  #: seconds without any progress after which the service is believed to hang
LOOKS = 20  #: lives of the service between two looks at what is held
LONGEST_LIFE = 5.0  #: seconds from the start of the service to a kill, at most
DISK_FAILS, DISK_IS_WELL, STRANGER, RELOAD = 0.15, 0.2, 0.03, 0.01  #: how often, of all looks around
COLLISION = 0.02  #: of the faults, those by another client
LAST_WORDS = 3000  #: characters of the journal that are told when the service ended by itself
WITHOUT_A_LEDGER = (75, 78)  #: how it ends where a start cannot write to the ledger's disk
PATIENCE = 5  #: times that somebody types `retry` for one study
FOR_A_PERSON = re.compile(r"damaged|two patients|two different contents|cannot be read", re.IGNORECASE)
NOT_OURS = re.compile("not proved to be ours")
UNPROVED = re.compile("nothing proves whose they are")
A_NIGHT = re.compile("it is sent once more after a night")

CONFIG = """\
[xnat]
server = "{server}"
project = "P1"
read_timeout = "5m"
[folders]
root = "{root}"
[pipeline]
workers = {workers}
[intake]
quiet_for = "{quiet_for}"
incomplete_after = "5m"
rescan_every = "1m"
[limits]
keep_free = "1MB"
[metrics]
file = "{metrics}"
[alerts]
webhook = "{webhook}"
remind = "30m"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakOptions:
    """How much of what."""

    seed: int
    zips: int
    kills: int
    faults: float
    dialect: str
    seconds: float | None = None  #: no more is dropped after so long
    apart: int = 0  #: kills in mid-upload whose cost is measured, with no other trouble


@dataclass(slots=True)
class Figures:
    """What happened."""

    dropped: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    stops: int = 0
    reloads: int = 0
    disks: Counter[str] = field(default_factory=Counter)
    collisions: int = 0
    planned: int = 0
    left: int = 0
    requests: int = 0
    held: Counter[str] = field(default_factory=Counter)
    amid: Sequence[timedelta] = ()  #: what kills cost amid everything else
    apart: Sequence[timedelta] = ()  #: and with no other trouble
    studies: int = 0
    instances: int = 0
    seconds: float = 0.0
    counted: int = 0  #: how often studies were archived, by the metrics
    alerts: Told = field(default_factory=Told)
    wrong: list[str] = field(default_factory=list)

    def told(self) -> str:
        """Return all of it as lines."""
        zips = sum(self.dropped.values())
        lines = [
            f"ZIPs       {zips} ({', '.join(f'{n} {kind}' for kind, n in self.dropped.most_common())})",
            f"XNAT       {self.studies} studies, {self.instances} instances",
            f"kills      {self.kills}, and {self.stops} orderly stops",
            f"reloads    {self.reloads}",
            f"disks      {', '.join(f'{n} x {what}' for what, n in self.disks.most_common()) or 'none: it needs root'}",
            f"collisions {self.collisions} planned with another client",
            f"faults     {self.planned - self.left} fired, in {self.requests} requests",
            self.alerts.said(),
            f"metrics    {self.counted} times that a study was archived",
            f"time       {self.seconds:.0f} s, {zips / self.seconds:.2f} ZIPs/s",
            recovery.told("kills cost", self.amid),
            recovery.told("apart     ", self.apart),
            *(f"held       {n} x {why}" for why, n in self.held.most_common()),
            *(f"WRONG      {one}" for one in self.wrong),
        ]
        return "\n".join([*lines, "all is well" if not self.wrong else f"{len(self.wrong)} things are wrong"])


class Soak:
    """One run."""

    def __init__(self, folder: Path, options: SoakOptions, tell: Callable[[str], None]) -> None:
        self._options, self._tell = options, tell
        self._chance = Random(options.seed)
        self._root, self._config = folder / "watchd", folder / "config.toml"
        self._journal = folder / "journal.txt"
        self._traffic, self._script = Traffic(options.seed), Script(options.seed, options.faults or 1.0)
        self._drops: list[Drop] = []
        self._growing: dict[str, list[bytes]] = {}
        self._retried: Counter[str] = Counter()
        self._held = 0
        self._ends = False
        self._root_failed = False  #: whether the root's disk was in trouble in the life of this service
        self._began = time.time()
        self.figures = Figures()
        apart = ("work", "done") if options.dialect == "1.8" else ("done",)
        self._disks = Disks(self._root, apart, Random(options.seed))
        (self._root / "drop").mkdir()
        self._processes = get_context("forkserver")
        self._processes.set_forkserver_preload(
            ["xnat_watchd.interfaces.cli.run", "xnat_watchd.daemon", hurried.__name__]
        )
        self._xnat = Practice(folder / "xnat", options.dialect)
        self._stranger = Stranger(self._xnat, options.seed)
        self._inbox = Inbox(options.seed)
        self._metrics = folder / "xnat-watchd.prom"
        self._reader = MetricsReader(self._metrics)
        self._configure(workers=2, quiet_for=20)

    def run(self) -> Figures:
        """Let it all flow, settle it, judge it."""
        try:
            self._flow()
            self._disks.end()
            self._settle()
            stored, left = self._xnat.ask("GET", "/instances"), self._untold_rows(self._status())
            self.figures.requests = len(self._xnat.ask("GET", "/requests"))
            self._kill_apart()
        except BaseException:
            self._xnat.stop()
            self._disks.close()
            raise
        finally:
            self._inbox.stop()
        failed = self._xnat.stop()
        figures = self.figures
        figures.alerts = told_by(self._inbox.posts)
        figures.wrong += figures.alerts.wrong
        figures.seconds = time.time() - self._began
        figures.wrong += self._reader.look()
        figures.counted = round(self._reader.archived)
        figures.studies, figures.instances = len({one["study_uid"] for one in stored}), len(stored)
        theirs = self._stranger.places(stored)
        ours = [one for one in stored if (one["project"], one["session"]) not in theirs or one["where"] == "archive"]
        figures.wrong += complaints(self._traffic.truth, self._drops, ours, self._root)
        figures.wrong += self._stranger.complaints(stored)
        for part in self._root.glob("ledger.sqlite*"):  # its disk is gone in a moment, and it tells why
            shutil.copy2(part, self._config.with_name(part.name))
        figures.amid = recovery.costs(location_of(self._root if is_postgres() else self._config.parent))
        figures.wrong += [f"a row is left in the prearchive: {row}" for row in left]
        self._disks.close()
        journal = self._journal.read_text("utf-8")
        figures.wrong += [f"a patient in the journal: {told}" for told in (*CANARIES, PASSWORD) if told in journal]
        if failed:
            figures.wrong.append("the practice XNAT itself failed")
        return figures

    # While it flows.

    def _flow(self) -> None:
        while not self._enough():
            with self._service() as service:
                end = time.monotonic() + self._chance.uniform(0.2, LONGEST_LIFE)
                self._root_failed = False
                while time.monotonic() < end and service.is_alive():
                    self._root_failed |= self._disks.of_the_root
                    self._plan_faults()
                    self._drop_some()
                    self._trouble()
                    service.join(self._chance.uniform(0.0, 0.2))
                self._end(service)
        self._disks.end()
        while self._growing:
            self._grow()

    def _trouble(self) -> None:
        """Let disks fail and be well again, other clients import, and people change the settings."""
        chance = self._chance.random
        if self._disks.in_trouble:
            if chance() < DISK_IS_WELL:
                self._disks.end()
        elif chance() < DISK_FAILS and (what := self._disks.begin()):
            self.figures.disks[what] += 1
        if chance() < STRANGER:
            self._stranger.sends()
        if chance() < RELOAD and not self._disks.in_trouble:
            self._configure(workers=self._chance.randint(1, 3), quiet_for=self._chance.randint(10, 30))
            self._type("reload")
            self.figures.reloads += 1

    def _configure(self, *, workers: int, quiet_for: int) -> None:
        settings = {"workers": workers, "quiet_for": f"{quiet_for}s", "server": self._xnat.url, "root": self._root,
                    "webhook": self._inbox.url, "metrics": self._metrics}  # fmt: skip
        new = self._config.with_suffix(".new")
        new.write_text(CONFIG.format(**settings) + settings_of(self._root), "utf-8")
        new.rename(self._config)  # a service that starts just now reads the one or the other

    def _enough(self) -> bool:
        late = self._options.seconds is not None and time.time() - self._began > self._options.seconds
        return late or (len(self._drops) >= self._options.zips and self.figures.kills >= self._options.kills)

    def _end(self, service: ForkServerProcess) -> None:
        """Kill it; sometimes ask it to stop."""
        failed = self._root_failed or self._disks.of_the_root
        if not service.is_alive() and not (failed and service.exitcode in WITHOUT_A_LEDGER):
            last = self._journal.read_text("utf-8")[-LAST_WORDS:]
            raise RuntimeError(f"the service ended by itself with {service.exitcode}: {last}")
        if not service.is_alive() or self._chance.random() < 0.1:
            service.terminate()
            self.figures.stops += 1
        else:
            service.kill()
            self.figures.kills += 1
        service.join()
        self.figures.wrong += self._reader.look()
        if (self.figures.kills + self.figures.stops) % LOOKS == 0:
            self._look()

    def _look(self) -> None:
        """Do as people do from time to time: see what is held, and type `retry`."""
        self._disks.end()
        self._stranger.looks(self._xnat.ask("GET", "/instances"))
        status = self._status()
        self._retry(status)
        self._held = len({one["item"].partition(".")[0] for one in status["attention"] if "." in one["item"]})
        self._tell(f"{len(self._drops)} ZIPs, {self.figures.kills} kills, {self._under_way()} under way")

    def _plan_faults(self) -> None:
        missing = PLANNED - len(self._xnat.ask("GET", "/faults")) if self._options.faults else 0
        for _ in range(missing):
            collides = self._chance.random() < COLLISION
            self.figures.collisions += collides
            self._xnat.ask("POST", "/faults", self._stranger.collides() if collides else self._script.next())
        self.figures.planned += max(missing, 0)

    def _drop_some(self) -> None:
        self._grow()
        if len(self._drops) >= self._options.zips or self._under_way() >= AT_ONCE or self._disks.of_the_root:
            return
        for _ in range(self._chance.randint(0, 3)):
            drop = self._traffic.next()
            self._drops.append(drop)
            self.figures.dropped[drop.kind] += 1
            step = -(-len(drop.data) // drop.pieces)
            self._growing[drop.name] = [drop.data[at : at + step] for at in range(0, len(drop.data), step)]

    def _grow(self) -> None:
        """Write on at what is being copied."""
        if self._disks.of_the_root:
            return
        for name, pieces in list(self._growing.items()):
            if len(pieces) == 1 or self._chance.random() < 0.3:
                with (self._root / "drop" / name).open("ab") as file:
                    file.write(pieces.pop(0))
                if not pieces:
                    del self._growing[name]

    def _under_way(self) -> int:
        rested = sum(len(list((self._root / folder).rglob("*.zip"))) for folder in ("done", "failed"))
        return len(self._drops) - rested - self._held

    # When all is dropped.

    def _settle(self) -> None:
        """Let the server be well, and people retry what is held, until nothing moves that may move."""
        self._ends, self.figures.left = True, len(self._xnat.ask("GET", "/faults"))
        self._xnat.ask("DELETE", "/faults")
        with self._service() as service:
            before, since = "", time.monotonic()
            while not self._rests(status := self._status()):
                now = json.dumps(
                    [status["deliveries"], {step: sum(n.values()) for step, n in status["studies"].items()}]
                )
                if now != before:
                    before, since = now, time.monotonic()
                    self._tell(now)
                if time.monotonic() - since > STUCK or not service.is_alive():
                    self.figures.wrong.append(f"it does not come to rest: {status['studies']}")
                    break
                self._retry(status)
            self.figures.held.update(f"{one['why']} (to the end)" for one in _held(status) if "." in one["item"])
            service.terminate()
            service.join()

    def _kill_apart(self) -> None:
        """Measure what a kill costs where nothing else is wrong. On 1.6 that has a bound."""
        if not self._options.apart:
            return
        apart = recovery.Apart(
            self._config.with_name("apart"), self._options.dialect, self._options.seed, self._serving
        )
        self.figures.apart = apart.killed(self._options.apart)
        late = [cost for cost in self.figures.apart if cost > recovery.MOST]
        if late and self._options.dialect == "1.6":
            self.figures.wrong.append(f"{len(late)} kills in mid-upload cost more than {recovery.MOST}")

    def _rests(self, status: dict[str, Any]) -> bool:
        """Return whether every file in work belongs to a study that people must decide, and nothing is left to do.

        Rows that appear late at places of ours are removed at the next look for them.
        """
        to_take = any((self._root / "drop").glob("*.zip"))  # first: what is taken meanwhile is seen in work
        lying = {path.name.partition(".")[0] for path in (self._root / "work").glob("*.zip")}
        held = {one["item"].partition(".")[0] for one in (*_held(status), *_nights(status))}
        return not to_take and lying <= held and not self._to_retry(status) and not self._untold_rows(status)

    def _untold_rows(self, status: dict[str, Any]) -> list[str]:
        """Return the rows in our project that hold nothing of another client and that nobody was told of."""
        theirs = {folder for _, folder in self._stranger.places(self._xnat.ask("GET", "/instances"))}
        told = {
            f"watchd-{one['item'].replace('.', '-')}-" for one in status["attention"] if NOT_OURS.search(one["why"])
        }
        folders = {row: row.rpartition("/")[2] for row in self._xnat.rows()}
        return [row for row, name in folders.items() if name not in theirs and not name.startswith(tuple(told))]

    def _to_retry(self, status: dict[str, Any]) -> list[dict[str, str]]:
        held = [one for one in _held(status) if "." in one["item"] and not FOR_A_PERSON.search(one["why"])]
        if self._ends:  # nobody waits for the morning
            held += _nights(status)
        return [one for one in held if self._retried[one["item"]] < PATIENCE]

    def _retry(self, status: dict[str, Any]) -> None:
        items = self._to_retry(status)
        self.figures.held.update(one["why"] for one in items)
        self._retried.update(one["item"] for one in items)
        resent = [one["item"] for one in items if UNPROVED.search(one["why"])]
        if resent:  # a collision looks so on 1.8; who has looked at the row sends the study to a new place
            self._type("resend", *resent, "--why", "another client's row")
        if retried := [one["item"] for one in items if one["item"] not in resent]:
            self._type("retry", "--later", *retried)  # else by the clock of this machine

    def _status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._type("status", "--json"))
        return found

    def _type(self, *command: str) -> str:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "xnat_watchd", "--config", str(self._config), *command],
            env=self._environment(), capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.stdout

    def _service(self) -> AbstractContextManager[ForkServerProcess]:
        return self._serving(self._config, SPEED)

    @contextmanager
    def _serving(self, config: Path, speed: float) -> Iterator[ForkServerProcess]:
        """Start the service as a process of its own: forked off one that has imported it, which takes no second."""
        service = self._processes.Process(
            target=hurried.live, args=(config, self._journal, self._environment(), speed, self._began)
        )
        service.start()
        try:
            yield service
        finally:
            service.kill()
            service.join()
            service.close()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XNAT_WATCHD_")}
        return {**kept, "XNAT_WATCHD_XNAT__USER": "tech", "XNAT_WATCHD_XNAT__PASSWORD": PASSWORD}


def _held(status: dict[str, Any]) -> list[dict[str, str]]:
    """Return what a person must decide; a study that waits for long needs attention too, but goes on by itself."""
    waiting = {one["item"] for one in status["under_way"]}
    return [one for one in status["attention"] if one["item"] not in waiting]


def _nights(status: dict[str, Any]) -> list[dict[str, str]]:
    """Return what waits for the morning. Where nothing is wrong with XNAT any more, it keeps as little of it then."""
    return [one for one in status["under_way"] if A_NIGHT.match(one["why"] or "")]
