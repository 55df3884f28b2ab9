"""The list of deliveries as people may see it, and what is said of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xnat_watchd.operator.nameless import row_without_names

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger.ledger import Ledger
    from xnat_watchd.adapters.ledger.listing import DeliveryQuery


def listed(ledger: Ledger, query: DeliveryQuery, most: int, *, names: bool) -> list[dict[str, Any]]:
    """Return the deliveries that fit, at most so many; -1 returns all. `names`: the reader may see names."""
    rows = ledger.listing.rows(query, most)
    if names:
        return rows
    projects = {*ledger.views.confirmed_projects()}
    asked_for = query.project in ("", *projects)  # whether a folder has a name is not told either
    return [row_without_names(row, projects.__contains__) for row in rows if asked_for]


def note(row: Mapping[str, Any]) -> str:
    """Return what is said below a delivery: what keeps it, or which delivery it repeats."""
    if row["state"] == "duplicate":
        return f"the same as delivery {row['same_as']}" if row["same_as"] else str(row["why"] or "")
    if row["state"] in ("held", "failed"):
        return f"{row['why']}. `xnat-watchd show {row['item']}` tells what to do."
    if row["state"] == "not taken":
        return f"{row['why']}. {row['advice']}".strip()
    return str(row["why"] or "") if row["state"] == "under way" else ""
