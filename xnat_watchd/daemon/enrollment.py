"""This station in a ledger that several share: it begins, shows again and again that it is there, and ends.

The only station of a ledger that is a file needs none of that: a lock of the kernel says whether it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.core.errors import LedgerUnusable, Occupied
from xnat_watchd.core.lease import StationLease
from xnat_watchd.core.ports import Clock, Log


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
        wake: Callable[[], None],
        follow: Callable[[datetime], None],
    ) -> None:
        self._ledger, self._process, self._lease = ledger, process, lease
        self._lateness, self._report = lateness, report
        self._clock, self._log, self._wake, self._follow = clock, log, wake, follow
        self.refused: Occupied | None = None  #: another process is this station now, so that this one must end

    def begin(self) -> None:
        """Become a station of the ledger, and put what it had left busy in doubt. `Occupied` if another process is."""
        asked = self._lease.now()
        self._ledger.stations.enroll(self._process)
        if self._ledger.stations.shared:
            self._renew()
            self._lease.renewed = asked
        for item in self._ledger.studies.recover(self._clock.now(), self._lateness()):
            self._log.warning("study.recovered", item=item)

    def check(self) -> None:
        """Renew the lease if it is time, and put in doubt what stations that are gone have left busy."""
        if not self._lease.is_due():
            return
        could_begin, asked = self._lease.may_begin(), self._lease.now()
        if not self._renew():
            self._begin_anew()
        self._lease.renewed = asked
        if not could_begin:
            self._wake()
        for station in self._ledger.gone_stations.put_in_doubt(self._clock.now()):
            self._log.warning("station.gone", station=station)

    def end(self) -> None:
        """Leave the ledger, once every study was given back. Where it cannot be told, others notice it."""
        if self._ledger.stations.shared:
            with suppress(LedgerUnusable):
                self._ledger.stations.leave()

    def _renew(self) -> bool:
        shown = self._ledger.stations.renew(self._lateness(), self._report())
        if shown is not None:
            self._follow(shown)
        return shown is not None

    def _begin_anew(self) -> None:
        self._log.warning("station.found_gone", station=self._process.name)
        try:
            self._ledger.stations.enroll(self._process)
        except Occupied as error:
            self.refused = error
            raise
