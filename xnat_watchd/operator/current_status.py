"""The status as of now: by the ledger, with what only a running service knows, as it has published it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from xnat_watchd.adapters.files.status_file import age, read, silence
from xnat_watchd.adapters.ledger.status_parts import StatusParts
from xnat_watchd.operator.status import SILENCE, About, Snapshot, attention_row, take_snapshot, without_names

NOTHING_SAID: Snapshot = {
    "daemon": {
        "pid": None, "settling": 0, "uploads": [], "sharing": False, "heard": None, "reloads": 0, "refused": "",
        "advice": "", "rate": 0,
    },
    "age": 0,
}  # fmt: skip
"""What is said where no service runs: the same keys as where one does, since programs read them."""


def published_at(path: Path) -> Snapshot | None:
    """Return what a service has published there, with its `age` in seconds; None if there is nothing to read.

    A service that runs and has said nothing for `SILENCE` needs attention.
    """
    said = read(path)
    if said is not None and not all(row.get("about", About.SERVICE) in [*About] for row in said["of_service"]):
        return None  # a newer service tells of what is not known here
    if said is not None:
        said["age"] = round(age(said).total_seconds())
        silent_for = round(silence(said).total_seconds())
        said.pop("said", None)
        if said["daemon"]["running"] and silent_for > SILENCE:
            silent = f"the service has not said anything for {silent_for} seconds"
            row = attention_row("service", silent, "Look at `journalctl --unit xnat-watchd`.")
            for rows in (said["attention"], said["of_service"]):
                rows.insert(0, row)
    return said


def status_of(
    ledger: StatusParts, server: str, said: Snapshot | None, now: datetime, *, running: bool, names: bool
) -> Snapshot:
    """Return the status by the ledger, and by what a service has `said`. `names`: the reader may see names."""
    known = said if said is not None and said["daemon"]["running"] else NOTHING_SAID
    snapshot = take_snapshot(
        ledger, server, now, running=running,
        daemon={**NOTHING_SAID["daemon"], **known["daemon"], "running": running},
        attention=known.get("of_service", ()),
    )  # fmt: skip
    if not names:
        snapshot = without_names(snapshot, {*ledger.views.confirmed_projects()}.__contains__)
    return {**snapshot, "age": known["age"]}
