"""Reading one ZIP: each member ends in exactly one way, and the instances are sorted into studies."""

from __future__ import annotations

import os
from collections.abc import Callable

from xnat_watchd.adapters.dicom.byte_source import Source
from xnat_watchd.adapters.dicom.dicomdir import listed_images
from xnat_watchd.adapters.dicom.instance import facts_of
from xnat_watchd.adapters.dicom.member_fates import DIRECTORY, MemberFate, MemberFates
from xnat_watchd.adapters.dicom.member_reading import ReadMember
from xnat_watchd.adapters.dicom.study_sorter import StudySorter
from xnat_watchd.adapters.dicom.zip_content import MemberContent, StreamCheck
from xnat_watchd.adapters.dicom.zip_directory import Directory, Member, printable_name
from xnat_watchd.adapters.dicom.zip_limits import too_large
from xnat_watchd.adapters.dicom.zip_members import members
from xnat_watchd.core.delivery import Instance, ZipContents
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.limits import Limits
from xnat_watchd.core.ports import CheckObserver

_DIRECTORIES = 8  #: DICOMDIRs that are read: media have one
_NOTES = 20  #: members that `detail` names


class ZipReading:
    """What is known of one ZIP while its members are read."""

    def __init__(
        self,
        fd: int,
        directory: Directory,
        limits: Limits,
        beat: Callable[[], None],
        observer: CheckObserver | None = None,
    ) -> None:
        self._fd, self._directory, self._beat, self._observer = fd, directory, beat, observer
        self._limits = limits
        self._sorter = StudySorter(limits)
        self._fates = MemberFates()
        self._stream_check = StreamCheck()
        self._directories: list[Member] = []
        self._notes: list[str] = []
        self._first_image_ends = 0

    def add(self, found: ReadMember) -> None:
        """Add the next member of the directory. Raise `Unusable` if it exceeds a limit."""
        member, fate = found.member, found.fate
        if found.size > self._limits.member:
            raise too_large(self._limits, f"member {member.number}")
        self._stream_check.add(self._fd, member, found.local if fate is None else None)
        if found.problem:
            self._note(member, found.problem)
            self._sorter.add_doubtful(facts_of(found.header).study_uid, found.problem, member.number)
        elif fate is not None:
            self._record_fate(member, fate)
        elif not member.folder:
            self._sort(found)
        if self._observer is not None:
            self._tell(self._observer, found)

    def _tell(self, observer: CheckObserver, found: ReadMember) -> None:
        end, uid = self._stream_check.end, self._sorter.sound_uid
        if not end or found.problem or found.fate is not None or not (uid or found.member.folder):
            observer.unsound()
        elif uid:
            observer.sound(end, uid)

    def contents(self, sha256: Callable[[], str]) -> ZipContents:
        """Return what the ZIP contains. Raise `Unusable` if it holds no usable study. `sha256`: of the whole file."""
        self._fates.finish()
        named = self._sorter.finish(self._fates.unexplained)
        self._find_absent()
        studies = self._sorter.studies(self._names(named))
        if not studies:
            raise self._unusable()
        tidy = self._stream_check.passed(self._directory) and not self._fates.clutter and not self._sorter.copies
        return ZipContents(
            sha256=sha256(),
            size=os.fstat(self._fd).st_size,
            studies=studies,
            clutter_kinds=dict(self._fates.clutter),
            as_it_is=tidy and len(studies) == 1 and not studies[0].findings,
            first_image_ends=self._first_image_ends,
        )

    def _record_fate(self, member: Member, fate: MemberFate) -> None:
        if fate.reason:
            self._note(member, fate.reason)
        elif fate.clutter == DIRECTORY and len(self._directories) < _DIRECTORIES:
            self._directories.append(member)
        self._fates.add(member.name, member.number, fate)

    def _find_absent(self) -> None:
        """Read each DICOMDIR again, now that all images of the ZIP are known."""
        present = self._sorter.received() if self._directories else frozenset()
        for directory in self._directories:
            for one in listed_images(Source(iter(MemberContent(self._fd, directory, self._beat)))):
                if hash(one.sop_uid) not in present:
                    self._sorter.add_absent(one.study_uid, printable_name(one.file))

    def _sort(self, read: ReadMember) -> None:
        member, header = read.member, read.header
        self._fates.add_image(member.name)
        facts = facts_of(header)
        if not facts.problem:
            found = Instance(facts.sop_uid, facts.series_uid, read.size, member.crc, member.number, read.digest)
            self._sorter.add(facts, found)
            end = read.local.data + member.packed if read.local else 0
            self._first_image_ends = min(filter(None, (self._first_image_ends, end)), default=0)
            return
        self._note(member, facts.problem)
        if header.contradicts:
            self._sorter.add_doubtful(facts.study_uid, facts.problem, member.number)
        elif header.problem or facts.study_uid:
            self._sorter.add_damaged(facts.study_uid, facts.problem, member.number, facts.sop_uid)
        else:
            self._sorter.add_without_study(facts.problem, member.number)

    def _names(self, wanted: set[int]) -> dict[int, str]:
        """Return the printable names of these members. They are looked up again, to save memory."""
        if not wanted:
            return {}
        found = {}
        for one in members(self._fd, self._directory):
            if not one.number % 1024:
                self._beat()
            if one.number in wanted:
                found[one.number] = printable_name(one.name)
        return found

    def _note(self, member: Member, problem: str) -> None:
        if len(self._notes) < _NOTES:
            self._notes.append(f"member {member.number}, {member.name[:100]!r}: {problem}")

    def _unusable(self) -> Unusable:
        detail, reasons = "\n".join(self._notes), self._fates.unexplained.reasons
        if problems := self._sorter.problems():
            return Unusable(f"every image in the ZIP is damaged ({problems})", detail=detail)
        for part, sentence, advice in _REFUSALS:
            if any(part in reason for reason in reasons):
                return Unusable(sentence, detail=detail, advice=advice)
        if self._fates.clutter or reasons:
            return Unusable("there is no DICOM image in the ZIP", detail=detail)
        return Unusable("there are only empty folders in the ZIP")


_REFUSALS = (  # if no image was found: by a part of the reason why a member is unexplained
    ("encrypted", "the ZIP is encrypted", "Export the study again without a password."),
    (
        "not supported",
        "the ZIP is compressed in a way that is not supported",
        "Export the study again as an ordinary ZIP.",
    ),
    (
        "archive",
        "there are only archives in the ZIP, and no image beside them",
        "If one of them is a ZIP, drop that ZIP. Otherwise unpack them, pack the images into one ZIP and drop it.",
    ),
)
