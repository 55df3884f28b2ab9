"""Refusing a ZIP by its directory alone, before anything is inflated: for its size, its structure, its gaps."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from xnat_watchd.adapters.dicom.zip_directory import LOCAL, ONE_ZIP, Directory, Member
from xnat_watchd.adapters.dicom.zip_members import members
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.limits import GIB, Limits

_LARGEST_STUB = GIB  #: bytes before and between the members; the program of a self-extracting export has some MiB
_LIMITS = "If you did mean to send it, raise the limit in the settings. Then drop the ZIP again."


class Totals(NamedTuple):
    """What the directory declares in all."""

    members: int
    packed: int  #: bytes


def refuse_unfit(fd: int, directory: Directory, limits: Limits, beat: Callable[[], None]) -> Totals:
    """Raise `Unusable` for every fault that the directory shows. Return the totals.

    Nothing is inflated here. What is inflated later is bounded by the sizes in the directory, so this refuses
    bombs too.
    """
    spans: list[tuple[int, int]] = []
    inflated = packed = 0
    for member in members(fd, directory):
        _refuse_member(member, limits)
        spans.append((member.start, member.start + LOCAL.size + len(member.name) + member.packed))
        inflated += member.size
        packed += member.packed
        if not member.number % 1024:
            beat()
    if not spans:
        raise Unusable("the ZIP is empty")
    _refuse_overlap(spans, directory)
    _refuse_hollow(sum(end - start for start, end in spans), directory)
    if inflated > limits.total:
        raise Unusable(f"the ZIP would unpack to more than {limits.total / GIB:g} GiB", advice=_LIMITS)
    if limits.too_dense(packed, inflated):
        detail = f"{inflated} bytes from {packed}"
        raise Unusable("the ZIP unpacks to far more than images would", detail=detail, advice=_LIMITS)
    return Totals(len(spans), packed)


def too_many(bound: int, what: str) -> Unusable:
    """Return the refusal of a ZIP that holds more of something than the settings allow."""
    return Unusable(f"the ZIP holds more than {bound} {what}", advice=_LIMITS)


def too_large(limits: Limits, where: str) -> Unusable:
    """Return the refusal of a ZIP with a file that is larger than the settings allow."""
    sentence = f"a file in the ZIP would unpack to more than {limits.member / GIB:g} GiB"
    return Unusable(sentence, detail=where, advice=_LIMITS)


def _refuse_member(member: Member, limits: Limits) -> None:
    if member.number >= limits.members:
        raise too_many(limits.members, "files")
    if member.disk:
        raise Unusable("this is one part of a split ZIP", detail=_place(member), advice=ONE_ZIP)
    if member.size > limits.member:
        raise too_large(limits, _place(member))


def _place(member: Member) -> str:
    return f"member {member.number}, {member.name[:200]!r}"


def _refuse_overlap(spans: list[tuple[int, int]], directory: Directory) -> None:
    spans.sort()
    if any(end > start for (_, end), (start, _) in pairwise(spans)) or spans[-1][1] > directory.start:
        raise Unusable("the files in the ZIP overlap")


def _refuse_hollow(members: int, directory: Directory) -> None:
    """Refuse a file that is mostly not part of the ZIP. It may be a hole of terabytes, read for nothing."""
    if directory.start - members > max(_LARGEST_STUB, members):
        raise Unusable("most of the file is no part of the ZIP", detail=f"{directory.start - members} bytes")
