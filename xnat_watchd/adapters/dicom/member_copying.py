"""Copying members of a ZIP into a clean one. Each is checked to be what was recorded, as its bytes are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from xnat_watchd.adapters.dicom.inflating import DEFLATED, STORED
from xnat_watchd.adapters.dicom.ordered_threads import OrderedThreads
from xnat_watchd.adapters.dicom.zip_content import MemberContent
from xnat_watchd.adapters.dicom.zip_directory import WRAP, Directory, Member, find_directory
from xnat_watchd.adapters.dicom.zip_members import members
from xnat_watchd.adapters.dicom.zip_writer import ZipEntry, ZipWriter, deflated
from xnat_watchd.core.delivery import Instance, file_name
from xnat_watchd.core.errors import Undecided, Unusable

AHEAD = 1024 * 1024  #: packed bytes, at most, of a member that a thread reads before its turn and keeps in memory


class _Copied(NamedTuple):
    member: Member
    instance: Instance

    @property
    def kept(self) -> bool:
        """Whether it is copied as it is packed."""
        return self.member.method in {STORED, DEFLATED}

    def must_be_recorded(self) -> None:
        size = self.instance.size % WRAP if self.member.cut else self.instance.size
        if (self.member.size, self.member.crc) != (size, self.instance.crc):
            raise _changed(f"member {self.member.number} is another one")

    def must_be_whole(self, content: MemberContent) -> None:
        if content.problem:
            raise _changed(f"member {self.member.number}: {content.problem}")
        if self.instance.digest and content.digest != self.instance.digest:
            raise _changed(f"member {self.member.number} has other bytes of the same checksum")


def copy_members(
    fd: int, wanted: dict[int, Instance], writer: ZipWriter, threads: OrderedThreads, beat: Callable[[], None]
) -> None:
    """Copy the wanted members, by their positions in the directory. Raise `Undecided` if the ZIP has changed.

    The threads read small members ahead. The others are read as they are written.
    """
    left = dict(wanted)
    try:
        for one, packed in threads.in_order(partial(_read, fd), _found(fd, find_directory(fd), left)):
            _write(fd, one, packed, writer, beat)
    except Unusable as error:
        raise _changed(error.detail) from error
    if left:
        raise _changed(f"{len(left)} members are missing")


def _found(fd: int, directory: Directory, left: dict[int, Instance]) -> Iterator[_Copied]:
    for member in members(fd, directory):
        instance = left.pop(member.number, None)
        if instance is not None:
            yield _Copied(member, instance)


def _read(fd: int, one: _Copied, beat: Callable[[], None]) -> tuple[_Copied, list[bytes] | None]:
    """Return a member with its packed bytes, which are checked; without them if it is to be read in its turn."""
    one.must_be_recorded()
    if not one.kept or one.member.packed > AHEAD:
        return one, None
    packed: list[bytes] = []
    content = MemberContent(fd, one.member, beat, tap=packed.append)
    for _ in content:
        pass
    one.must_be_whole(content)
    return one, packed


def _write(fd: int, one: _Copied, packed: list[bytes] | None, writer: ZipWriter, beat: Callable[[], None]) -> None:
    member, instance = one
    name = file_name(instance.sop_uid).encode("ascii")
    method = member.method if one.kept else DEFLATED
    with writer.member(ZipEntry(name, method, member.crc, instance.size, member.packed)) as put:
        if packed is not None:
            for piece in packed:
                put(piece)
            return
        content = MemberContent(fd, member, beat, tap=put if one.kept else None)
        for piece in iter(content) if one.kept else deflated(iter(content)):
            if not one.kept:
                put(piece)
    one.must_be_whole(content)


def _changed(detail: str) -> Undecided:
    return Undecided("the ZIP changed while it was read", detail=detail, advice="Drop the ZIP again.")
