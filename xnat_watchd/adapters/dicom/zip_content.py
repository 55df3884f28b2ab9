"""The content of the members of a ZIP: inflated in bounded pieces, then checked against size and CRC-32."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import pairwise
from struct import Struct
from typing import NamedTuple

from xnat_watchd.adapters.dicom.byte_source import read_range
from xnat_watchd.adapters.dicom.content_digest import ContentDigest
from xnat_watchd.adapters.dicom.inflating import DEFLATED, STORED, Corrupt, crc32, unpacked
from xnat_watchd.adapters.dicom.zip_directory import FULL_32, LOCAL, LOCAL_MARK, WRAP, Directory, Member

_DESCRIPTOR = Struct("<LLL")
_DESCRIPTOR_MARK = b"PK\7\x08"
_HAS_DESCRIPTOR = 0x0008
_HARMLESS_FLAGS = _HAS_DESCRIPTOR | 0x0800 | 0x0006  #: UTF-8 name, effort of the deflater
_PRINTABLE = re.compile(rb"[ -\[\]-~]+")  #: ASCII, without the backslash that some readers take for a slash
_LONGEST_NAME = 200  #: bytes of a file name that XNAT's file system certainly accepts
_ARCHIVES = (b".zip", b".zar", b".tar", b".xar", b".tgz", b".gz")  #: XNAT looks inside them (F133)


class Local(NamedTuple):
    """A member's local header, which has to agree with the directory."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    data: int  #: where the packed bytes begin


class MemberContent:
    """The content of one member. Iterate over it once; after that, `problem` tells in a few words what is wrong.

    Iteration stops where the damage begins. It yields no more bytes than the directory declares, unless the member is
    `cut`. After it, `digest` is the SHA-256 of what was yielded. `tap` gets the packed bytes as they are read.
    """

    def __init__(
        self, fd: int, member: Member, beat: Callable[[], None], tap: Callable[[bytes], object] | None = None
    ) -> None:
        self.problem = ""
        self.digest = b""
        self.size = 0  #: bytes that were yielded
        self.local = _local(fd, member)
        self._fd, self._member, self._beat, self._tap = fd, member, beat, tap
        self._tapped = 0

    def __iter__(self) -> Generator[bytes]:
        if self.local is None:
            self.problem = "not where the ZIP says"
            return
        method = self._member.method if self._member.packed else STORED  # some writers pack an empty file into no bytes
        crc = 0
        with ContentDigest(self._member.size) as digest:
            try:
                for piece in unpacked(method, partial(self._packed, self.local.data)):
                    self.size += len(piece)
                    if self.size > self._member.size and not self._member.cut:
                        self.problem = "larger than the ZIP says"
                        return
                    crc = crc32(piece, crc)
                    digest.update(piece)
                    self._beat()
                    yield piece
            except Corrupt:
                self.problem = "does not unpack"
                return
            self.digest = digest.digest()
        if self.size != self._member.size and not (self._member.cut and self.size % WRAP == self._member.size):
            self.problem = "smaller than the ZIP says"
        elif crc != self._member.crc:
            self.problem = "wrong checksum"

    def _packed(self, start: int) -> Iterator[bytes]:
        read = 0
        for piece in read_range(self._fd, start, self._member.packed):
            self._beat()
            read += len(piece)
            if self._tap is not None and read > self._tapped:  # damaged bytes are read twice
                self._tap(piece)
                self._tapped = read
            yield piece


class StreamCheck:
    """Checks that the local headers tell the same as the directory, since XNAT reads a ZIP as a stream (F153)."""

    def __init__(self) -> None:
        self._tidy = True
        self._end = 0
        self._names = array("q")  #: hashes, since half a million names would take too much memory

    def add(self, fd: int, member: Member, local: Local | None) -> None:
        """Check the next member."""
        self._tidy = self._tidy and local is not None and member.start == self._end and self._fits(fd, member, local)

    @property
    def end(self) -> int:
        """Where the last member ends; 0 if one did not pass."""
        return self._end if self._tidy else 0

    def passed(self, directory: Directory) -> bool:
        """Return whether all members passed, with unique names, and nothing else precedes the directory."""
        fits = self._tidy and self._end == directory.start and not directory.tail and not directory.wrapped
        names = sorted(self._names) if fits else []
        return fits and all(one != other for one, other in pairwise(names))

    def _fits(self, fd: int, member: Member, local: Local) -> bool:
        after = local.data + member.packed
        described = bool(local.flags & _HAS_DESCRIPTOR)
        self._end = after + (_descriptor(fd, after, member) if described else 0)
        same = (local.name, local.method) == (member.name, member.method)
        sizes = self._end > after if described else local[3:6] == (member.crc, member.packed, member.size)
        methods = member.method == DEFLATED or (member.method == STORED and not described)
        harmless = not local.flags & ~_HARMLESS_FLAGS and FULL_32 not in local[4:6]
        return same and sizes and methods and harmless and self._is_plain(member)

    def _is_plain(self, member: Member) -> bool:
        """Return whether a name is plain ASCII. `passed` checks that its last part is unique, whatever its case."""
        parts = (member.name[:-1] if member.folder else member.name).split(b"/")
        last = parts[-1].lower()
        if not member.folder:
            self._names.append(hash(last))
        return (
            _PRINTABLE.fullmatch(member.name) is not None
            and not {b"", b".", b".."} & set(parts)
            and len(last) <= _LONGEST_NAME
            and not last.endswith(_ARCHIVES)
        )


def _local(fd: int, member: Member) -> Local | None:
    head = os.pread(fd, LOCAL.size + len(member.name), member.start)
    if len(head) < LOCAL.size or head[:4] != LOCAL_MARK:
        return None
    _, _, flags, method, _, _, crc, packed, size, name, extra = LOCAL.unpack_from(head)
    data = member.start + LOCAL.size + name + extra
    return Local(head[LOCAL.size : LOCAL.size + name], flags, method, crc, packed, size, data)


def _descriptor(fd: int, start: int, member: Member) -> int:
    """Return the length of the data descriptor if it says what the directory says, else 0. Its mark may be missing."""
    if max(member.packed, member.size) >= FULL_32:
        return 0
    said = _DESCRIPTOR.pack(member.crc, member.packed, member.size)
    found = os.pread(fd, len(_DESCRIPTOR_MARK + said), start)
    return next((len(form) for form in (_DESCRIPTOR_MARK + said, said) if found.startswith(form)), 0)
