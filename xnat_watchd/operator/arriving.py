"""ZIPs that lie in the drop folder and are no deliveries yet: they have just come, or no service takes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnat_watchd.adapters.files.disk import Disk, OddEntry
from xnat_watchd.adapters.ledger.listing import DeliveryOutcome, DeliveryQuery
from xnat_watchd.core.loose_files import LEFT_ALONE, is_bin
from xnat_watchd.studies.drop_folder import printable

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger.ledger import Ledger

SETTLES = "it is taken once nobody has changed it for some seconds"
LATE = timedelta(minutes=5)  #: after which something else keeps the service from taking it
KEPT = "it is not taken yet: `xnat-watchd status` may tell what keeps the service from it"
NOBODY = "no service runs here, so it is not taken"


def arriving(ledger: Ledger, drop: Path, query: DeliveryQuery, now: datetime, *, served: bool) -> list[dict[str, Any]]:
    """Return these ZIPs as rows of the list of deliveries, the newest first, as far as they fit the query.

    The folder is looked at, since the service writes nothing of a file before it takes it. `served`: a service runs.
    What cannot be looked at is not listed.
    """
    outcome = DeliveryOutcome.ARRIVING if served else DeliveryOutcome.NOT_TAKEN
    if query.project or query.station or query.before or query.outcome not in ("", outcome):
        return []
    listed = {one["name"] for one in ledger.views.ignored()} | {one.name for one in ledger.deliveries.arrivals()}
    words = [word.casefold() for word in query.words]
    rows = [
        {"item": "", "state": str(outcome), "images": 0, "project": "", "arrived": came.isoformat(), "name": name,
         "size": size, "ended": None, "why": _why(now - came) if served else NOBODY, "advice": "", "same_as": None,
         "station": ""}
        for name, size, came in _zips(drop)
        if name not in listed and all(word in name.casefold() for word in words)
        and (query.since is None or came >= query.since)
    ]  # fmt: skip
    return sorted(rows, key=lambda row: str(row["arrived"]), reverse=True)


def _why(lies_there: timedelta) -> str:
    return SETTLES if lies_there < LATE else KEPT


def _zips(drop: Path) -> Iterator[tuple[str, int, datetime]]:
    """Yield name, size and time of each ZIP. The time is that of the last change here: copies keep older ones."""
    with suppress(OSError):
        for seen in Disk().scan(drop, lambda path: LEFT_ALONE[0] if is_bin(path.rpartition("/")[2]) else ""):
            name = "" if isinstance(seen, OddEntry) else seen.path.rpartition("/")[2]
            if isinstance(seen, OddEntry) or name.startswith(".") or not name.lower().endswith(".zip"):
                continue
            with suppress(OSError):  # it is taken just now
                came = datetime.fromtimestamp((drop / seen.path).lstat().st_ctime, UTC)
                yield printable(seen.path), seen.size, came
