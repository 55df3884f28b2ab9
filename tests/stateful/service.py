"""The service as it runs, but for its threads: the turns of intake and workers are taken one at a time, or nested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.stateful.fuse import Depth, Fuse
from tests.station import Notes, Station, Time
from xnat_watchd.adapters.ledger.known_rows import KnownRows
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.core.lease import StationLease
from xnat_watchd.core.limits import Limits
from xnat_watchd.daemon import composition, threads
from xnat_watchd.daemon.reload import reload
from xnat_watchd.daemon.state import Daemon
from xnat_watchd.daemon.supervisor import supervised
from xnat_watchd.daemon.thread_context import KnownProjects, Liveness
from xnat_watchd.settings import Settings, load
from xnat_watchd.studies.held_reporter import HeldReporter
from xnat_watchd.studies.late_rows import LateRowCleaner
from xnat_watchd.studies.pipeline import Pipeline
from xnat_watchd.studies.retention import Retention
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.projects import refusal

INTAKE = "intake"
ALWAYS = cast("Any", SimpleNamespace(alive=lambda: True, polling=False, renew=lambda: None))
"""A watcher that is well, and a login that needs no renewal."""


class Service:
    """One run of it, from its start until it is closed or killed."""

    def __init__(
        self,
        root: Path,
        config: Path,
        server: XnatServer,
        time: Time,
        log: Notes,
        fuse: Fuse,
        around: Callable[[str, Any], Any],
        seed: int,
    ) -> None:
        self._config, self._time, self._server = config, time, server
        self._around, self._running = around, set[str]()
        self.lock = Depth()
        settings = self._read()
        self.station = Station(
            root, server.gateway(), time, around=around, project=settings.xnat.project, projects=settings.projects,
            log=log, seed=seed, limits=self._limits,
        )  # fmt: skip
        self.daemon = self._built(settings, log)
        fuse.is_quiet = self._is_quiet
        self.station.ledger.studies.recover(time.now())
        self.turn(INTAKE)

    def close(self) -> None:
        """End it, or let it be dead: its locks and its ledger are free."""
        self.daemon.claims.close()
        self.station.close()

    def reload(self) -> None:
        """Tell it to read its settings anew."""
        reload(self.daemon, self._read)

    @property
    def workers(self) -> list[str]:
        """The names of its workers."""
        return [*self.daemon.pipelines]

    def turn(self, name: str) -> None:
        """Let one of its threads take a turn, unless that one is in the middle of its own."""
        if name in self._running or name not in (INTAKE, *self.workers):
            return
        self._running.add(name)
        try:
            if name == INTAKE:
                threads.intake_turn(self.daemon, ALWAYS)
            else:
                threads.worker_turn(self.daemon, name, ALWAYS)
        finally:
            self._running.discard(name)

    def steps(self, count: int) -> None:
        """Let the first worker do some pieces of work, and put to rest what is finished."""
        name = self.workers[0]

        def some() -> float:
            if self._may_work():
                for _ in range(count):
                    threads._carry_one(self.daemon, name, ALWAYS)
                threads._retire(self.daemon, name)
            return 0.0

        self._running.add(name)
        try:
            supervised(self.daemon, some)
        finally:
            self._running.discard(name)

    def take_in(self) -> None:
        """Let what lies in the drop folder stand still for long enough, and take it."""
        self.turn(INTAKE)
        self._time.pass_(seconds=10)
        self.turn(INTAKE)

    def work(self, *, hours: float = 48, turns: int = 3000) -> None:
        """Work until time brings nothing more, or a person has to do something."""
        station, end = self.station, self._time.now() + timedelta(hours=hours)
        self.turn(INTAKE)
        for _ in range(turns):
            for name in self.workers:
                self.turn(name)
            if self.daemon.missing or not self._may_work() or station.ledger.pauses.lasts(Activity.WORK):
                return
            if station._may_be_late():
                station._waited.update(station.ledger.places.doubted(datetime.min.replace(tzinfo=UTC)))
                self._time.pass_(hours=1)
            elif station.idle() or self._time.now() > end:
                return
            else:
                station._wait()
        raise AssertionError("it never came to rest")

    def _may_work(self) -> bool:
        return self.daemon.recovered and "work" not in self.daemon.missing

    def _limits(self) -> Limits:
        return self.daemon.settings.limits.as_limits()

    def _is_quiet(self) -> bool:
        held = next(iter(self.daemon.pipelines.values()))._held
        in_transaction = cast("KnownRows", self.station.ledger.views._db).in_transaction()
        return not (self.lock.depth or held.lock.locked() or in_transaction)

    def _read(self) -> Settings:
        return load(self._config, {}, self._config.with_name("none"))

    def _built(self, settings: Settings, log: Notes) -> Daemon:
        station, liveness = self.station, Liveness([], cast("Any", self._time))
        daemon = Daemon(
            settings=settings, folders=station.folders, marks=station.tools.marks, ledger=station.ledger,
            server=self._server, sharer=self._server.gateway(), clock=cast("Any", self._time), log=log,
            lease=StationLease(self._time.monotonic), liveness=liveness, stop=liveness.stop, projects=KnownProjects(()),
            gate_lock=cast("Any", self.lock),
        )  # fmt: skip
        names = [f"worker-{number + 1}" for number in range(settings.pipeline.workers)]
        daemon.intake = station.intake
        daemon.tools = {name: self._tools(daemon) for name in names}
        daemon.retention = Retention(daemon.tools[names[0]], daemon.retention_rules, log)
        daemon.late_rows = LateRowCleaner(daemon.tools[names[0]], log)
        daemon.idle_check, daemon.sharing = composition._idle_check(daemon), composition._sharing(daemon)
        held = HeldReporter(station.ledger, log)
        daemon.pipelines = {
            name: Pipeline(tools, settings.retry(), log, daemon.finished, held) for name, tools in daemon.tools.items()
        }
        composition.apply_settings(daemon, settings)
        return daemon

    def _tools(self, daemon: Daemon) -> Tools:
        tools, gateway = self.station.tools, self._around("gateway", self._server.gateway())
        asked = partial(refusal, gateway=gateway)
        gates = replace(tools.gates, lock=cast("Any", self.lock), prober=gateway, refusal=asked)
        return replace(tools, gateway=gateway, gates=gates, rules=daemon.rules)
