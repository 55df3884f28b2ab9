"""A wrong project's ID, and the one that was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from xnat_watchd.core.labels import is_label

ALIKE = 0.7  #: as `difflib` rates it, from 0 to 1: `BRIAN` and `BRAIN` are 0.8, `P1` and `P2` are 0.5


def nearest(project: str, known: Iterable[str]) -> str | None:
    """Return the ID to which another one is nearest, in any capitals; None where none is near, or it is one itself.

    It goes into a command that a person types, so nothing is named that a shell could take for more than a word.
    """
    by_case = {one.casefold(): one for one in sorted(known) if is_label(one)}
    if project in by_case.values():
        return None
    near = get_close_matches(project.casefold(), by_case, n=1, cutoff=ALIKE)
    return by_case[near[0]] if near else None
