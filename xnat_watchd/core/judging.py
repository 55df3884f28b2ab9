"""Whether XNAT holds what we sent. Pure comparison, series by series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xnat_watchd.core.delivery import Holding


@dataclass(frozen=True, slots=True)
class Sent:
    """One series as we sent it."""

    count: int
    image: bool


@dataclass(frozen=True, slots=True)
class Whole:
    """Every instance is there. `uid` is the study's UID on the server, ours or the site's."""

    uid: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """All is there but whole series that are no images: the server may leave these out (F64)."""

    uid: str
    series: frozenset[str]


@dataclass(frozen=True, slots=True)
class Short:
    """Instances are missing. `whole_series`: those of which nothing arrived."""

    missing: int
    whole_series: frozenset[str]


@dataclass(frozen=True, slots=True)
class Mixed:
    """More, or something else, than we sent lies there: another's files may be among ours (F61)."""


Verdict = Whole | LeftOut | Short | Mixed


def judge(sent: Mapping[str, Sent], seen: Holding, study_uids: tuple[str, ...]) -> Verdict:
    """Compare what was sent, by SeriesInstanceUID, with what XNAT holds at our place."""
    counts = {series: n for series, n in seen.counts.items() if n}
    if seen.study_uid not in study_uids:
        return Whole(seen.study_uid) if _remapped(sent, seen) else Mixed()
    if any(n > (sent[series].count if series in sent else 0) for series, n in counts.items()):
        return Mixed()
    return _shortfall(sent, counts, seen.study_uid)


def _shortfall(sent: Mapping[str, Sent], counts: Mapping[str, int], uid: str) -> Verdict:
    absent = {series: one.count - counts.get(series, 0) for series, one in sent.items()}
    short = {series for series, n in absent.items() if n}
    if not short:
        return Whole(uid)
    nothing_came = frozenset(series for series in short if series not in counts)
    if short == nothing_came and counts and not any(sent[series].image for series in short):
        return LeftOut(uid, nothing_came)
    return Short(sum(absent.values()), nothing_came)


def _remapped(sent: Mapping[str, Sent], seen: Holding) -> bool:
    """One foreign study UID over exactly our counts: the site gives instances UIDs of its own."""
    ours = sorted(one.count for one in sent.values())
    theirs = sorted(n for n in seen.counts.values() if n)
    return bool(seen.study_uid) and ours == theirs
