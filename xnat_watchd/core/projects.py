"""Find the project that a wrong project ID may mean."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from xnat_watchd.core.labels import is_label

ALIKE = 0.6  #: least similarity as `difflib` computes it, 0 to 1: `MIR` and `MRI` have 0.67, `P1` and `P2` 0.5


def if_meant(project: str, known: Iterable[str]) -> str:
    """Return the sentence that names the known ID that may be meant, with a blank behind it; empty if none is alike."""
    near = nearest(project, known)
    return f"If you meant {near}, type that. " if near else ""


def nearest(project: str, known: Iterable[str]) -> str | None:
    """Return the known ID that is most like `project`, in any case; None if none is alike or `project` is known.

    The ID becomes part of a command that a person types. So it is always a single plain word to a shell.
    """
    by_case = {one.casefold(): one for one in sorted(known) if is_label(one)}
    if project in by_case.values():
        return None
    near = get_close_matches(project.casefold(), by_case, n=1, cutoff=ALIKE)
    return by_case[near[0]] if near else None
