"""The members of a ZIP with their true offsets, even in a ZIP over 4 GiB that was packed without Zip64.

The Finder of a Mac writes such ZIPs: every offset and size is given modulo 4 GiB, in the directory and after each
member. The members follow one another without a gap. So a member begins at a local header with its name, directly
after the end of the previous member, as that one's data descriptor confirms. The checksum proves the result.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from struct import Struct

from xnat_watchd.adapters.dicom.inflating import DEFLATED, STORED
from xnat_watchd.adapters.dicom.zip_directory import LOCAL, LOCAL_MARK, WRAP, Directory, Member, directory_members
from xnat_watchd.core.errors import Unusable

_LARGEST = 256 * WRAP  #: the largest directory offset: each further 4 GiB may cost another read for each member
_MOST_DENSE = 1032  #: the most bytes that Deflate makes of one byte
_DESCRIPTOR = Struct("<4s3L")
_DESCRIPTOR_MARK = b"PK\7\x08"
_HAS_DESCRIPTOR = 0x0008
_OTHERWISE = (
    "Pack it in parts of less than 4 GiB, or with another program: on a Mac, `zip -r NAME.zip FOLDER` in Terminal."
)


def members(fd: int, directory: Directory) -> Iterator[Member]:
    """Yield the members in the directory's order. Raise `Unusable` if it is damaged or offsets are ambiguous."""
    given = directory_members(fd, directory)
    return _settled(fd, directory, given) if directory.wrapped else given


def _settled(fd: int, directory: Directory, given: Iterator[Member]) -> Iterator[Member]:
    """Yield members whose offsets are given modulo 4 GiB. Each ends where the next one begins."""
    if directory.start > _LARGEST:
        raise _unsettled("its places are too many")
    one = next(given, None)
    if one is None:
        return
    start, data = _place(fd, one, None, 0, directory.start)
    for following in given:
        next_start, next_data = _place(fd, following, one, data, directory.start)
        yield _between(fd, one, start, data, next_start)
        one, start, data = following, next_start, next_data
    yield _between(fd, one, start, data, directory.start)


def _place(fd: int, member: Member, before: Member | None, least: int, bound: int) -> tuple[int, int]:
    """Return where a member and its data begin: the first offset that its header and the previous member confirm."""
    place = least + (member.start - least) % WRAP
    while place < bound:
        head = os.pread(fd, LOCAL.size + len(member.name), place)
        if head[:4] == LOCAL_MARK and head[LOCAL.size :] == member.name:
            *_, name, extra = LOCAL.unpack_from(head)
            ends = before is None or _packed(fd, before, least, place) is not None
            if ends and name == len(member.name):
                return place, place + LOCAL.size + name + extra
        place += WRAP
    raise _unsettled(f"member {member.number} begins nowhere")


def _between(fd: int, member: Member, start: int, data: int, end: int) -> Member:
    packed = _packed(fd, member, data, end)
    if packed is None:
        raise _unsettled(f"member {member.number} does not end where the next one begins")
    size = packed if member.method == STORED else member.size
    cut = member.method == DEFLATED and packed * _MOST_DENSE >= WRAP
    return member._replace(start=start, packed=packed, size=size, cut=cut)


def _packed(fd: int, member: Member, data: int, end: int) -> int | None:
    """Return how many packed bytes lie between two offsets, or None if the end does not fit this member."""
    size = end - data - _descriptor(fd, member, end)
    fits = size >= 0 and size % WRAP == member.packed % WRAP
    return size if fits else None


def _descriptor(fd: int, member: Member, end: int) -> int:
    """Return the length of the data descriptor that ends at an offset. Its mark may be missing."""
    if not member.flags & _HAS_DESCRIPTOR:
        return 0
    said = _DESCRIPTOR.pack(_DESCRIPTOR_MARK, member.crc, member.packed, member.size)
    found = os.pread(fd, len(said), max(0, end - len(said)))
    if found == said:
        return len(said)
    return len(said) - 4 if found[4:] == said[4:] else 0


def _unsettled(detail: str) -> Unusable:
    sentence = (
        "the ZIP is larger than 4 GiB and was packed without Zip64, as a Mac does, and its places cannot be settled"
    )
    return Unusable(sentence, detail=detail, advice=_OTHERWISE)
