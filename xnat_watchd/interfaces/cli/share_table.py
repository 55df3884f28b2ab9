"""A share table as `show` prints it: its state, and each row with its reason and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from xnat_watchd.interfaces.cli.terminal import local, paragraph

LEAD = "  {:<13}"
WHAT_TO_DO = {
    "waiting": "Nothing: it is tried again by itself. A wrong name must be corrected in the table.",
    "failed": "Do what the reason says. It is tried again when the table or one of the two projects changes.",
    "removed by someone": "Remove the row. If it is to be shared again, change the row.",
}


def table_lines(table: Mapping[str, Any]) -> list[str]:
    """Return the lines that tell of a share table."""
    rows = table["rows"]
    states = ", ".join(f"{count} {state}" for state, count in Counter(row["state"] for row in rows).items())
    facts = {
        "looked at": local(table["checked"]),
        "rows": f"{states}, before it became unreadable" if table["why"] and rows else states or "none",
        "why": table["detail"] or table["why"],
        "what to do": table["advice"],
    }
    return [*paragraph(f"Share table {table['name']}"), *_facts(facts), *(line for row in rows for line in _row(row))]


def _row(row: Mapping[str, Any]) -> list[str]:
    """Return the lines of a row, below an empty one."""
    asked = f"{row['subject']} from {row['source']} into {row['destination']}"
    count = row["shared"]
    said = [row["state"], f"{count} session{'' if count == 1 else 's'} shared", f"since {local(row['since'])}"]
    first = f"Line {row['line']}: {', '.join(said)}"
    facts = {"share": asked, "why": row["why"], "what to do": WHAT_TO_DO.get(row["state"], "")}
    return ["", *paragraph(first), *_facts(facts)]


def _facts(facts: Mapping[str, str]) -> list[str]:
    return [line for name, fact in facts.items() if fact for line in paragraph(fact, first=LEAD.format(name))]
