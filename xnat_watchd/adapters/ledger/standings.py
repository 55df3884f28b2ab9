"""Conditions of SQL on the standing of a study, made from the tables of `core.states`."""

from __future__ import annotations

from collections.abc import Iterable

from xnat_watchd.core.states import ENDED, Standing


def _listed(standings: Iterable[Standing]) -> str:
    names = ", ".join(f"'{one}'" for one in standings)
    return f"({names})"


HAS_ENDED = f"IN {_listed(ENDED)}"
"""Nothing is left to do for a study whose standing is one of these."""

GOES_ON = f"NOT {HAS_ENDED}"
"""The opposite. It also stands beside conditions that imply it: then SQLite uses the index of the studies that go on
(partialindex.html, 2), which stays small while the history grows for years.
"""

QUEUED = f"s.standing IN {_listed((Standing.READY, Standing.WAITING))}"
"""Study `s` may be taken, now or later. The indexes of the queue hold these."""
