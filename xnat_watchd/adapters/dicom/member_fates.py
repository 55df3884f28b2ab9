"""The fate of a member that is not an instance: certainly clutter, or unexplained, as a lost image would be.

Whether an image of this ZIP could have such a name is known only after all of its images have been seen.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from xnat_watchd.adapters.dicom.archives import OpaqueArchive, archive_members, is_archive
from xnat_watchd.adapters.dicom.byte_source import Source
from xnat_watchd.adapters.dicom.clutter import GLANCE, base_name, clutter_kind, is_text, name_key
from xnat_watchd.adapters.dicom.data_set import FileKind, walk_file
from xnat_watchd.adapters.dicom.inflating import Allowance, Exhausted
from xnat_watchd.adapters.dicom.program_folders import Folder, ProgramFolders, folder_of, may_be_a_programs
from xnat_watchd.adapters.dicom.tally import Tally
from xnat_watchd.core.findings import ARCHIVE_WORD

DIRECTORY = "DICOMDIR"
_DICOM_INSIDE = f"DICOM in an {ARCHIVE_WORD}"
_UNKNOWN_INSIDE = f"an {ARCHIVE_WORD} of unknown content"
_NOT_LOOKED_INTO = f"an {ARCHIVE_WORD} that is not looked into"
_BY_CONTENT = frozenset({DIRECTORY, "DICOM without a study", "pipe or device"})  # no name makes an image of these
_IMAGE_KEYS = (".dcm", ".ima", ".dicom", ".dicm")
_DEEPEST = 3  #: levels of nested archives that are examined
_SHAPES = 10_000  #: kinds of names that are distinguished; beyond that, any name may be that of an image
# ZIPs that are one file of a program: whatever they hold, they are no export of images
_CONTAINERS = frozenset({".jar", ".war", ".ear", ".apk", ".xpi", ".crx", ".nupkg", ".vsix", ".epub"})
_OFFICE = frozenset({".docx", ".dotx", ".xlsx", ".xltx", ".pptx", ".potx", ".vsdx", ".odt", ".ods", ".odp", ".odg"})
_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".tbz", ".tbz2", ".xz", ".txz"})


class MemberFate(NamedTuple):
    """Either the kind of clutter, or the reason why a member is unexplained unless its folder explains it."""

    clutter: str = ""
    reason: str = ""
    place: bool = False  #: whether it is clutter if it lies in the folder of a program


def fate_of(name: bytes, source: Source, kind: FileKind, allowance: Allowance, depth: int = 0) -> MemberFate:
    """Return the fate of a member that is not an instance, by its name and its content."""
    head = source.peek(GLANCE)
    if kind is FileKind.DIRECTORY:
        named = base_name(name).startswith("dicomdir")
        return MemberFate(clutter=DIRECTORY) if named else MemberFate(reason="a DICOMDIR under another name")
    if kind is FileKind.STUDYLESS:
        return MemberFate(clutter="DICOM without a study")
    if is_archive(head):
        return _fate_of_archive(name, source, allowance, depth)
    if clutter := clutter_kind(name, head):
        return MemberFate(clutter=clutter)
    return MemberFate(reason=_why_no_image(head), place=may_be_a_programs(name, head))


def unreadable(name: bytes, reason: str, *, empty: bool) -> MemberFate:
    """Return the fate of a member whose content cannot be read: only its name can show that it is clutter.

    `empty`: whether the directory says that it has no content.
    """
    clutter = clutter_kind(name, b"" if empty else None)
    return MemberFate(clutter=clutter) if clutter else MemberFate(reason=reason)


def irregular(head: bytes, *, link: bool) -> MemberFate | None:
    """Return the fate of a member that is packed as a link, a pipe or a device: none of these holds data of its own.

    Return None if the content shows that it is an ordinary file. Then its mode is wrong.
    """
    if link:
        return MemberFate(clutter="link") if head and is_text(head) else None
    return None if head else MemberFate(clutter="pipe or device")


def _fate_of_archive(name: bytes, source: Source, allowance: Allowance, depth: int) -> MemberFate:
    key, doubt = name_key(name), _NOT_LOOKED_INTO
    if depth < _DEEPEST:
        try:
            doubt = _doubt(name, source, allowance, depth)
        except (OpaqueArchive, Exhausted):
            return MemberFate(reason=_NOT_LOOKED_INTO)
    if doubt == _UNKNOWN_INSIDE and key in _CONTAINERS | _OFFICE:
        doubt = ""
    if doubt:
        return MemberFate(reason=doubt)
    if key in _CONTAINERS | _OFFICE:
        return MemberFate(clutter="program" if key in _CONTAINERS else "office file")
    return MemberFate(clutter="archive without images") if key in _ARCHIVES else MemberFate(reason=_UNKNOWN_INSIDE)


def _doubt(name: bytes, source: Source, allowance: Allowance, depth: int) -> str:
    """Return why an archive is not clutter, or nothing if it is. Raise `OpaqueArchive` or `Exhausted`."""
    doubt = ""
    for inner, content in archive_members(name, source, allowance):
        header = walk_file(content, allowance)
        instance = header.kind is FileKind.INSTANCE
        reason = _DICOM_INSIDE if instance else fate_of(inner, content, header.kind, allowance, depth + 1).reason
        if reason == _DICOM_INSIDE:
            return reason
        doubt = doubt or (reason and _UNKNOWN_INSIDE)
    return doubt


def _why_no_image(head: bytes) -> str:
    """Return in a few words what the content is instead of an image."""
    if not head:
        return "empty"
    return "only zeros at its beginning" if not head.strip(b"\0") else "no DICOM"


class MemberFates:
    """The fates of all members of one ZIP that are not instances."""

    def __init__(self) -> None:
        self.clutter: Counter[str] = Counter()
        self.unexplained = Tally()
        self._image_keys = set(_IMAGE_KEYS)
        self._candidates: dict[tuple[str, str], Tally] = {}
        self._folders = ProgramFolders()
        self._placed: dict[tuple[Folder, str], Tally] = {}  #: by folder and kind of name

    def add_image(self, name: bytes) -> None:
        """Note the name of an image."""
        self._folders.add_image(name)
        if len(self._image_keys) < _SHAPES:
            self._image_keys.add(name_key(name))

    def add(self, name: bytes, number: int, fate: MemberFate) -> None:
        """Add the fate of the member at position `number` of the directory."""
        place = (folder_of(name), name_key(name))
        if fate.place and (place in self._placed or len(self._placed) < _SHAPES):
            self._placed.setdefault(place, Tally()).add(fate.reason, number)
        elif fate.reason:
            self.unexplained.add(fate.reason, number)
        elif fate.clutter in _BY_CONTENT:
            self.clutter[fate.clutter] += 1
        else:
            self._folders.add_clutter(name)
            self._candidates.setdefault((fate.clutter, name_key(name)), Tally()).add("named like an image", number)

    def finish(self) -> None:
        """Decide which clutter has a name that an image of this ZIP could have. Nothing may be added after this."""
        many = len(self._image_keys) >= _SHAPES
        for (kind, key), tally in self._candidates.items():
            if key in self._image_keys or (many and not key.startswith(".")):
                self.unexplained.update(tally)
            else:
                self.clutter[kind] += len(tally)
        for (folder, key), tally in self._placed.items():
            if many or key in self._image_keys or not self._folders.is_of_a_program(folder):
                self.unexplained.update(tally)
            else:
                self.clutter["program"] += len(tally)
        self._candidates.clear()
        self._placed.clear()
