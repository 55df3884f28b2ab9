"""A ZIP of DICOM: whether it is whole, what it holds, and a clean one of what is to be sent.

Names in it are never paths, and nothing of it is held in memory but what identifies an instance.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from xnat_watchd.adapters.byte_source import Source, stretch
from xnat_watchd.adapters.dicom_instance import facts_of
from xnat_watchd.adapters.dicom_stream import Header, Kind, walk_file
from xnat_watchd.adapters.inflating import DEFLATED, STORED
from xnat_watchd.adapters.study_sorter import Sorter
from xnat_watchd.adapters.zip_content import Content, Tidiness
from xnat_watchd.adapters.zip_directory import (
    FULL_32,
    Directory,
    Member,
    find_directory,
    members,
    reads,
    refuse_unfit,
    shown,
)
from xnat_watchd.adapters.zip_writer import Entry, ZipWriter, deflated
from xnat_watchd.core.delivery import Instance, ZipContents
from xnat_watchd.core.errors import Undecided, Unusable
from xnat_watchd.core.limits import Limits

_IMAGE_NAMES = (b".dcm", b".ima", b".dicom")
_NOTES = 20  #: damaged members that are named in `detail`


def is_whole(path: Path) -> bool:
    """Tell a finished copy from an unfinished one: the end record is there and the directory reads.

    Cheap: at most a few MiB of the directory are read, no member. Raises `OSError` when the file cannot be read,
    and nothing for what it holds.
    """
    with path.open("rb", buffering=0) as file:
        return reads(file.fileno())


def nobody() -> None:
    """Listen to no beat."""


def open_zip(path: Path, limits: Limits, beat: Callable[[], None] = nobody) -> ZipContents:
    """Inflate, check and walk every member once, in constant memory, and say what the ZIP holds.

    `beat` is called every few MiB, so that a watchdog sees life. Raises `Unusable` when no study can come of it.
    """
    with path.open("rb", buffering=0) as file:
        fd = file.fileno()
        directory = find_directory(fd)
        refuse_unfit(fd, directory, limits, beat)
        opening = _Opening(fd, directory, limits, beat)
        for member in members(fd, directory):
            opening.take(member)
        return opening.contents()


def write_clean(
    source: Path,
    instances: Iterable[Instance],
    target: Path,
    beat: Callable[[], None] = nobody,
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
    if (member.size, member.crc) != (instance.size, instance.crc):
        raise _changed(f"member {member.number} is another one")
    kept = member.method in {STORED, DEFLATED}
    method = member.method if kept else DEFLATED
    name = f"{instance.sop_uid}.dcm".encode("ascii")
    with writer.member(Entry(name, method, member.crc, member.size, member.packed)) as put:
        content = Content(fd, member, beat, tap=put if kept else None)
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


class _Opening:
    """One ZIP while its members are looked at."""

    def __init__(self, fd: int, directory: Directory, limits: Limits, beat: Callable[[], None]) -> None:
        self._fd, self._directory, self._limits, self._beat = fd, directory, limits, beat
        self._sorter = Sorter()
        self._tidiness = Tidiness()
        self._clutter: Counter[str] = Counter()
        self._zips = 0
        self._damaged: list[str] = []

    def take(self, member: Member) -> None:
        """Look at the next member of the directory."""
        self._beat()
        content = Content(self._fd, member, self._beat)
        source = Source(iter(content))
        header = walk_file(source, self._limits)
        source.drain()
        self._tidiness.add(self._fd, member, content.local)
        if content.problem:
            self._note(member, content.problem)
            self._sorter.corrupt(facts_of(header).study_uid, content.problem, member.number)
        elif header.kind is Kind.INSTANCE:
            self._sort(member, header, content.digest)
        elif _is_empty_image(member):
            self._note(member, "empty")
            self._sorter.damaged("", "empty", member.number)
        elif not member.folder:
            self._clutter["other"] += 1
            self._zips += header.kind is Kind.ZIP

    def contents(self) -> ZipContents:
        """Return what was found, or raise `Unusable`."""
        studies = self._sorter.studies(self._names(self._sorter.settle()))
        if not studies:
            raise self._unusable()
        tidy = self._tidiness.whole(self._directory.start) and not self._clutter and not self._sorter.copies
        return ZipContents(
            sha256=_sha256(self._fd, self._beat),
            size=os.fstat(self._fd).st_size,
            studies=studies,
            clutter_kinds=dict(self._clutter),
            as_it_is=tidy and len(studies) == 1 and not studies[0].trouble,
        )

    def _names(self, wanted: set[int]) -> dict[int, str]:
        """Return the names of these members, fit to be shown: they are looked up rather than kept in memory."""
        if not wanted:
            return {}
        return {one.number: shown(one.name) for one in members(self._fd, self._directory) if one.number in wanted}

    def _sort(self, member: Member, header: Header, digest: bytes) -> None:
        facts = facts_of(header)
        if not facts.problem:
            found = Instance(facts.sop_uid, facts.series_uid, member.size, member.crc, member.number, digest)
            self._sorter.sound(facts, found)
            return
        self._note(member, facts.problem)
        if header.problem or facts.study_uid:
            self._sorter.damaged(facts.study_uid, facts.problem, member.number)
        else:
            self._sorter.nameless(facts.problem, member.number)

    def _note(self, member: Member, problem: str) -> None:
        if len(self._damaged) < _NOTES:
            self._damaged.append(f"member {member.number}, {member.name[:100]!r}: {problem}")

    def _unusable(self) -> Unusable:
        if problems := self._sorter.problems():
            return Unusable(f"every image in the ZIP is damaged ({problems})", detail="\n".join(self._damaged))
        if self._zips:
            return Unusable(
                "there is a ZIP inside the ZIP, and no image beside it", advice="Drop the inner ZIP itself."
            )
        if self._clutter:
            return Unusable("there is no DICOM image in the ZIP")
        return Unusable("there are only empty folders in the ZIP")


def _is_empty_image(member: Member) -> bool:
    """Say whether the name promises an image that is not there: an export ran out of room."""
    last = member.name.rpartition(b"/")[2].lower()
    return not member.size and member.regular and last.endswith(_IMAGE_NAMES) and not last.startswith(b".")


def _sha256(fd: int, beat: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    for piece in stretch(fd, 0, os.fstat(fd).st_size):
        digest.update(piece)
        beat()
    return digest.hexdigest()
