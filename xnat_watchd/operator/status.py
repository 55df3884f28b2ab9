"""The snapshot that `status` prints and the service publishes, and the exit code that follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from xnat_watchd.core.concealing import Concealer
from xnat_watchd.core.errors import for_item
from xnat_watchd.core.refusals import WAITED_FOR

if TYPE_CHECKING:  # a third of the time that `--help` may take, which asks for the exit codes only
    from xnat_watchd.adapters.ledger.status_parts import StatusParts
    from xnat_watchd.adapters.ledger.summary import Summary

Snapshot = dict[str, Any]
Rows = list[dict[str, Any]]

LATEST = 20  #: newest ZIPs whose members are accounted for in the snapshot; `show` does it for any other
TOLD_AFTER = timedelta(seconds=30)  #: after which a row that XNAT still archives is reported: it may have died
LONG = timedelta(hours=1)  #: after which a study that is retried by itself is reported
SILENCE = 60.0  #: seconds after which a service that runs but reports nothing counts as unwell
READ_REPORT = "Read the report beside the table: it says of each row why, and what to do."
LOOK_THERE = "Look on its host whether it runs and reaches the database: `journalctl --unit xnat-watchd`."
MOST_SILENT = 20  #: rows; `status --fleet` shows all
SENTENCES = ("why", "advice")  #: what may name a project; a time would be spoilt by a folder that is called `00`


class About(StrEnum):
    """What a row that needs attention is about. Its item does not tell: a file may be called `5`, or `disk`."""

    ITEM = "item"  #: a delivery, or a study of one
    PROJECT = "project"
    FILE = "file"  #: in the drop folder
    TABLE = "share table"
    STATION = "station"  #: another one of a ledger that is shared
    SERVICE = "service"  #: its folders, disks, ledger, login, or ways to tell people


class Exit(IntEnum):
    """Exit codes of the commands; those above 63 as in sysexits.h."""

    FINE = 0
    ATTENTION = 1  #: something is held or failed
    USAGE = 2
    UNAVAILABLE = 69  #: the server cannot be reached
    FAULT = 70  #: the program itself failed
    WAITING = 75  #: something still waits
    LOGIN = 77  #: the credentials are refused
    CONFIGURATION = 78


def take_snapshot(
    ledger: StatusParts,
    server: str,
    now: datetime,
    *,
    running: bool,
    daemon: dict[str, Any],
    attention: Sequence[dict[str, Any]] = (),
) -> Snapshot:
    """Return the snapshot. `daemon` and `attention` are what only the running service knows: uploads, a full disk."""
    views, gates = ledger.views, ledger.gates.all()
    waiting = views.waiting_projects([scope for scope, gate in gates.items() if scope and (gate.shut or gate.trial)])
    ignored, tables = views.ignored(), views.share_tables()
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    needs_attention = [
        *attention,
        *_projects_in_trouble(gates, waiting),
        *_silent_stations(ledger),
        *({**row, "about": About.ITEM} for row in views.attention()),
        *({**row, "about": About.ITEM} for row in views.delayed(now - LONG)),
        *({**row, "about": About.ITEM} for row in views.locked(now - TOLD_AFTER)),
        *_to_be_moved(ignored),
        *_to_be_corrected(tables),
    ]
    return {
        "at": now.isoformat(timespec="seconds"),
        "daemon": {"running": running, **daemon},
        "xnat": {"server": server},
        "paused": [pause_snapshot(pause) for pause in ledger.pauses.open()],
        "gate": gate_snapshot(gates.get("")),
        "projects_shut": {
            scope: gate_snapshot(gate, waiting.get(scope, "")) for scope, gate in gates.items() if scope and gate.shut
        },
        "deliveries": views.deliveries(),
        "studies": views.studies(),
        "under_way": views.under_way(),
        "left_behind": views.left_behind(),
        "zips": views.fates(LATEST),
        "ignored": ignored,
        "shares": tables,
        "left": ledger.summary.under_way(),
        "today": ledger.summary.finished(midnight),
        "settled": ledger.summary.settled(),
        "of_service": [*attention],
        "attention": _with_names(needs_attention, ledger.summary),
    }


def with_daemon(
    snapshot: Snapshot, now: datetime, daemon: dict[str, Any], attention: Sequence[dict[str, Any]]
) -> Snapshot:
    """Return a snapshot of the ledger alone as of now, with what only the running service knows."""
    return {
        **snapshot, "at": now.isoformat(timespec="seconds"), "daemon": {**snapshot["daemon"], **daemon},
        "attention": [*({**row, "name": ""} for row in attention), *snapshot["attention"]], "of_service": [*attention],
    }  # fmt: skip


def _with_names(rows: Sequence[Mapping[str, Any]], summary: Summary) -> Rows:
    """Return rows that each have the `name` of the file that they are about; empty where it is none."""
    deliveries = [*map(delivery_of, rows)]
    names = summary.names({number for number in deliveries if number is not None})
    return [{**row, "name": names.get(number or 0, "")} for row, number in zip(rows, deliveries, strict=True)]


def pause_snapshot(pause: Any) -> dict[str, Any]:
    """Return a pause as it stands in the snapshot."""
    return {"of": str(pause.of), "since": pause.since[:19], "why": pause.why, "advice": pause.advice}


def attention_row(item: str, why: str, advice: str, of: About = About.SERVICE) -> dict[str, Any]:
    """Return a row for the list of what needs attention, about something that is no delivery."""
    return {"item": item, "about": of, "project": "", "name": "", "why": why, "advice": advice}


def about(row: Mapping[str, Any]) -> About:
    """Return what a row that needs attention is about. A service of an older version publishes it without that."""
    return About(row.get("about", About.SERVICE))


def delivery_of(row: Mapping[str, Any]) -> int | None:
    """Return the number of the delivery that a row of `attention` is about; None for one about anything else."""
    return int(row["item"].partition(".")[0]) if about(row) is About.ITEM else None


def _silent_stations(ledger: StatusParts) -> Rows:
    """Return a row for each station that is not heard of, where several share the ledger; of many, for some."""
    if not ledger.fleet.shared:
        return []
    return [
        attention_row(
            row["name"], f"station {row['name']} is silent since {_minute(row['seen'])}", LOOK_THERE, About.STATION
        )
        for row in ledger.fleet.silent()[:MOST_SILENT]
    ]


def _minute(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")


def _projects_in_trouble(gates: Mapping[str, Any], waiting: Mapping[str, str]) -> Rows:
    """Return a row for each project whose gate is shut or on trial, and for which studies wait.

    `waiting`: project -> one of these studies, which is put into the command to type.
    """
    return [
        {"item": "project", "about": About.PROJECT, "project": name, "why": f"project {name} waits: {gate.why}",
         "advice": for_item(gate.advice, item), "passes": gate.passes}
        for name, item in sorted(waiting.items())
        if (gate := gates.get(name)) and (gate.shut or gate.trial)
    ]  # fmt: skip


def unknown_folder(name: str, folder: object) -> tuple[str, str]:
    """Return why nothing is concluded from a folder that is not the one that the service knows, and what to do."""
    return (
        f"the {name} folder is not the one that the service knows, so nothing is concluded from it",
        f"Mount its disk. If this is the right folder all the same, type `touch {folder}/.xnat-watchd-mark`.",
    )


def gate_snapshot(gate: Any, item: str = "") -> dict[str, Any]:
    """Return a gate as it stands in the snapshot. `item`: a study that waits for it, for the command to type."""
    if gate is None or not gate.shut:
        return {"open": True}
    return {
        "open": False,
        "login": gate.login,
        "why": gate.why,
        "advice": for_item(gate.advice, item),
        "since": gate.since and gate.since.isoformat(timespec="seconds"),
        "until": gate.until.isoformat(timespec="seconds"),
    }


def verdict(snapshot: Snapshot, *, finished: bool) -> Exit:
    """Return the exit code. `finished`: the work has ended, so that the code tells what is not done."""
    gate = snapshot["gate"]
    if not gate["open"]:
        return Exit.LOGIN if gate["login"] else Exit.UNAVAILABLE
    if not finished:
        return Exit.ATTENTION if snapshot["attention"] else Exit.FINE
    needs_somebody = any(not one.get("passes") for one in snapshot["attention"])
    return Exit.ATTENTION if needs_somebody else _of_what_remains(snapshot)


def _of_what_remains(snapshot: Snapshot) -> Exit:
    rows = {state for one in snapshot["shares"] for state in one["rows"]}
    if "removed by someone" in rows:
        return Exit.ATTENTION
    # A study that waits because of the setting `until` is as far as was asked for.
    under_way = any(one["due"] or one["standing"] != "waiting" for one in snapshot["under_way"])
    return Exit.WAITING if under_way or "waiting" in rows or waited_for(snapshot) else Exit.FINE


def waited_for(snapshot: Snapshot) -> Rows:
    """Return the ZIPs in the drop folder that are not taken now, but may be taken later."""
    return [one for one in snapshot["ignored"] if (one["why"], one["advice"]) in WAITED_FOR]


def sentence(snapshot: Snapshot) -> str:
    """Return one line about what is going on, for `systemctl status`."""
    total: Counter[str] = Counter()
    for counts in snapshot["studies"].values():
        total.update(counts)
    under_way = sum(total[name] for name in ("ready", "busy", "waiting"))
    gate = "" if snapshot["gate"]["open"] else f"; waiting for XNAT: {_why(snapshot['gate'])}"
    paused = "".join(f"; {one['of']} paused" for one in snapshot.get("paused", ()))
    first = "".join(f"; {one['why']}" for one in snapshot["attention"] if delivery_of(one) is None)
    return (
        f"{under_way} under way, {total['held']} held, {total['done']} complete{_rows(snapshot)}{paused}{gate}{first}"
    )


def _rows(snapshot: Snapshot) -> str:
    total: Counter[str] = Counter()
    for one in snapshot["shares"]:
        total.update(one["rows"])
    told = ", ".join(f"{count} {state}" for state, count in total.items())
    return f"; share rows: {told}" if told else ""


def _why(gate: dict[str, Any]) -> str:
    """Return why a gate is shut, and what to type if only a person can open it."""
    return f"{gate['why']}. {gate['advice']}" if gate["login"] else str(gate["why"])


# -- for everybody -----------------------------------------------------------------------------------------


def without_names(snapshot: Snapshot, is_project: Callable[[str], bool]) -> Snapshot:
    """Return the snapshot without file names, and without project names that may in fact be patients' names."""
    hidden = Concealer(one for one in _projects(snapshot) if one and not is_project(one))

    def told(row: dict[str, Any]) -> dict[str, Any]:
        texts = {name: hidden.conceal(row[name]) for name in SENTENCES if row.get(name)}
        return {**row, **texts, **({"project": ""} if row.get("project") in hidden.names else {})}

    ignored = [told({**one, "name": ""}) for one in snapshot["ignored"]]
    tables = [{**one, "name": f"table {n}"} for n, one in enumerate(snapshot["shares"], 1)]
    attention = [{**one, "name": ""} for one in snapshot["attention"] if about(one) not in (About.FILE, About.TABLE)]
    return {
        **snapshot,
        "gate": told(snapshot["gate"]),
        "projects_shut": {hidden.conceal(name): told(gate) for name, gate in snapshot["projects_shut"].items()},
        "under_way": [told(one) for one in snapshot["under_way"]],
        "left_behind": [told(one) for one in snapshot["left_behind"]],
        "ignored": ignored,
        "shares": tables,
        "of_service": [*map(told, snapshot["of_service"])],
        "attention": [*map(told, attention), *_counted(ignored), *_to_be_corrected(tables)],
    }


def _to_be_moved(ignored: Iterable[Mapping[str, Any]]) -> Rows:
    """Return a row for each file in the drop folder about which somebody must do something."""
    return [attention_row(one["name"], one["why"], one["advice"], About.FILE) for one in ignored if one["advice"]]


def _to_be_corrected(tables: Iterable[Mapping[str, Any]]) -> Rows:
    """Return a row for each share table about which somebody must do something."""
    return [
        attention_row(one["name"], one["why"], one["advice"], About.TABLE)
        if one["why"]
        else attention_row(one["name"], *_failed(one["rows"]), About.TABLE)
        for one in tables
        if one["why"] or "failed" in one["rows"]
    ]


def _failed(rows: dict[str, int]) -> tuple[str, str]:
    count = rows["failed"]
    return f"{count} row{'s' if count > 1 else ''} of a share table failed", READ_REPORT


def _counted(ignored: Rows) -> Rows:
    """Return the number of ignored files for each reason, without their names, which people see in the folder."""
    counts = Counter((one["why"], one["advice"]) for one in ignored if one["advice"])
    return [
        attention_row("drop", f"{n} file{'s' if n > 1 else ''}: {why}", advice, About.FILE)
        for (why, advice), n in sorted(counts.items())
    ]


def _projects(snapshot: Snapshot) -> set[str]:
    rows = (*snapshot["under_way"], *snapshot["attention"], *snapshot["left_behind"])
    return {str(one["project"]) for one in rows} | set(snapshot["projects_shut"])
