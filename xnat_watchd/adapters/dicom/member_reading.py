"""Reading the members of a ZIP to their ends: what each is, and whether it is whole. Only its own bytes decide that.

So several are read at the same time. The exception is what inflates to more than the directory declares. It is counted
in the order of the members, or the same ZIP might be judged differently from one time to the next.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Self

from xnat_watchd.adapters.dicom.byte_source import Source
from xnat_watchd.adapters.dicom.clutter import GLANCE
from xnat_watchd.adapters.dicom.data_set import FileKind, Header, walk_file
from xnat_watchd.adapters.dicom.inflating import Allowance, Early, Exhausted, UncountedAllowance
from xnat_watchd.adapters.dicom.member_fates import MemberFate, fate_of, irregular, unreadable
from xnat_watchd.adapters.dicom.ordered_threads import OrderedThreads
from xnat_watchd.adapters.dicom.zip_content import Local, MemberContent
from xnat_watchd.adapters.dicom.zip_directory import Member
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.limits import Limits

_BATCH = 1024 * 1024  #: packed bytes that a thread reads at once, of at most so many members:
_BATCH_MEMBERS = 64


class Allowances(NamedTuple):
    """How much a ZIP may make us inflate beyond what its directory declares."""

    images: Allowance
    archives: Allowance
    cut: Allowance

    @classmethod
    def of(cls, limits: Limits, packed: int, beat: Callable[[], None]) -> Self:
        """Return those of a ZIP with so many packed bytes."""
        return cls(*(Allowance(limits, packed, beat) for _ in cls._fields))


_UNCOUNTED = Allowances(UncountedAllowance(), UncountedAllowance(), UncountedAllowance())


@dataclass(frozen=True, slots=True)
class ReadMember:
    """What one member is."""

    member: Member
    local: Local | None = None  #: its local header; None if it was not found
    header: Header = field(default_factory=lambda: Header(kind=FileKind.OTHER))
    fate: MemberFate | None = None  #: None for an instance, and for a folder
    problem: str = ""  #: how it is damaged in the ZIP, in a few words
    digest: bytes = b""  #: SHA-256 of its content
    size: int = 0


def read_members(
    fd: int, found: Iterator[Member], allowances: Allowances, threads: OrderedThreads, beat: Callable[[], None]
) -> Iterator[ReadMember]:
    """Yield what each member is, in their order. Raise `Unusable` if an image inflates to too much."""
    for batch in threads.in_order(partial(_read_batch, fd), _batches(found)):
        for one in batch:
            yield read_member(fd, one, allowances, beat) if isinstance(one, Member) else one


def _read_batch(fd: int, batch: list[Member], beat: Callable[[], None]) -> list[ReadMember | Member]:
    """Return what each member is, or the member itself if it must be read in its turn."""
    read: list[ReadMember | Member] = []
    for member in batch:
        try:
            read.append(read_member(fd, member, _UNCOUNTED, beat))
        except Early:
            read.append(member)
    return read


def _batches(found: Iterator[Member]) -> Iterator[list[Member]]:
    batch: list[Member] = []
    packed = 0
    for member in found:
        batch.append(member)
        packed += member.packed
        if packed >= _BATCH or len(batch) == _BATCH_MEMBERS:
            yield batch
            batch, packed = [], 0
    if batch:
        yield batch


def read_member(fd: int, member: Member, allowances: Allowances, beat: Callable[[], None]) -> ReadMember:
    """Inflate, check and walk one member. Raise `Unusable` if an image inflates to too much."""
    beat()
    if member.unreadable:
        return ReadMember(member, fate=unreadable(member.name, member.unreadable, empty=member.size == 0))
    content = MemberContent(fd, member, beat)
    fate = None
    with closing(iter(content)) as pieces:
        source = Source(allowances.cut.counted(pieces) if member.cut else pieces)
        try:
            header = walk_file(source, allowances.images)
            if header.kind is not FileKind.INSTANCE and not member.folder:
                fate = _fate(member, source, header.kind, allowances.archives)
            source.drain()
        except Exhausted as error:
            raise Unusable("an image in the ZIP unpacks to far more than an image would") from error
    return ReadMember(member, content.local, header, fate, content.problem, content.digest, content.size)


def _fate(member: Member, source: Source, kind: FileKind, allowance: Allowance) -> MemberFate:
    fate = None
    if not member.regular and kind is FileKind.OTHER:
        fate = irregular(source.peek(GLANCE), link=member.kind == stat.S_IFLNK)
    return fate or fate_of(member.name, source, kind, allowance)
