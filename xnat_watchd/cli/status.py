"""`status`: show on one screen whether everything is on XNAT."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from xnat_watchd.cli.options import CommandOptions
from xnat_watchd.cli.terminal import as_json, local, padded, paragraph, plain, width
from xnat_watchd.core.access import HOW_TO_JOIN, WHO_DECIDES

if TYPE_CHECKING:
    from xnat_watchd.core.errors import WatchdError

Snapshot = dict[str, Any]

EXAMPLES = """\
\b
Examples:
  xnat-watchd status                            one screen
  xnat-watchd status --watch                    the same, every second, until Ctrl-C
  xnat-watchd status --json                     for programs
  xnat-watchd --drop scans status               of a folder that was sent with `run --once --drop`

Exit code: 0 when nothing needs attention, 1 when something does, 69 when XNAT is down, 77 when it refuses the login.
"""
MOST = 20  #: rows of a list that fit on a screen
ZIPS = {
    "arriving": "arriving", "taken": "under way", "rejected": "rejected", "duplicate": "known already",
    "withdrawn": "withdrawn", "finished": "finished",
}  # fmt: skip
STUDIES = {"held": "held", "waiting": "waiting", "busy": "busy", "ready": "ready", "done": "complete"}
ASK = "Ask the administrator to look at `systemctl status xnat-watchd`. What you drop waits until it runs."
NOT_FOR_YOU = f"{HOW_TO_JOIN} Or put `sudo` in front."


@click.command(epilog=EXAMPLES)
@click.option("--json", "for_programs", is_flag=True, help="As JSON, for programs.")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.pass_obj
def status(options: CommandOptions, *, for_programs: bool, watch: bool) -> None:
    """Show what is under way, what is complete, and what needs attention."""
    from xnat_watchd.operator.status import verdict

    snapshot = snapshot_of(options)
    if for_programs:
        as_json(snapshot)
    elif watch:
        _watch(options)
    else:
        click.echo(_shown(snapshot, options))
    sys.exit(verdict(snapshot, finished=False))


def _shown(snapshot: Snapshot, options: CommandOptions) -> str:
    """Return the status as text for who asks: with the way to start the service, and whom to ask for a decision."""
    told = screen(snapshot, of_folder=options.drop is not None, start=_how_to_start(options))
    asks = snapshot["attention"] and not options.sees_names
    return "\n".join([told, *(["", *paragraph(WHO_DECIDES)] if asks else [])])


def _how_to_start(options: CommandOptions) -> str:
    from xnat_watchd.adapters.systemd.service_files import UNIT

    if not (_of_this_machine(options) and UNIT.exists()):
        return "Start it: `xnat-watchd run`."
    if os.geteuid() == 0:
        return "Start it: `systemctl start xnat-watchd`."
    return "Start it: `sudo systemctl start xnat-watchd`, or ask somebody who may. What you drop waits until it runs."


def screen(snapshot: Snapshot, *, of_folder: bool = False, start: str = "") -> str:
    """Return the status as text. `start` says how to start the service. Of ZIPs that are sent once, none has to run."""
    running = snapshot["daemon"]["running"] or of_folder
    parts = (_paused, _gate, _counts, _under_way, _attention)
    lines = [*_head(snapshot, of_folder=of_folder), *([] if running or not start else paragraph(start, first="-> "))]
    return "\n".join([*lines, *(line for part in parts for line in part(snapshot))])


def snapshot_of(options: CommandOptions) -> Snapshot:
    """Return what a running service has published; else read the ledger, if this user may."""
    from xnat_watchd.core.errors import NoReadAccess, WatchdError

    said = published(options)
    if said is not None and said["daemon"]["running"]:
        return said
    try:
        return _of_ledger(options)
    except PermissionError:
        if said is None:
            raise _no_status() from None
    except WatchdError as error:
        if said is None and isinstance(error, NoReadAccess) and _of_this_machine(options):
            raise _no_status() from None
        if said is None:
            raise
    return said


def _no_status() -> WatchdError:
    """Return the error that fits: this user may not see the status, or the service has published none."""
    from xnat_watchd.adapters.files.status_file import RUNTIME
    from xnat_watchd.core.errors import Refusal

    if RUNTIME.is_dir() and not os.access(RUNTIME, os.R_OK | os.X_OK):
        return Refusal("this user may not see the status", advice=NOT_FOR_YOU)
    return Refusal("the service does not run, and has not since this machine was started", advice=ASK)


def _of_this_machine(options: CommandOptions) -> bool:
    """Return whether the service of this machine is meant: no option or variable names another."""
    from xnat_watchd.adapters import config

    return options.config is None and options.drop is None and config.FILE_VARIABLE not in os.environ


def published(options: CommandOptions) -> Snapshot | None:
    """Return what the service has published, with its age; or None. The service of this machine comes first."""
    from xnat_watchd.adapters.files.status_file import NAME, RUNTIME, age, read, status_path
    from xnat_watchd.core.errors import Refusal
    from xnat_watchd.operator.status import SILENCE, attention_row

    said = read(RUNTIME / NAME) if _of_this_machine(options) else None
    if said is None:
        try:
            said = read(status_path(options.locations().ledger, os.environ))
        except Refusal:
            return None
    if said is not None:
        said["age"] = round(age(said).total_seconds())
        if said["daemon"]["running"] and said["age"] > SILENCE:
            silent = f"the service has not said anything for {said['age']} seconds"
            said["attention"].insert(0, attention_row("service", silent, "Look at `journalctl --unit xnat-watchd`."))
    return said


def _of_ledger(options: CommandOptions) -> Snapshot:
    from datetime import UTC, datetime

    from xnat_watchd.adapters.files.lock import is_held, lock_of
    from xnat_watchd.operator.status import take_snapshot, without_names

    here = options.locations()
    with options.status_parts(here.ledger) as ledger:  # first: a user who may not read it is told that, not of its lock
        running = is_held(lock_of(here.ledger))
        snapshot = take_snapshot(
            ledger, here.server, datetime.now(UTC), running=running, daemon={"settling": 0, "uploads": []}
        )
        if not options.sees_names:
            snapshot = without_names(snapshot, {*ledger.views.confirmed_projects()}.__contains__)
    return {**snapshot, "age": 0}


def _watch(options: CommandOptions) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(refresh_per_second=4, screen=True) as live:
        try:
            while True:
                live.update(Text(_shown(snapshot_of(options), options)))
                time.sleep(1)
        except KeyboardInterrupt:
            return


def _head(snapshot: Snapshot, *, of_folder: bool) -> list[str]:
    server, running = snapshot["xnat"]["server"], "running" if snapshot["daemon"]["running"] else "NOT RUNNING"
    said = f"xnat-watchd is {running}, for {server}"
    if of_folder and running == "NOT RUNNING":
        said = f"A folder of ZIPs for {server}, where nothing runs now"
    age = snapshot["age"]
    ago = f" ({age} second{'s' if age > 1 else ''} ago)" if age else ""
    return [*paragraph(said), f"as of {local(snapshot['at'])}{ago}"]


def _gate(snapshot: Snapshot) -> list[str]:
    """Return the lines about the server's gate. A shut project is shown under what needs attention."""
    return [] if snapshot["gate"]["open"] else ["", *_problem("Waiting for XNAT: ", snapshot["gate"])]


def _paused(snapshot: Snapshot) -> list[str]:
    return [
        line
        for one in snapshot.get("paused", ())
        for line in ("", *_problem(f"PAUSED: {one['of']}, since {local(one['since'])}: ", one))
    ]


def _counts(snapshot: Snapshot) -> list[str]:
    from xnat_watchd.core.loose_files import LEFT_ALONE
    from xnat_watchd.operator.status import waited_for

    standings: dict[str, int] = {}
    for counts in snapshot["studies"].values():
        for standing, n in counts.items():
            standings[standing] = standings.get(standing, 0) + n
    bins = sum(one["why"] == LEFT_ALONE[0] for one in snapshot["ignored"])
    ignored, settling = len(snapshot["ignored"]) - bins, snapshot["daemon"].get("settling", 0)
    told = {
        "ZIPs": _counted(snapshot["deliveries"], ZIPS) + (f"; {settling} still arriving" if settling else ""),
        "studies": _counted(standings, STUDIES),
        "left behind": _left_behind(snapshot.get("left_behind", ())),
        "left alone": f"{ignored} file{'s' if ignored > 1 else ''} in the drop folder, not taken" if ignored else "",
        "not ours": f"{bins} recycle bin{'s' if bins > 1 else ''}, snapshots or thumbnails" if bins else "",
    }
    names = [line for one in waited_for(snapshot)[:MOST] if one["name"]
             for line in paragraph(f"{one['name']}: {one['why']}", first=" " * 14, rest=" " * 16)]  # fmt: skip
    counts = (f"  {padded(name, 12)}{said}" for name, said in told.items() if said)
    return ["", *counts, *names, *_tables(snapshot["shares"])]


def _counted(counts: Mapping[str, int], words: Mapping[str, str]) -> str:
    """Return counts in the order of the words: what needs attention comes first."""
    known = [f"{counts[name]} {word}" for name, word in words.items() if counts.get(name)]
    return ", ".join(known) or "none yet"


def _left_behind(studies: Sequence[Mapping[str, Any]]) -> str:
    images = sum(one["of"] - one["images"] for one in studies)
    plural, of = "s" if images > 1 else "", f"stud{'ies' if len(studies) > 1 else 'y'}"
    return f"{images} image{plural} of {len(studies)} {of}, as a person has accepted" if studies else ""


def _tables(tables: list[dict[str, Any]]) -> list[str]:
    """Return a line for each share table, under its name."""
    lines = [
        line
        for one, name in zip(tables[:MOST], ["shares", *[""] * MOST], strict=False)
        for line in paragraph(f"{one['name']}: {_table_state(one)}", first=f"  {padded(name, 12)}", rest=" " * 16)
    ]
    return [*lines, *_more(tables)]


def _table_state(table: dict[str, Any]) -> str:
    rows = ", ".join(f"{n} {state}" for state, n in table["rows"].items())
    return f"{table['why']}; before: {rows}" if table["why"] and rows else table["why"] or rows or "0 rows"


def _under_way(snapshot: Snapshot) -> list[str]:
    rows = snapshot["under_way"]
    lines = [line for row, lead in _with_leads(rows[:MOST], "project", "progress", "standing")
             for line in paragraph(row["why"] or "", first=lead, rest=" " * 8)]  # fmt: skip
    sending = [
        f"  sending {one['sent'] / 1e6:.1f} of {one['size'] / 1e6:.1f} MB" for one in snapshot["daemon"]["uploads"]
    ]
    return ["", "Under way", *lines, *sending, *_more(rows)] if rows else []


def _with_leads(rows: Iterable[Mapping[str, Any]], *columns: str) -> list[tuple[Mapping[str, Any], str]]:
    """Return each row with its lead: the item and these columns, aligned."""
    cells = [[plain(row[name]) for name in ("item", *columns)] for row in rows]
    widths = [max(width(line[n]) for line in cells) for n in range(len(columns) + 1)] if cells else []
    leads = ("  " + "".join(f"{padded(t, w)}  " for t, w in zip(line, widths, strict=True)) for line in cells)
    return list(zip(rows, leads, strict=True))


def _attention(snapshot: Snapshot) -> list[str]:
    rows = snapshot["attention"]
    if not rows:
        return ["", "Nothing needs attention."] if snapshot["gate"]["open"] else []
    lines = [line for row, lead in _with_leads(rows[:MOST]) for line in _problem(lead, row)]
    told = next((row["item"] for row in rows if row["item"][:1].isdigit()), None)
    more = ["", f"For more about an item, type `xnat-watchd show {told}`."] if told else []
    return ["", "Needs attention", *lines, *_more(rows), *more]


def _problem(lead: str, row: Mapping[str, Any]) -> list[str]:
    """Return what is wrong, and below it what to do."""
    indent = " " * min(width(lead), 12)
    return [*paragraph(row["why"], first=lead, rest=indent),
            *paragraph(row["advice"], first=f"{indent}-> ")]  # fmt: skip


def _more(rows: list[Any]) -> list[str]:
    return [f"  and {len(rows) - MOST} more"] if len(rows) > MOST else []
