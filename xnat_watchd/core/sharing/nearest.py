"""Name the subject or the project that is nearest to one that is not there: most are typing errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

from xnat_watchd.core.sharing.plan import RowPlan, SeenProject

NEAREST = "; the nearest is "
MOST_COMPARED = 50_000  #: labels that are compared in one call; of more rows nothing is said: it took too long
LONGEST = 100  #: characters of a label that is compared


def with_nearest(
    plans: Sequence[RowPlan], seen: Mapping[str, SeenProject], meant: Mapping[str, str]
) -> tuple[RowPlan, ...]:
    """Return the plans, with what is nearest in the reason of each row whose own subject or project is not there.

    `meant`: project that XNAT does not list -> the nearest that it lists.
    """
    absent = dict.fromkeys((one.row.source, one.row.subject) for one in plans if one.absent == "subject")
    nearest = dict(_nearest(absent, seen)) if absent else {}
    return tuple(
        replace(one, reason=f"{one.reason}{NEAREST}{label}") if (label := _of(one, nearest, meant)) else one
        for one in plans
    )


def _of(plan: RowPlan, subjects: Mapping[tuple[str, str], str], projects: Mapping[str, str]) -> str | None:
    match plan.absent:
        case "subject":
            return subjects.get((plan.row.source, plan.row.subject))
        case "source project":
            return projects.get(plan.row.source)
        case "destination project":
            return projects.get(plan.row.destination)
    return None


def _nearest(
    absent: Mapping[tuple[str, str], None], seen: Mapping[str, SeenProject]
) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the nearest label for each subject, (source, subject), that has one. Case is the least difference."""
    folded = {name: {label.casefold(): label for label in seen[name].subjects} for name, _ in absent}
    compared = 0
    for source, subject in absent:
        labels, name = folded[source], subject.casefold()
        if name in labels:
            yield (source, subject), labels[name]
            continue
        compared += len(labels)
        if compared > MOST_COMPARED or len(name) > LONGEST:
            continue
        for near in get_close_matches(name, labels, n=1):
            yield (source, subject), labels[near]
