"""The directory at the end of a ZIP: finding it, reading it, and refusing a file that can hold no study.

This is a reader of our own, since `zipfile` decodes names (and fails on a wrongly encoded one), keeps every member in
memory and does not notice overlapping members. The structures are those of PKWARE's APPNOTE 6.3.10, sections 4.3 to
4.5.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from xnat_watchd.adapters.dicom.byte_source import Source, read_range
from xnat_watchd.adapters.dicom.inflating import METHODS
from xnat_watchd.core.errors import Unusable

END = Struct("<4s4H2LH")
END_64 = Struct("<4sQ2H2L4Q")
LOCATOR_64 = Struct("<4sLQL")
CENTRAL = Struct("<4s6H3L5H2L")
LOCAL = Struct("<4s5H3L2H")
END_MARK, END_64_MARK, LOCATOR_64_MARK = b"PK\5\6", b"PK\6\6", b"PK\6\7"
CENTRAL_MARK, LOCAL_MARK, SPLIT_MARK = b"PK\1\2", b"PK\3\4", b"PK\7\x08"
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF  #: "the value is in the Zip64 field"
WRAP = FULL_32 + 1  #: writers without Zip64 give offsets and sizes modulo this

AES = 99  #: the method of members that WinZip has encrypted
ENCRYPTED = 0x0001 | 0x0040 | 0x2000  #: general purpose bits: member, strong, directory
UNIX = 3

_LONGEST_COMMENT = 0xFFFF
_LONGEST_TAIL = 64 * 1024  #: bytes after the end: zeros up to the next block, a line end, a web page
_LONGEST_ENTRY = CENTRAL.size + 3 * FULL_16  #: with its name, extra fields and comment
_SHOWN = 200  #: bytes of a name that are shown
_GLANCE = 4 * 1024 * 1024  #: bytes of a directory that are read to see that a copy is complete
ONE_ZIP = "Export the study again as one ZIP that is not split."
_FOREIGN = (  # files that somebody renamed to `.zip`, by their first bytes
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"%PDF", "a PDF"),
)


class Member(NamedTuple):
    """One member as the directory describes it, with sizes in bytes. Its name is never used as a path."""

    number: int  #: position in the directory, counted from 0
    name: bytes
    flags: int
    method: int
    crc: int  #: CRC-32 of the inflated bytes
    packed: int
    size: int  #: inflated
    start: int  #: offset of its local header in the file
    disk: int
    kind: int  #: its Unix file type, as `stat.S_IFMT` returns it; 0 if it has none
    cut: bool = False  #: whether `size` is given modulo 4 GiB and the true size is unknown

    @property
    def folder(self) -> bool:
        """Whether it is a folder without content, written with a slash or a backslash."""
        return self.size == 0 and self.name.endswith((b"/", b"\\"))

    @property
    def regular(self) -> bool:
        """Whether it is a file and not a symbolic link, a pipe or a device."""
        return self.kind in (0, stat.S_IFREG)

    @property
    def unreadable(self) -> str:
        """Why its content cannot be read, or nothing if it can."""
        if self.flags & ENCRYPTED or self.method == AES:
            return "encrypted"
        return "" if self.method in METHODS else "compressed in a way that is not supported"


@dataclass(frozen=True, slots=True)
class Directory:
    """The position of the directory, in bytes."""

    start: int
    size: int
    shift: int  #: bytes before the ZIP in the file, such as the program of a self-extracting export
    tail: bool  #: whether anything follows the ZIP in the file

    @property
    def wrapped(self) -> bool:
        """Whether the ZIP is over 4 GiB and gives offsets and sizes modulo 4 GiB, as the Finder of a Mac does."""
        return self.shift > 0 and self.shift % WRAP == 0


def find_directory(fd: int) -> Directory:
    """Return the directory of an open file. Raise `Unusable`, saying what the file is instead, if it has none."""
    length = os.fstat(fd).st_size
    end = _end_record(fd, length)
    if end is None:
        raise _not_a_zip(fd, length)
    _, disk, directory_disk, _, _, size, offset, comment = END.unpack(os.pread(fd, END.size, end))
    tail = end + END.size + comment < length
    wide = _end_record_64(fd, end)
    if wide is not None:
        end, disk, directory_disk, size, offset = wide
    if disk or directory_disk:
        raise Unusable("this is one part of a split ZIP", advice=ONE_ZIP)
    shift = end - size - offset
    if shift < 0:
        raise Unusable("the directory of the ZIP is damaged", detail="it does not lie where the end record says")
    return Directory(end - size, size, shift, tail)


def directory_members(fd: int, directory: Directory, upto: int | None = None) -> Iterator[Member]:
    """Yield the members as the directory describes them, in its order. Raise `Unusable` if it is damaged.

    At most `upto` bytes of the directory are read.
    """
    source = Source(read_range(fd, directory.start, directory.size))
    bound = directory.size if upto is None else min(directory.size, upto)
    window, at = source.window()
    read = number = 0
    while read < bound:
        if len(window) - at < _LONGEST_ENTRY:
            window, at = source.window(at, _LONGEST_ENTRY)
        if len(window) - at < CENTRAL.size or not window.startswith(CENTRAL_MARK, at):
            raise Unusable("the directory of the ZIP is damaged", detail=f"entry {number} is none")
        fields = CENTRAL.unpack_from(window, at)
        name = at + CENTRAL.size
        extra = name + fields[10]
        comment = extra + fields[11]
        end = comment + fields[12]
        if end > len(window):
            raise Unusable("the directory of the ZIP is damaged", detail=f"entry {number} breaks off")
        yield _member(number, fields, window[name:extra], window[extra:comment], directory.shift)
        number, read, at = number + 1, read + end - at, end


def printable_name(name: bytes) -> str:
    """Return the end of a member's name as printable text. The name may be any bytes."""
    text = name[-_SHOWN:].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def is_readable(fd: int) -> bool:
    """Return whether there is an end record and the first part of the directory can be read and names a member.

    An empty ZIP is not finished: people make it first and fill it a moment later.
    """
    try:
        return sum(1 for _ in directory_members(fd, find_directory(fd), _GLANCE)) > 0
    except Unusable:
        return False


def _end_record(fd: int, length: int) -> int | None:
    """Return the offset of the end record: the one whose comment ends the file, or else the last plausible one.

    Bytes after the record are ignored, as unzip and `zipfile` do. But then the directory must lie exactly where the
    record says. In an unfinished copy, the end record of an inner ZIP does not fulfil that.
    """
    first = max(0, length - END.size - _LONGEST_COMMENT - _LONGEST_TAIL)
    tail = os.pread(fd, length - first, first)
    at, meant = tail.rfind(END_MARK), None
    while at >= 0:
        if len(tail) - at >= END.size:
            _, _, _, _, count, size, offset, comment = END.unpack_from(tail, at)
            behind = len(tail) - at - END.size - comment
            if not behind:
                return first + at
            if meant is None and 0 < behind <= _LONGEST_TAIL and _has_directory(fd, first + at, count, size, offset):
                meant = first + at
        at = tail.rfind(END_MARK, 0, at)
    return meant


def _has_directory(fd: int, end: int, count: int, size: int, offset: int) -> bool:
    """Return whether a directory lies directly before an end record, in a ZIP that begins with the file."""
    try:
        wide = _end_record_64(fd, end)
    except Unusable:
        return False
    if wide is not None:
        end, _, _, size, offset = wide
    return bool(count) and offset + size == end and os.pread(fd, 4, offset) == CENTRAL_MARK


def _end_record_64(fd: int, end: int) -> tuple[int, int, int, int, int] | None:
    """Return its position, disks, size and offset from the Zip64 end record, or None if there is none."""
    locator = os.pread(fd, LOCATOR_64.size, max(0, end - LOCATOR_64.size))
    if len(locator) < LOCATOR_64.size or locator[:4] != LOCATOR_64_MARK:
        return None
    for at in (end - LOCATOR_64.size - END_64.size, LOCATOR_64.unpack(locator)[2]):
        if 0 <= at < end:
            record = os.pread(fd, END_64.size, at)
            if len(record) == END_64.size and record[:4] == END_64_MARK:
                _, _, _, _, disk, directory_disk, _, _, size, offset = END_64.unpack(record)
                return at, disk, directory_disk, size, offset
    raise Unusable("the directory of the ZIP is damaged", detail="its Zip64 end record is missing")


def _member(number: int, fields: tuple[int, ...], name: bytes, extra: bytes, shift: int) -> Member:
    made, flags, method, crc, disk = fields[1], fields[3], fields[4], fields[7], fields[13]
    packed, size, offset = fields[8], fields[9], fields[16]
    if FULL_32 in (packed, size, offset) or disk == FULL_16:
        size, packed, offset, disk = _wide(extra, (size, packed, offset, disk))
    kind = stat.S_IFMT(fields[15] >> 16) if made >> 8 == UNIX else 0
    return Member(number, name, flags, method, crc, packed, size, offset + shift, disk, kind)


def _wide(extra: bytes, values: tuple[int, int, int, int]) -> list[int]:
    """Replace the values that did not fit with those of the Zip64 field, which holds them in this order."""
    field = _extra_field(extra, 1)
    found = []
    for value, full, width in zip(values, (FULL_32, FULL_32, FULL_32, FULL_16), (8, 8, 8, 4), strict=True):
        if value == full:
            if len(field) < width:
                raise Unusable("the directory of the ZIP is damaged", detail="a Zip64 field is too short")
            found.append(int.from_bytes(field[:width], "little"))
            field = field[width:]
        else:
            found.append(value)
    return found


def _extra_field(extra: bytes, wanted: int) -> bytes:
    while len(extra) >= 4:  # noqa: PLR2004 - an identifier and a length, two bytes each
        length = int.from_bytes(extra[2:4], "little")
        if int.from_bytes(extra[:2], "little") == wanted:
            return extra[4 : 4 + length]
        extra = extra[4 + length :]
    return b""


def _not_a_zip(fd: int, length: int) -> Unusable:
    head = os.pread(fd, 132, 0)
    if not length:
        return Unusable("the file is empty")
    if head.startswith((SPLIT_MARK, b"PK00")):
        return Unusable("this is one part of a split ZIP", advice=ONE_ZIP)
    if head.startswith(LOCAL_MARK):
        return Unusable("the ZIP is not complete: the directory at its end is missing")
    if head[128:] == b"DICM":
        return Unusable("the file is a single DICOM image, not a ZIP", advice="Pack the study into a ZIP.")
    kind = next((kind for mark, kind in _FOREIGN if head.startswith(mark)), None)
    advice = "Export the study as a ZIP."
    return Unusable(f"the file is {kind}, not a ZIP" if kind else "the file is not a ZIP", advice=advice)
