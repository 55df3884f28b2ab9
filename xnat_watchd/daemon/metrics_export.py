"""Writes the metrics into a file for node_exporter, in a thread of its own: no disk of others may delay an upload."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from xnat_watchd.adapters.files.new_files import publish
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.threads import EndedByFault, until_stop
from xnat_watchd.core.errors import LedgerUnusable, Stopped
from xnat_watchd.core.ports import Log
from xnat_watchd.operator.metrics import LedgerTotals, exposition
from xnat_watchd.operator.status import Snapshot, attention_row

EVERY = 15.0  #: seconds between two times that the file is written; node_exporter is asked as often, or more rarely
FIRST = 1.0  #: seconds until the next look where no snapshot was published yet
MODE = 0o644  #: for everybody: node_exporter runs as another user, and the file holds no name of a patient or file
CHECK_FILE = "Check that `[metrics] file` lies in a folder that the service may write to; see `xnat-watchd check`."


@dataclass(kw_only=True)
class MetricsExport:
    """Writes the metrics of the newest snapshot. For one thread at a time."""

    path: Path
    ledger: Ledger
    published: Callable[[], Snapshot | None]  #: the newest snapshot without names
    log: Log
    stop: threading.Event
    failing: str = ""  #: why the last try failed
    _counted: LedgerTotals = field(default_factory=lambda: LedgerTotals((), {}))
    _version: tuple[int, int] | None = None  #: of the ledger when it was last asked

    def turn(self) -> float:
        """Write the file, and return the seconds until the next turn. The ledger is asked only after a change."""
        snapshot = self.published()
        if snapshot is None:
            return FIRST
        version = self.ledger.version()
        if version != self._version or self.ledger.fleet.shared:  # that other stations are there changes no version
            self._counted, self._version = LedgerTotals.of(self.ledger.totals, self.ledger.fleet), version
        try:
            self._write(snapshot)
        except (OSError, EndedByFault) as error:
            why = getattr(error, "strerror", None) or str(error)
            if not self.failing:
                self.log.warning("metrics.failed", reason=why)
            self.failing = why
        else:
            self.failing = ""
        return EVERY

    def write_last(self, snapshot: Snapshot) -> None:
        """Write that the service has ended. Nothing waits for a disk that does not answer."""
        try:
            self._counted = LedgerTotals.of(self.ledger.totals, self.ledger.fleet)
            self._write(snapshot)
        except (OSError, Stopped, EndedByFault, LedgerUnusable) as error:
            self.log.warning("metrics.failed", reason=type(error).__name__)

    def problems(self) -> list[dict[str, object]]:
        """Return a row that needs attention while the file cannot be written."""
        why = self.failing
        return [attention_row("metrics", f"the metrics cannot be written: {why}", CHECK_FILE)] if why else []

    def _write(self, snapshot: Snapshot) -> None:
        content = exposition(snapshot, self._counted)
        until_stop(partial(publish, self.path, content, MODE, masked=False), self.stop, (OSError,))
