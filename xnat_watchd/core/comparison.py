"""Whether XNAT holds what we sent. Pure comparison: series by series, or image by image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xnat_watchd.core.delivery import Holding

Images = Mapping[str, frozenset[str]]  #: SeriesInstanceUID -> SOPInstanceUIDs


@dataclass(frozen=True, slots=True)
class SentSeries:
    """What we sent of one series."""

    count: int
    image: bool


@dataclass(frozen=True, slots=True)
class AllPresent:
    """Every instance is there. `uid` is the study's UID on the server: ours, or the one that the site gave it."""

    uid: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Only series without images are missing, each completely: the server may leave these out (F64)."""

    uid: str
    series: frozenset[str]


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Instances are missing. `whole_series`: the series of which nothing arrived."""

    missing: int
    whole_series: frozenset[str]


@dataclass(frozen=True, slots=True)
class Mixed:
    """There are more files than we sent, or other ones: somebody else's, among ours or instead of them (F61, F96)."""


@dataclass(frozen=True, slots=True)
class Unproved:
    """There are as many files as we sent, but none has our UID or name. Nobody can tell whose they are."""


Verdict = AllPresent | LeftOut | Incomplete | Mixed | Unproved


def judge(sent: Mapping[str, SentSeries], seen: Holding, study_uid: str) -> Verdict:
    """Compare file counts: what was sent, by SeriesInstanceUID, with what XNAT holds at our place."""
    counts = {series: n for series, n in seen.counts.items() if n}
    if seen.study_uid != study_uid or any(n > (sent[one].count if one in sent else 0) for one, n in counts.items()):
        return Mixed()
    return _shortfall(sent, counts, seen.study_uid)


def judge_images(sent: Mapping[str, SentSeries], ours: Images, seen: Images, uid: str) -> Verdict:
    """Compare image by image. The server's series may have other UIDs than ours. `uid`: the study's UID there."""
    there = frozenset[str]().union(*seen.values())
    wanted = frozenset[str]().union(*ours.values())
    if there - wanted:
        return Unproved() if len(there) == len(wanted) and not there & wanted else Mixed()
    counts = {series: len(uids & there) for series, uids in ours.items() if uids & there}
    return _shortfall(sent, counts, uid)


def _shortfall(sent: Mapping[str, SentSeries], counts: Mapping[str, int], uid: str) -> Verdict:
    absent = {series: max(0, one.count - counts.get(series, 0)) for series, one in sent.items()}
    short = {series for series, n in absent.items() if n}
    if not short:
        return AllPresent(uid)
    nothing_came = frozenset(series for series in short if series not in counts)
    if short == nothing_came and counts and not any(sent[series].image for series in short):
        return LeftOut(uid, nothing_came)
    return Incomplete(sum(absent.values()), nothing_came)
