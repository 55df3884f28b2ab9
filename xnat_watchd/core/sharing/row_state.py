"""The states of a row of a share table, in a module of their own: `status` shows them and must be quick."""

from __future__ import annotations

from enum import StrEnum


class RowState(StrEnum):
    """The state of a row, in the words of the report."""

    THERE = "already there"
    SHARED = "shared"  #: in a plan: after its actions are done
    REMOVED = "removed by someone"
    WAITING = "waiting"
    FAILED = "failed"
