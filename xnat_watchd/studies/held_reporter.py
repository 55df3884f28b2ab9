"""Log every study that becomes held, whatever has held it: a step, a finding, a person, another station."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.ports import Log


@dataclass(slots=True)
class HeldReporter:
    """Logs every study that becomes held, whatever has held it: once, from the events of the ledger."""

    ledger: Ledger
    log: Log
    lock: threading.Lock = field(default_factory=threading.Lock)
    newest: int = field(init=False)  #: event that was read

    def __post_init__(self) -> None:
        self.newest = self.ledger.studies.newest_event()

    def report(self) -> None:
        """Log the studies that became held since the last call."""
        with self.lock:
            self.newest, held = self.ledger.studies.held_after(self.newest)
            for one in held:
                self.log.warning("study.held", item=one["item"], project=one["project"], reason=one["reason"])
