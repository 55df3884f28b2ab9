"""One picture of the whole service, for people, programs and exit codes."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import Any

from xnat_watchd.adapters.ledger import Ledger

Snapshot = dict[str, Any]


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


def snapshot(ledger: Ledger, server: str, now: datetime, *, running: bool, daemon: dict[str, Any]) -> Snapshot:
    """Take the picture. `daemon` holds what only the running daemon knows: start, uploads in progress."""
    views, gates = ledger.views, ledger.gates.all()
    return {
        "at": now.isoformat(timespec="seconds"),
        "daemon": {"running": running, **daemon},
        "xnat": {"server": server},
        "gate": gate_picture(gates.get("")),
        "projects_shut": {scope: gate_picture(gate) for scope, gate in gates.items() if scope and gate.shut},
        "deliveries": views.deliveries(),
        "studies": views.studies(),
        "under_way": views.under_way(),
        "ignored": views.ignored(),
        "attention": [
            *views.attention(),
            *({"item": one["name"], "why": one["why"], "advice": one["advice"]}
              for one in views.ignored() if one["advice"]),
        ],
    }  # fmt: skip


def gate_picture(gate: Any) -> dict[str, Any]:
    """Give a gate as people and programs read it."""
    if gate is None or not gate.shut:
        return {"open": True}
    return {
        "open": False,
        "login": gate.login,
        "why": gate.why,
        "advice": gate.advice,
        "until": gate.until.isoformat(timespec="seconds"),
    }


def verdict(picture: Snapshot, *, resting: bool) -> Exit:
    """Give the exit code. `resting`: the work has come to an end, so that what is not done has to be said."""
    gate = picture["gate"]
    if not gate["open"]:
        return Exit.LOGIN if gate["login"] else Exit.UNAVAILABLE
    if picture["attention"]:
        return Exit.ATTENTION
    if resting and picture["under_way"]:
        return Exit.WAITING
    return Exit.FINE
