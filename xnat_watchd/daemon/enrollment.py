"""This station in a ledger that several share: it begins, shows again and again that it is there, and ends.

The only station of a ledger that is a file needs none of that: a lock of the kernel says whether it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.core.errors import LedgerUnusable, Occupied, OtherHistory, Refusal
from xnat_watchd.core.lease import StationLease
from xnat_watchd.core.ports import Clock, Log


class Workers(Protocol):
    """The workers of this station."""

    def wake(self) -> None:
        """Let them look for work."""

    def held(self) -> Collection[int]:
        """Return the keys of the studies that they have taken."""


class Enrollment:
    """Belongs to the main thread. The lease that it renews may be asked by any."""

    def __init__(  # noqa: PLR0913 - each is given by name
        self,
        *,
        ledger: Ledger,
        process: StationProcess,
        lease: StationLease,
        lateness: Callable[[], timedelta],
        report: Callable[[], str],
        clock: Clock,
        log: Log,
        workers: Workers,
        follow: Callable[[datetime], None],
    ) -> None:
        self._ledger, self._process, self._lease = ledger, process, lease
        self._lateness, self._report = lateness, report
        self._clock, self._log, self._workers, self._follow = clock, log, workers, follow
        self._connections, self._untold = 0, dict[int, int]()  #: studies that no worker may know of: key -> fence
        self._is_behind = False  #: the database lacks what it had confirmed
        self.refused: Refusal | None = None  #: why this process must end

    def begin(self) -> None:
        """Become a station of the ledger, and put what it had left busy in doubt. `Occupied` if another process is."""
        asked = self._lease.now()
        self._ledger.stations.enroll(self._process)
        if self._ledger.stations.shared:
            if self._ledger.commit_history.has_changed(self._clock.now()):
                self._log.error("ledger.failed_over")
                self._ledger.stations.enroll(self._process)
            self._renew()
            self._lease.renewed = asked
        for item in self._ledger.studies.recover(self._clock.now(), self._lateness()):
            self._log.warning("study.recovered", item=item)

    def check(self) -> None:
        """Renew the lease if it is time, and put in doubt what stations that are gone have left busy.

        Raise `Occupied` if the database lacks what it had confirmed: a start puts in order what it has forgotten.
        """
        if not self._lease.is_due():
            return
        try:
            self._check()
        except OtherHistory as error:
            self._log.error("ledger.failed_over")
            self._is_behind = True
            self.refused = Occupied(str(error), advice=error.advice)
            raise self.refused from None

    def _check(self) -> None:
        could_begin, asked = self._lease.may_begin(), self._lease.now()
        if not self._renew():
            self._begin_anew()
        self._lease.renewed = asked
        if not could_begin:
            self._workers.wake()
        for station in self._ledger.gone_stations.put_in_doubt(self._clock.now()):
            self._log.warning("station.gone", station=station)
        self._look_for_untold()

    def _look_for_untold(self) -> None:
        """Make ready what was taken by a change whose answer was lost with the connection: no worker knows of it.

        A worker may be about to learn of what it has just taken, so what counts is what none knows at the next look.
        """
        if self._ledger.connections() != self._connections:
            self._connections = self._ledger.connections()
            held = self._workers.held()
            self._untold = {key: fence for key, fence in self._ledger.studies.busy_here().items() if key not in held}
            return
        while self._untold:
            key, fence = self._untold.popitem()
            if key not in self._workers.held() and self._ledger.studies.return_untold(key, fence, self._clock.now()):
                self._workers.wake()

    def end(self) -> None:
        """Leave the ledger, once every study was given back. Where it cannot be told, others notice it."""
        if self._ledger.stations.shared:
            with suppress(LedgerUnusable):
                self._leave()

    def _leave(self) -> None:
        if self._is_behind:
            self._ledger.commit_history.end()
        else:
            self._ledger.stations.leave()

    def _renew(self) -> bool:
        shown = self._ledger.stations.renew(self._lateness(), self._report())
        if shown is not None:
            self._follow(shown)
        return shown is not None

    def _begin_anew(self) -> None:
        self._ledger.stations.must_be_remembered()
        self._log.warning("station.found_gone", station=self._process.name)
        try:
            with self._ledger.together():
                self._ledger.moves.must_be_here()  # else two ledgers would work on one root
                self._ledger.stations.enroll(self._process)
        except Refusal as error:
            self.refused = error
            raise
