"""The list of deliveries as people may see it, and what is said of each."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from xnat_watchd.core.projects import nearest
from xnat_watchd.operator.nameless import row_without_names

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger.ledger import Ledger
    from xnat_watchd.adapters.ledger.listing import DeliveryQuery

MOST_COMPARED = 2000  #: latest names that a misspelt word is compared with
MOST_WORDS, LONGEST = 5, 100  #: words that are compared, and their characters


def listed(ledger: Ledger, query: DeliveryQuery, most: int, *, names: bool) -> list[dict[str, Any]]:
    """Return the deliveries that fit, at most so many; -1 returns all. `names`: the reader may see names."""
    rows = [{**one} for one in ledger.listing.rows(query, most)]
    if names:
        return rows
    projects = {*ledger.views.confirmed_projects()}
    asked_for = query.project in ("", *projects)  # whether a folder has a name is not told either
    return [row_without_names(row, projects.__contains__) for row in rows if asked_for]


def nearest_names(ledger: Ledger, query: DeliveryQuery, *, names: bool) -> list[str]:
    """Return for a project or words that fit nothing what they may have meant, as far as the reader may see it."""
    projects = ledger.views.projects() if names else ledger.views.confirmed_projects()
    near = nearest(query.project, projects) if query.project else None
    told = [f"the nearest project is {near}"] if near else []
    if query.station and query.station not in (stations := ledger.fleet.names()):
        station = nearest(query.station, stations)
        told.append(f"no station has this name{f'; the nearest is {station}' if station else ''}")
    by_case = {one.casefold(): one for one in ledger.listing.latest_names(MOST_COMPARED)} if names else {}
    stems = {name.removesuffix(".zip"): one for name, one in by_case.items()}
    for word in query.words[:MOST_WORDS]:
        if any(word.casefold() in name for name in by_case):
            continue
        found = get_close_matches(word.casefold()[:LONGEST], [*by_case, *stems], n=1)
        told += [f"the nearest name is {(by_case | stems)[one]}" for one in found]
    return told


def note(row: Mapping[str, Any]) -> str:
    """Return what is said below a delivery: what keeps it, or which delivery it repeats."""
    if row["state"] == "duplicate":
        return f"the same as delivery {row['same_as']}" if row["same_as"] else str(row["why"] or "")
    if row["state"] in ("held", "failed"):
        return f"{row['why']}. `xnat-watchd show {row['item']}` tells what to do."
    if row["state"] == "not taken":
        return f"{row['why']}. {row['advice']}".strip()
    return str(row["why"] or "") if row["state"] in ("under way", "arriving") else ""
