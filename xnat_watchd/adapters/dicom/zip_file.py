"""A ZIP of DICOM: whether it is whole, what it holds, and a clean one of what is to be sent.

Names in it are never paths, and nothing of it is held in memory but what identifies an instance.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from xnat_watchd.adapters.dicom.inflating import DEFLATED, STORED
from xnat_watchd.adapters.dicom.zip_content import MemberContent
from xnat_watchd.adapters.dicom.zip_directory import FULL_32, WRAP, Member, find_directory, is_readable
from xnat_watchd.adapters.dicom.zip_limits import refuse_unfit
from xnat_watchd.adapters.dicom.zip_members import members
from xnat_watchd.adapters.dicom.zip_opening import ZipReading
from xnat_watchd.adapters.dicom.zip_writer import ZipEntry, ZipWriter, deflated
from xnat_watchd.core.delivery import Instance, ZipContents, file_name
from xnat_watchd.core.errors import Undecided, Unusable
from xnat_watchd.core.limits import Limits


def is_whole(path: Path) -> bool:
    """Tell a finished copy from an unfinished one: the end record is there and the directory reads.

    Cheap: at most a few MiB of the directory are read, no member. Raises `OSError` when the file cannot be read,
    and nothing for what it holds.
    """
    with path.open("rb", buffering=0) as file:
        return is_readable(file.fileno())


def no_beat() -> None:
    """Listen to no beat."""


def open_zip(path: Path, limits: Limits, beat: Callable[[], None] = no_beat) -> ZipContents:
    """Inflate, check and walk every member once, in constant memory, and say what the ZIP holds.

    `beat` is called every few MiB, so that a watchdog sees life. Raises `Unusable` when no study can come of it.
    """
    with path.open("rb", buffering=0) as file:
        fd = file.fileno()
        directory = find_directory(fd)
        packed = refuse_unfit(fd, directory, limits, beat)
        opening = ZipReading(fd, directory, packed, limits, beat)
        for member in members(fd, directory):
            opening.take(member)
        return opening.contents()


def write_clean(
    source: Path,
    instances: Iterable[Instance],
    target: Path,
    beat: Callable[[], None] = no_beat,
    wide_from: int = FULL_32,
) -> None:
    """Write a ZIP of just these members of `source`, named by their SOP Instance UID (F73), and nothing else in it.

    What is stored or deflated is copied as it is packed, and inflated beside to see that it is still what was recorded;
    anything else is deflated. `target` is there whole and durable or not at all, and the same each time. Raises
    `Undecided` when the source is not what it was, `OSError` when the disk is full. `wide_from`: see `ZipWriter`.
    """
    temporary = target.with_name(f".{target.name}.part")
    try:
        with source.open("rb", buffering=0) as packed, temporary.open("wb") as file:
            writer = ZipWriter(file, wide_from)
            _copy(packed.fileno(), {instance.member: instance for instance in instances}, writer, beat)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _copy(fd: int, wanted: dict[int, Instance], writer: ZipWriter, beat: Callable[[], None]) -> None:
    try:
        for member in members(fd, find_directory(fd)):
            instance = wanted.pop(member.number, None)
            if instance is not None:
                _copy_member(fd, member, instance, writer, beat)
    except Unusable as error:
        raise _changed(error.detail) from error
    if wanted:
        raise _changed(f"{len(wanted)} members are missing")
    writer.finish()


def _copy_member(fd: int, member: Member, instance: Instance, writer: ZipWriter, beat: Callable[[], None]) -> None:
    told = instance.size % WRAP if member.cut else instance.size
    if (member.size, member.crc) != (told, instance.crc):
        raise _changed(f"member {member.number} is another one")
    kept = member.method in {STORED, DEFLATED}
    method = member.method if kept else DEFLATED
    name = file_name(instance.sop_uid).encode("ascii")
    with writer.member(ZipEntry(name, method, member.crc, instance.size, member.packed)) as put:
        content = MemberContent(fd, member, beat, tap=put if kept else None)
        for piece in iter(content) if kept else deflated(iter(content)):
            if not kept:
                put(piece)
    if content.problem:
        raise _changed(f"member {member.number}: {content.problem}")
    if instance.digest and content.digest != instance.digest:
        raise _changed(f"member {member.number} has other bytes of the same checksum")


def _changed(detail: str) -> Undecided:
    return Undecided("the ZIP changed while it was read", detail=detail, advice="Drop the ZIP again.")


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
