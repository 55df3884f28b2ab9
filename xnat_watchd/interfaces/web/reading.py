"""What the page knows: the ledger, and what a running service has published beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from xnat_watchd.adapters.files.lock import is_held, lock_of
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.core.errors import FAILURES, LedgerUnusable, NoLedger, WatchdError
from xnat_watchd.operator.current_status import published_at, status_of
from xnat_watchd.operator.figures import Figures, Span, figures_of
from xnat_watchd.operator.fleet import fleet_status
from xnat_watchd.operator.status import Snapshot

HOLDS = 1.0  #: seconds for which a status is shown to whoever asks: many may look at once
FIGURES_HOLD = 60.0  #: likewise, for figures
PATIENCE = 5.0  #: seconds to wait for a ledger that another program holds

_Found = TypeVar("_Found")


@dataclass
class Reading:
    """Reads for the page, and opens the ledger for a decision. Threads may share it."""

    where: Location  #: the ledger is
    published: Path  #: where the service publishes its status
    server: str  #: the address of XNAT
    now: Callable[[], datetime]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: dict[object, tuple[datetime, Any]] = field(default_factory=dict)  #: what for -> when, and what
    _failed: list[WatchdError | LedgerUnusable] = field(default_factory=list)  #: how the last look failed, if one did

    def status(self, *, names: bool) -> Snapshot:
        """Return the status as of now. `names`: the reader may see names."""

        def look(ledger: Ledger, now: datetime) -> Snapshot:
            said, running = published_at(self.published), is_held(lock_of(self.where.path))
            return status_of(ledger, self.server, said, now, running=running, names=names)

        return self._kept(("status", names), HOLDS, look)

    @property
    def shared(self) -> bool:
        """Whether several stations may share the ledger."""
        return bool(self.where.url)

    def fleet(self) -> Snapshot:
        """Return how all stations are, as of now."""
        return self._kept("fleet", HOLDS, lambda ledger, now: fleet_status(ledger.fleet, now))

    def figures(self, span: Span) -> Figures:
        """Return the figures as of now, or as of a minute ago."""
        return self._kept(span, FIGURES_HOLD, lambda ledger, now: figures_of(ledger, span, now))

    def _kept(self, what: object, seconds: float, look: Callable[[Ledger, datetime], _Found]) -> _Found:
        """Return what was found not long ago, else what a look finds now. One looks, and the others wait for it.

        Where a look fails, it has failed for all who wait: each would wait as long again for the next.
        """
        before = [*self._failed]
        with self._lock:
            if self._failed and self._failed != before:
                raise self._failed[0]
            now = self.now()
            at, found = self._known.get(what, (None, None))
            if at is None or abs((now - at).total_seconds()) > seconds:
                try:
                    with self.ledger() as ledger:
                        found = look(ledger, now)
                except FAILURES as error:
                    self._failed[:] = [error]
                    raise
                self._known[what] = now, found
            return cast(_Found, found)

    @contextmanager
    def ledger(self, *, read_only: bool = True) -> Iterator[Ledger]:
        """Open the ledger. Raise `NoLedger` if there is none yet."""
        if not self.where.exists():
            raise NoLedger("there is no ledger yet", advice="The first `xnat-watchd run` makes it.")
        ledger = Ledger(open_database(self.where, read_only=read_only, upgrade=False, patience=PATIENCE))
        try:
            yield ledger
        finally:
            ledger.close()
        if not read_only:
            with self._lock:
                self._known.clear()
