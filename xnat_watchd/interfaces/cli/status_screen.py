"""The status as text, for people: what is wrong first, then what is under way, then what was done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from xnat_watchd.core.printable import plain
from xnat_watchd.core.quantities import as_size
from xnat_watchd.interfaces.cli.terminal import local, padded, paragraph, width
from xnat_watchd.operator.status import Snapshot, delivery_of
from xnat_watchd.operator.status_sentences import counts, table_state, totals, verdict_sentence, waiting_sentence

Row = Mapping[str, Any]

MOST = 20  #: rows of a list, where there is no terminal whose height limits them
FEW = 3  #: likewise, where there is one


def screen(
    snapshot: Snapshot,
    *,
    of_folder: bool = False,
    start: str = "",
    ask: str = "",
    height: int | None = None,
    page: int = 0,
    more: bool = True,
) -> str:
    """Return the status as text, in no more lines than `height`. In a folder of ZIPs that are sent once, nothing runs.

    `start`: how to start the service; `ask`: whom to ask about what needs attention; `more`: say what to
    type to know more of an item. Where that does not fit, each
    `page` shows other rows of it.
    """
    top = [*_head(snapshot, of_folder=of_folder, start=start), *_paused(snapshot), *_gate(snapshot)]
    end = [*_totals(snapshot), *_counts(snapshot, MOST if height is None else FEW)]
    room = None if height is None else height - len(top) - len(end)
    told = [*(_more_about(snapshot) if more else []), *(["", *paragraph(ask)] if ask else [])]
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
    return [*paragraph(said), *starts, f"as of {local(snapshot['at'])}{ago}", *paragraph(verdict_sentence(snapshot))]


def _gate(snapshot: Snapshot) -> list[str]:
    """Return the lines about the server's gate. A shut project is shown under what needs attention."""
    said = waiting_sentence(snapshot)
    return ["", *paragraph(said, rest="  "), *paragraph(snapshot["gate"]["advice"], first="  -> ")] if said else []


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
    told = next((row["item"] for row in snapshot["attention"] if delivery_of(row) is not None), None)
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
    sent = [f"  sending     {as_size(one['sent'])} of {as_size(one['size'])}" for one in snapshot["daemon"]["uploads"]]
    lines = [*_facts(totals(snapshot)), *sent]
    return ["", *lines] if lines else []


def _facts(facts: Mapping[str, str]) -> list[str]:
    """Return the facts that are known, each under its name."""
    return [line for name, said in facts.items() if said for line in paragraph(said, first=f"  {padded(name, 12)}")]


def _counts(snapshot: Snapshot, most: int) -> list[str]:
    from xnat_watchd.operator.status import waited_for

    names = [line for one in waited_for(snapshot)[:most] if one["name"]
             for line in paragraph(f"{one['name']}: {one['why']}", first=" " * 14, rest=" " * 16)]  # fmt: skip
    gap = [] if _totals(snapshot) else [""]
    return [*gap, *_facts(counts(snapshot)), *names, *_tables(snapshot["shares"], most)]


def _tables(tables: list[dict[str, Any]], most: int) -> list[str]:
    """Return a line for each share table, under its name."""
    lines = [
        line
        for one, name in zip(tables[:most], ["shares", *[""] * most], strict=False)
        for line in paragraph(f"{one['name']}: {table_state(one)}", first=f"  {padded(name, 12)}", rest=" " * 16)
    ]
    return [*lines, *_and_more(len(tables) - most)]
