"""The fleet: every station of a ledger that several share, and what is wrong where. It holds no names of patients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from xnat_watchd.adapters.ledger.fleet import is_silent
from xnat_watchd.core.errors import Refusal
from xnat_watchd.core.quantities import as_span
from xnat_watchd.core.station_report import StationReport, read_report
from xnat_watchd.operator.status import LOOK_THERE, Exit, Snapshot

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger.fleet import Fleet, RootContents, StationRow
    from xnat_watchd.adapters.ledger.ledger import Ledger

Row = Mapping[str, Any]


class StationCondition(StrEnum):
    """How a station is, the worst first."""

    SILENT = "silent"  #: it was not heard of for the length of the lease
    ENDED = "ended"  #: its service was stopped in order
    UNSERVED = "unserved"  #: no station: a root that none serves has something left
    WAITS = "waits"  #: it is there, and takes or sends nothing
    ATTENTION = "attention"  #: something needs somebody there
    WELL = "well"


STOPPED = "its service was stopped"
START_IT = "Start it there: `systemctl start xnat-watchd`; or `xnat-watchd ledger forget {name}` if it is no more."
SERVE_IT = "Start a station on the host where this root is mounted now: only who can read the ZIPs sends them."
DECIDE = "`xnat-watchd deliveries --station {name}` lists what."
LONGEST_PART = 9  #: digits of a part of a version
UPGRADE = "Upgrade it when it suits: stations are upgraded one by one."
HEADLINES = {
    StationCondition.SILENT: "silent", StationCondition.ENDED: "ended", StationCondition.WAITS: "waiting",
    StationCondition.ATTENTION: "with something for a person",
}  # fmt: skip


def fleet_status(fleet: Fleet, now: datetime) -> Snapshot:
    """Return every station, the worst first, with what its root has. `now` counts only where there is no station.

    Where several stations serve one root, each shows what that root has, and the totals count it once.
    """
    stations, contents = fleet.stations(), fleet.contents()
    at = stations[0]["now"] if stations else now
    newest = max((_as_numbers(one["version"]) for one in stations), default=())
    rows = [_station(one, contents.get(one["root"]), at, newest) for one in stations]
    served = {one["root"] for one in stations}
    rows += [_unserved(root, one, at) for root, one in contents.items() if root not in served]
    order = [*StationCondition]
    rows.sort(key=lambda row: (order.index(row["condition"]), row["oldest"] or "~", row["name"]))
    return {"at": at.isoformat(timespec="seconds"), "stations": rows, "totals": _totals(rows, contents.values())}


def _station(row: StationRow, has: RootContents | None, at: datetime, newest: tuple[int, ...]) -> dict[str, Any]:
    report = read_report(row["report"])
    condition, told = _condition(row, report, has, at)
    if condition is StationCondition.WELL and _as_numbers(row["version"]) != newest:
        told = StationReport(why="another station has a newer version", advice=UPGRADE)
    age = (at - datetime.fromisoformat(row["seen"])).total_seconds()
    return {
        "name": row["name"], "condition": condition, "why": told.why, "advice": told.advice, "since": told.since,
        "seen": row["seen"], "age": round(max(age, 0)), "version": row["version"], "root": row["root"],
        "free": report.free, **_contents(has, at),
    }  # fmt: skip


def _condition(
    row: StationRow, report: StationReport, has: RootContents | None, at: datetime
) -> tuple[StationCondition, StationReport]:
    """Return how a station is, with why and what to do."""
    if is_silent(row):
        span = as_span((at - datetime.fromisoformat(row["seen"])).total_seconds())
        return StationCondition.SILENT, replace(report, why=f"it was not heard of for {span}", advice=LOOK_THERE,
                                                since=row["seen"])  # fmt: skip
    if row["gone"]:
        return StationCondition.ENDED, replace(
            report, why=STOPPED, advice=START_IT.format(name=row["name"]), since=row["gone"]
        )
    if report.waits:
        return StationCondition.WAITS, report
    if report.why:
        return StationCondition.ATTENTION, report
    if has and (has.held or has.failed):
        return StationCondition.ATTENTION, StationReport(
            why=f"{has.held} held, {has.failed} failed", advice=DECIDE.format(name=row["name"])
        )
    return StationCondition.WELL, report


def _unserved(root: str, has: RootContents, at: datetime) -> dict[str, Any]:
    return {
        "name": "", "condition": StationCondition.UNSERVED, "why": f"no station serves root {root or '(no name)'}",
        "advice": SERVE_IT, "since": "", "seen": None, "age": None, "version": "", "root": root, "free": None,
        **_contents(has, at),
    }  # fmt: skip


def _contents(has: RootContents | None, at: datetime) -> dict[str, Any]:
    oldest = has.oldest if has else None
    return {
        "under_way": has.under_way if has else 0, "held": has.held if has else 0, "failed": has.failed if has else 0,
        "oldest": oldest and oldest.isoformat(timespec="seconds"),
        "waits_for": round(max((at - oldest).total_seconds(), 0)) if oldest else None,
    }  # fmt: skip


def _totals(rows: Iterable[Row], contents: Iterable[RootContents]) -> dict[str, int]:
    every = [*contents]
    counts = {str(one): sum(row["condition"] is one for row in rows) for one in StationCondition}
    return {
        "stations": sum(1 for row in rows if row["name"]), **counts,
        "under_way": sum(one.under_way for one in every), "held": sum(one.held for one in every),
        "failed": sum(one.failed for one in every),
    }  # fmt: skip


def _as_numbers(version: str) -> tuple[int, ...]:
    """Return a version so that a later one is greater. What is no number ends it."""
    numbers = []
    for part in version.split("."):
        if not part.isdecimal() or len(part) > LONGEST_PART:
            break
        numbers.append(int(part))
    return tuple(numbers)


# -- in words ----------------------------------------------------------------------------------------------


def fleet_sentence(fleet: Snapshot) -> str:
    """Return in one sentence whether all stations are well."""
    totals = fleet["totals"]
    if not totals["stations"]:
        return "No station has worked with this ledger yet."
    told = ", ".join(f"{totals[one]} {said}" for one, said in HEADLINES.items() if totals[one])
    count = totals[StationCondition.UNSERVED]
    unserved = f"; {_counted(count, 'root')} that none serves" if count else ""
    return f"{_counted(totals['stations'], 'station')}{f': {told}' if told else ', all well'}{unserved}."


def work_sentence(fleet: Snapshot) -> str:
    """Return in one sentence what all roots have."""
    totals = fleet["totals"]
    failed = f"; {_counted(totals['failed'], 'ZIP')} failed" if totals["failed"] else ""
    return f"{totals['under_way']} under way, {totals['held']} held{failed}."


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def heard(row: Row) -> str:
    """Return how long ago a station was heard of; empty for what is none."""
    return "" if row["age"] is None else f"{as_span(row['age'])} ago"


def waiting(row: Row) -> str:
    """Return for how long the oldest waits; empty where nothing does."""
    return "" if row["waits_for"] is None else as_span(row["waits_for"])


def said(row: Row) -> str:
    """Return what is wrong with a station, and what to do; empty where nothing is."""
    return f"{row['why']}. {row['advice']}".strip() if row["why"] else ""


def verdict(fleet: Snapshot) -> Exit:
    """Return the exit code: whether anything needs attention at any station."""
    totals, wrong = fleet["totals"], {*StationCondition} - {StationCondition.WELL}
    return Exit.ATTENTION if any(totals[one] for one in wrong) else Exit.FINE


# -- what is there no more -----------------------------------------------------------------------------------


def forget_station(ledger: Ledger, name: str) -> None:
    """Take a station that will not come back out of the list. `Refusal` if it is there, or its root has something left.

    What another station serves too is not lost with it.
    """
    rows = {row["name"]: row for row in ledger.fleet.stations()}
    if name not in rows:
        raise Refusal(f"there is no station {name}", advice="`xnat-watchd status --fleet` names all.")
    root, has = rows[name]["root"], ledger.fleet.contents().get(rows[name]["root"])
    if has and not any(row["root"] == root and row["name"] != name and not row["gone"] for row in rows.values()):
        raise Refusal(
            f"the root of {name} has something left: {has.under_way} under way, {has.held} held, {has.failed} failed",
            advice=f"Serve it from another host; or, where it is lost, `xnat-watchd skip ITEM --why TEXT` for each of "
            f"`xnat-watchd deliveries --station {name}`. Then type this again.",
        )
    if not ledger.stations.forget(name):
        raise Refusal(f"{name} works with this ledger", advice="Stop its service first.")


# -- what a station tells of itself ------------------------------------------------------------------------

KEEP_FROM_WORK = frozenset({"disk", "ledger", "drop", "work"})  #: what a row of the service is about that stops it


def report_of(published: Snapshot, free: int | None) -> StationReport:
    """Return what a station tells the others, by its status without names. `free`: bytes on its disk."""
    gate, rows = published["gate"], published["of_service"]
    if not gate["open"]:
        return StationReport(free=free, waits=True, why=gate["why"], advice=gate["advice"], since=gate["since"] or "")
    for pause in published["paused"]:
        if pause["of"] == "work":
            return StationReport(
                free=free, waits=True, why=f"paused: {pause['why']}", advice=pause["advice"], since=pause["since"]
            )
    first = min(rows, key=lambda row: row["item"] not in KEEP_FROM_WORK, default=None)
    if first is None:
        return StationReport(free=free)
    return StationReport(free=free, waits=first["item"] in KEEP_FROM_WORK, why=first["why"], advice=first["advice"])
