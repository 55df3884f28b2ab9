"""A coordinator's desk: the folder of share tables and the one who applies them. All real but for clock and XNAT."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from random import Random
from threading import RLock
from typing import Any

from tests.engine import opened
from tests.station import QUIET, Notes, Time, as_is
from xnat_watchd.adapters.files.share_folder import ShareFolder
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.ports import SharingGateway
from xnat_watchd.core.retry import RetryPolicy
from xnat_watchd.core.sharing.report import ADDED, report_name
from xnat_watchd.sharing.rows import Sharer, SharingContext
from xnat_watchd.sharing.service import Sharing, SharingRules
from xnat_watchd.studies.steps.gates import XnatGates

EVERY = 900.0  #: seconds between two regular sweeps, at most
HEADER = "subject,source,destination\n"
STATE, SESSIONS, WHEN, REASON = ADDED


class Desk:
    """One folder, one ledger, one who applies. `around` may wrap any part by its name."""

    def __init__(
        self,
        root: Path,
        gateway: SharingGateway,
        time: Time,
        *,
        others: Sequence[SharingGateway] = (),
        around: Callable[[str, Any], Any] = as_is,
        seed: int = 0,
        alone: Callable[[], Any] = nullcontext,
    ) -> None:
        self.time, self.log, self.folder = time, Notes(), root / "shares"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(opened(root))
        shares, gateway = around("ledger.shares", self.ledger.shares), around("gateway", gateway)
        chance = Random(seed).random
        hands = SharingContext(
            gateways=(gateway, *others), shares=shares, clock=time, log=self.log, retry=RetryPolicy(), chance=chance,
            beat=lambda: None,
        )  # fmt: skip
        self.sharer = Sharer(hands)
        self.sharing = Sharing(
            folder=around("folder", ShareFolder(self.folder)), sharer=self.sharer, shares=shares,
            gates=XnatGates(ledger=self.ledger, prober=gateway, clock=time, log=self.log, chance=chance, lock=RLock()),
            clock=time, log=self.log, rules=SharingRules(quiet_for=QUIET, apply_every=EVERY, chance=chance),
            exclusive=alone,
        )  # fmt: skip

    def close(self) -> None:
        self.ledger.close()

    def save(self, *rows: str, name: str = "table.csv", header: str = HEADER) -> Path:
        """Save a table as a spreadsheet does."""
        path = self.folder / name
        path.write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
        return path

    def settle(self) -> None:
        """Let what lies in the folder stand still for long enough, and apply it."""
        self.sharing.turn()
        self.time.pass_(seconds=QUIET)
        self.sharing.turn()

    def later(self, **span: float) -> None:
        """Let time pass, an hour if nothing else is said, and do what is due."""
        self.time.pass_(**(span or {"hours": 1}))
        self.sharing.turn()

    def report(self, name: str = "table.csv") -> list[dict[str, str]]:
        """Return the report as a spreadsheet reads it."""
        text = (self.folder / report_name(name)).read_text(encoding="utf-8-sig")
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def states(self, name: str = "table.csv") -> list[str]:
        return [row[STATE] for row in self.report(name)]
