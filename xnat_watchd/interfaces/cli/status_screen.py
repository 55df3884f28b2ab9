"""The status as text, for people: what is wrong first, then what is under way, then what was done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from xnat_watchd.core.quantities import as_size
from xnat_watchd.interfaces.cli.terminal import local, padded, paragraph, plain, width

Snapshot = dict[str, Any]
Row = Mapping[str, Any]

MOST = 20  #: rows of a list, where there is no terminal whose height limits them
ZIPS = {
    "arriving": "arriving", "taken": "under way", "held": "held", "rejected": "rejected", "duplicate": "duplicate",
    "withdrawn": "withdrawn", "settled": "given up", "finished": "finished",
}  # fmt: skip
FEW = 3  #: likewise, where there is one
STUDIES = {"held": "held", "waiting": "waiting", "busy": "busy", "ready": "ready", "done": "complete"}


def screen(
    snapshot: Snapshot,
    *,
    of_folder: bool = False,
    start: str = "",
    ask: str = "",
    height: int | None = None,
    page: int = 0,
) -> str:
    """Return the status as text, in no more lines than `height`. In a folder of ZIPs that are sent once, nothing runs.

    `start`: how to start the service; `ask`: whom to ask about what needs attention. Where that does not fit, each
    `page` shows other rows of it.
    """
    top = [*_head(snapshot, of_folder=of_folder, start=start), *_paused(snapshot), *_gate(snapshot)]
    end = [*_totals(snapshot), *_counts(snapshot, MOST if height is None else FEW)]
    room = None if height is None else height - len(top) - len(end)
    told = [*_more_about(snapshot), *(["", *paragraph(ask)] if ask else [])]
    needed = _fitted("Needs attention", [*_problems(snapshot)], room, page, told=told)
    room = None if room is None else room - len(needed)
    return "\n".join([*top, *needed, *_fitted("Under way", _moving(snapshot), room, 0, told=[]), *end])


def _fitted(heading: str, blocks: Sequence[list[str]], room: int | None, page: int, *, told: list[str]) -> list[str]:
    """Return these blocks below a heading, as many as there is room for; on each page others, the last ones too."""
    if not blocks:
        return []
    if room is None:
        shown = [line for block in blocks[:MOST] for line in block]
        return ["", heading, *shown, *_and_more(len(blocks) - MOST), *told]
    room -= 2 + len(told)
    if sum(map(len, blocks)) <= room:
        return ["", heading, *(line for block in blocks for line in block), *told]
    begin = page % len(blocks)
    fitting: list[str] = []
    count = 0
    for block in [*blocks[begin:], *blocks[:begin]]:
        if len(fitting) + len(block) > room - 1:
            break
        fitting, count = [*fitting, *block], count + 1
    if not count:
        return ["", f"{heading}: {len(blocks)}"]
    return ["", heading, *fitting, *_and_more(len(blocks) - count), *told]


def _and_more(count: int) -> list[str]:
    return [f"  and {count} more"] if count > 0 else []


# -- what is wrong -----------------------------------------------------------------------------------------


def _head(snapshot: Snapshot, *, of_folder: bool, start: str) -> list[str]:
    server, running = snapshot["xnat"]["server"], snapshot["daemon"]["running"]
    said = f"xnat-watchd is {'running' if running else 'NOT RUNNING'}, for {server}"
    if of_folder and not running:
        said = f"A folder of ZIPs for {server}, where nothing runs now"
    starts = [] if running or of_folder or not start else paragraph(start, first="-> ")
    age = snapshot["age"]
    ago = f" ({age} second{'s' if age > 1 else ''} ago)" if age else ""
    return [*paragraph(said), *starts, f"as of {local(snapshot['at'])}{ago}", *paragraph(_verdict(snapshot))]


def _verdict(snapshot: Snapshot) -> str:
    """Return in one sentence whether all is well, and when XNAT was last heard."""
    count = len(snapshot["attention"])
    heard = _heard(snapshot)
    if count:
        return f"{count} thing{' needs' if count == 1 else 's need'} attention.{heard}"
    if not snapshot["gate"]["open"]:
        return f"Waiting for XNAT; nothing else needs attention.{heard}"
    if snapshot.get("paused"):
        return f"Paused; nothing else needs attention.{heard}"
    return f"Nothing needs attention.{heard}"


def _heard(snapshot: Snapshot) -> str:
    heard = snapshot["daemon"].get("heard")
    if not heard:
        return ""
    seconds = (datetime.fromisoformat(snapshot["at"]) - datetime.fromisoformat(heard)).total_seconds()
    return f" XNAT answered {_span(max(seconds, 0))} ago."


def _span(seconds: float) -> str:
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}s"
    return f"{seconds:.0f} second{'' if round(seconds) == 1 else 's'}"


def _gate(snapshot: Snapshot) -> list[str]:
    """Return the lines about the server's gate. A shut project is shown under what needs attention."""
    gate = snapshot["gate"]
    if gate["open"]:
        return []
    until = gate.get("until")
    again = [f"   It is asked again at {local(until, '%H:%M:%S')}."] if until and not gate.get("login") else []
    return ["", *_problem("Waiting for XNAT: ", gate), *again]


def _paused(snapshot: Snapshot) -> list[str]:
    return [
        line
        for one in snapshot.get("paused", ())
        for line in ("", *_problem(f"PAUSED: {one['of']}, since {local(one['since'])}: ", one))
    ]


def _problems(snapshot: Snapshot) -> Iterator[list[str]]:
    """Yield the lines of each thing that needs attention: item, file, reason, and below it what to do."""
    for row, lead in _with_leads(snapshot["attention"]):
        name = f"{plain(row['name'])}: " if row.get("name") else ""
        yield _problem(lead, {**row, "why": f"{name}{row['why']}"})


def _problem(lead: str, row: Row) -> list[str]:
    """Return what is wrong, and below it what to do."""
    indent = " " * min(width(lead), 12)
    return [*paragraph(row["why"], first=lead, rest=indent),
            *paragraph(row["advice"], first=f"{indent}-> ")]  # fmt: skip


def _more_about(snapshot: Snapshot) -> list[str]:
    told = next((row["item"] for row in snapshot["attention"] if row["item"][:1].isdigit()), None)
    return ["", *paragraph(f"For more about an item, type `xnat-watchd show {told}`.")] if told else []


def _with_leads(rows: Iterable[Row], *columns: str) -> list[tuple[Row, str]]:
    """Return each row with its lead: the item and these columns, aligned."""
    cells = [[plain(row[name]) for name in ("item", *columns)] for row in rows]
    widths = [max(width(line[n]) for line in cells) for n in range(len(columns) + 1)] if cells else []
    leads = ("  " + "".join(f"{padded(t, w)}  " for t, w in zip(line, widths, strict=True)) for line in cells)
    return list(zip(rows, leads, strict=True))


# -- what is under way, and what was done ------------------------------------------------------------------


def _moving(snapshot: Snapshot) -> list[list[str]]:
    """Return the lines of each study under way; of many, only of those that are worked on or wait for something."""
    rows = snapshot["under_way"]
    if len(rows) > MOST:
        rows = [row for row in rows if row["standing"] == "busy" or row["why"]]
    return [
        paragraph(row["why"] or "", first=lead, rest=" " * 8)
        for row, lead in _with_leads(rows, "project", "progress", "standing")
    ]


def _totals(snapshot: Snapshot) -> list[str]:
    """Return how much is left with how long it will take, and what was done today."""
    left, today = snapshot.get("left", {}), snapshot.get("today", {})
    sent = [f"  sending     {as_size(one['sent'])} of {as_size(one['size'])}" for one in snapshot["daemon"]["uploads"]]
    facts = {
        "to do": f"{_zips(left)}{_time_left(snapshot)}" if left.get("bytes") else "",
        "done today": _zips(today) if today.get("zips") else "",
    }
    lines = [*_facts(facts), *sent]
    return ["", *lines] if lines else []


def _facts(facts: Mapping[str, str]) -> list[str]:
    """Return the facts that are known, each under its name."""
    return [line for name, said in facts.items() if said for line in paragraph(said, first=f"  {padded(name, 12)}")]


def _zips(total: Mapping[str, int]) -> str:
    return f"{total['zips']} ZIP{'' if total['zips'] == 1 else 's'}, {as_size(total['bytes'])}"


def _time_left(snapshot: Snapshot) -> str:
    rate = snapshot["daemon"].get("rate", 0)
    if rate <= 0 or snapshot.get("paused"):
        return ""
    sent = sum(one["sent"] for one in snapshot["daemon"]["uploads"])
    seconds = max(snapshot["left"]["bytes"] - sent, 0) / rate
    return f"; at {as_size(rate)}/s about {_span(seconds)}"


def _counts(snapshot: Snapshot, most: int) -> list[str]:
    from xnat_watchd.core.loose_files import LEFT_ALONE
    from xnat_watchd.operator.status import waited_for

    standings: dict[str, int] = {}
    for counts in snapshot["studies"].values():
        for standing, n in counts.items():
            standings[standing] = standings.get(standing, 0) + n
    bins = sum(one["why"] == LEFT_ALONE[0] for one in snapshot["ignored"])
    ignored, settling = len(snapshot["ignored"]) - bins, snapshot["daemon"].get("settling", 0)
    told = {
        "ZIPs": _counted(_deliveries(snapshot), ZIPS) + (f"; {settling} still arriving" if settling else ""),
        "studies": _counted(standings, STUDIES),
        "left behind": _left_behind(snapshot.get("left_behind", ())),
        "left alone": f"{ignored} file{'s' if ignored > 1 else ''} in the drop folder, not taken" if ignored else "",
        "not ours": f"{bins} recycle bin{'s' if bins > 1 else ''}, snapshots or thumbnails" if bins else "",
    }
    names = [line for one in waited_for(snapshot)[:most] if one["name"]
             for line in paragraph(f"{one['name']}: {one['why']}", first=" " * 14, rest=" " * 16)]  # fmt: skip
    counts = _facts(told)
    gap = [] if _totals(snapshot) else [""]
    return [*gap, *counts, *names, *_tables(snapshot["shares"], most)]


def _deliveries(snapshot: Snapshot) -> dict[str, int]:
    """Return the deliveries by state, with those apart that wait for a person, and those that a person has settled."""
    counts, held = snapshot["deliveries"], snapshot.get("left", {}).get("held", 0)
    settled = snapshot.get("settled", 0)
    parted = {**counts, "held": held, "taken": max(counts.get("taken", 0) - held, 0)}
    return {**parted, "settled": settled, "rejected": counts.get("rejected", 0) - settled}


def _counted(counts: Mapping[str, int], words: Mapping[str, str]) -> str:
    """Return counts in the order of the words: what needs attention comes first."""
    known = [f"{counts[name]} {word}" for name, word in words.items() if counts.get(name)]
    return ", ".join(known) or "none yet"


def _left_behind(studies: Sequence[Row]) -> str:
    images = sum(one["of"] - one["images"] for one in studies)
    plural, of = "s" if images > 1 else "", f"stud{'ies' if len(studies) > 1 else 'y'}"
    return f"{images} image{plural} of {len(studies)} {of}, as a person has accepted" if studies else ""


def _tables(tables: list[dict[str, Any]], most: int) -> list[str]:
    """Return a line for each share table, under its name."""
    lines = [
        line
        for one, name in zip(tables[:most], ["shares", *[""] * most], strict=False)
        for line in paragraph(f"{one['name']}: {_table_state(one)}", first=f"  {padded(name, 12)}", rest=" " * 16)
    ]
    return [*lines, *_and_more(len(tables) - most)]


def _table_state(table: dict[str, Any]) -> str:
    rows = ", ".join(f"{n} {state}" for state, n in table["rows"].items())
    return f"{table['why']}; before: {rows}" if table["why"] and rows else table["why"] or rows or "0 rows"
