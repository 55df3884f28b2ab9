"""What only a station itself knows, and tells the others in a ledger that several share. It holds no names."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

MOST = 300  #: characters of a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class StationReport:
    """The room on a station's disk, and what keeps it from its work. What is not known is empty."""

    free: int | None = None  #: bytes on the disk of its work folder
    waits: bool = False  #: it takes or sends nothing now
    why: str = ""  #: why it waits, or what else needs somebody there
    advice: str = ""
    since: str = ""  #: ISO time since when

    def as_text(self) -> str:
        """Return the report as it stands in the ledger."""
        return json.dumps({**asdict(self), "why": self.why[:MOST], "advice": self.advice[:MOST]})


def read_report(text: str) -> StationReport:
    """Read a report. One that another version has written in another form tells nothing."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return StationReport()
    match found:
        case {
            "free": None | int() as free,
            "waits": bool(waits),
            "why": str(why),
            "advice": str(advice),
            "since": str(since),
        }:
            return StationReport(free=free, waits=waits, why=why[:MOST], advice=advice[:MOST], since=since)
        case _:
            return StationReport()
