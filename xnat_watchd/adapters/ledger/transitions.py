"""Transitions: a study's standing is changed here and nowhere else, each time with its event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from xnat_watchd.adapters.ledger.database import Row, Transaction, text
from xnat_watchd.adapters.ledger.fences import must_be_under
from xnat_watchd.adapters.ledger.gates import try_now
from xnat_watchd.adapters.ledger.standings import GOES_ON
from xnat_watchd.core.errors import AlreadyRecorded
from xnat_watchd.core.states import Event, Standing, next_standing

if TYPE_CHECKING:  # `status` needs no deliveries, and must be quick
    from xnat_watchd.core.delivery import Item

RESET = {"attempts": 0, "recoveries": 0, "uploads": 0, "trials": 0, "refusal": None, "delayed": None, "since": None}
"""The counters of a study, as a person's decision resets them."""

ONLY_IN_EVENT = frozenset({"scope", "who"})  #: whose trouble it may be; the login name of the person who decided

STUCK = f"""standing {GOES_ON} AND (
  standing = 'held' OR (standing = 'waiting' AND due IS NOT NULL) OR (standing = 'ready' AND EXISTS (
    SELECT 1 FROM gates WHERE scope IN ('', project) AND (until IS NOT NULL OR trial = 1))))"""
"""The studies that `retry` moves: held ones, and those that wait for their time, their project or XNAT."""


def move(
    db: Transaction,
    key: int,
    was: Standing,
    event: Event,
    now: datetime,
    under: int | None = None,
    /,
    **columns: object,
) -> None:
    """Change a study's standing together with its event. The columns of `ONLY_IN_EVENT` are not the study's.

    `under`: the fence under which it was taken. Raise `TakenOver` if it has another one since.
    """
    row = stand(db, key, was, event, now, under, **columns)
    db.execute(
        "INSERT INTO events (at, delivery, study, event, progress, standing, why, detail, scope, who)"
        " VALUES (?,?,?,?,?,?,?,?,?,?)",
        (
            text(now),
            row["delivery"],
            key,
            event,
            row["progress"],
            next_standing(was, event),
            columns.get("why"),
            columns.get("detail"),
            columns.get("scope"),
            columns.get("who"),
        ),
    )


def move_taken(db: Transaction, item: Item, event: Event, now: datetime, **columns: object) -> None:
    """Change the standing of a study that was taken. Raise `TakenOver` if another station was given it since.

    Raise `AlreadyRecorded` if it is busy no more, though nobody else was given it.
    """
    move(db, item.key, Standing.BUSY, event, now, item.fence, **columns)


def stand(
    db: Transaction,
    key: int,
    was: Standing,
    event: Event,
    now: datetime,
    under: int | None = None,
    /,
    **columns: object,
) -> Row:
    """Change a study's standing without an event. No other code in the program changes it.

    Call it directly only after a look that found XNAT still at work, as the last event says already: there are a
    hundred such looks an hour.
    """
    of_study = {name: value for name, value in columns.items() if name not in ONLY_IN_EVENT}
    standing = next_standing(was, event)
    ended = {"owner": None} if was is Standing.BUSY and standing is not was else {}
    row = set_columns(db, key, now, {"standing": standing, **ended, **of_study}, was, under)
    if row is None and under is not None:
        raise AlreadyRecorded
    if row is None:
        raise LookupError(f"study {key} is no longer {was}")
    return row


def set_columns(
    db: Transaction,
    key: int,
    now: datetime,
    columns: Mapping[str, object],
    was: Standing | None = None,
    under: int | None = None,
) -> Row | None:
    """Change columns of a study if its standing is still `was` (None: any). Return None if it is not.

    `under`: the fence under which it was taken. Raise `TakenOver` if it has another one since.
    """
    sets = "".join(f", {name} = ?" for name in columns)
    guard = "" if was is None else f" AND standing = '{was}'"  # in the text: see `queue._next`
    fence = "" if under is None else " AND fence = ?"
    row: Row | None = db.execute(
        f"UPDATE studies SET changed = ?{sets} WHERE key = ?{guard}{fence} RETURNING delivery, progress",
        (text(now), *columns.values(), key, *([] if under is None else [under])),
    ).fetchone()
    if row is None and under is not None:
        must_be_under(db, key, under)
    return row


def resume(db: Transaction, row: Row, now: datetime, **chosen: object) -> None:
    """Let a study go on from where it stopped, perhaps under other labels. XNAT is asked before anything is repeated.

    A person decided this, so if the project's gate is shut, the project is tried at once too.
    """
    settled = {"in_doubt": 1, "due": None, "why": None, "detail": None, "advice": None, **RESET}
    move(db, row["key"], Standing(row["standing"]), Event.RELEASED, now, **{**settled, **chosen})
    try_now(db, now, row["project"])
