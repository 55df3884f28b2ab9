"""Walking a DICOM file as a stream, from its first byte to its pixels or its end, and keeping a few short values.

DICOM PS3.10 section 7 (the file) and PS3.5 section 7 (elements, VRs, sequences). Nothing is trusted: lengths only lead
forwards, values are cut, depth is bounded, and a data set that ends before its elements do is damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from xnat_watchd.adapters.dicom.byte_source import Source
from xnat_watchd.adapters.dicom.elements import (
    BLANKS,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONGEST,
    REACH,
    SHORT_FORM,
    SHORTEST,
    UNDEFINED,
    Syntax,
)
from xnat_watchd.adapters.dicom.inflating import Allowance, Corrupt, Inflater, inflated
from xnat_watchd.core.delivery import PATIENT

MEDIA_SOP_CLASS, TRANSFER_SYNTAX = 0x00020002, 0x00020010
CHARSET, SOP_CLASS, SOP_INSTANCE = 0x00080005, 0x00080016, 0x00080018
STUDY_DATE, STUDY_TIME, MODALITY = 0x00080020, 0x00080030, 0x00080060
STUDY, SERIES, SERIES_NUMBER = 0x0020000D, 0x0020000E, 0x00200011
FRAMES = 0x00280008

_WANTED = frozenset(
    {MEDIA_SOP_CLASS, TRANSFER_SYNTAX, CHARSET, SOP_CLASS, SOP_INSTANCE, STUDY_DATE, STUDY_TIME, MODALITY}
    | {STUDY, SERIES, SERIES_NUMBER, FRAMES}
    | {attribute.tag for attribute in PATIENT}
)
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})  # of floats, of doubles, and the usual ones
_READ = _WANTED | _PIXELS  #: not skipped outside of sequences
_READ_INSIDE = frozenset[int]()  #: the same inside
_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_SEQUENCE_END_BYTES = b"\xfe\xff\xdd\xe0\0\0\0\0"
_DEEPEST = 100  #: nested sequences; structured reports reach about 20, and other readers recurse
PREAMBLE = 132

IMPLICIT = frozenset({"1.2.840.10008.1.2", "1.2.840.113619.5.2"})  # the second is GE's own, with big endian pixels
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
_DIRECTORY = "1.2.840.10008.1.3.10"
_STUDYLESS = frozenset(  # SOP classes that belong to no study (PS3.4 annexes I and GG)
    {
        "1.2.840.10008.5.1.4.38.1",  # hanging protocol
        "1.2.840.10008.5.1.4.39.1",  # colour palette
        "1.2.840.10008.5.1.4.43.1",  # implant templates
        "1.2.840.10008.5.1.4.44.1",
        "1.2.840.10008.5.1.4.45.1",
    }
)
_FIRST_TAGS = frozenset(  # first tags of a data set without preamble: of group 8 or of the meta header
    {bytes((8, 0, number, 0)) for number in (0x00, 0x01, 0x05, 0x08, 0x12, 0x16, 0x18)} | {b"\2\0\0\0", b"\2\0\1\0"}
)


class FileKind(Enum):
    """What kind of file it is for the service."""

    INSTANCE = "instance"
    DIRECTORY = "directory"  #: a DICOMDIR
    STUDYLESS = "studyless"  #: DICOM that belongs to no study
    OTHER = "other"  #: no DICOM


@dataclass(slots=True)
class Header:
    """What the walk found. `problem` tells in a few words why it is damaged. Values before the damage are kept."""

    kind: FileKind = FileKind.INSTANCE
    values: dict[int, bytes] = field(default_factory=dict)
    problem: str = ""
    filled: bool = False  #: its data set ends without pixels and is padded with zeros or other blanks
    contradicts: bool = False  #: its meta header and its data set describe two objects: none of its UIDs is trusted

    def uid(self, tag: int) -> str:
        """Return a UID without its padding. A byte outside ASCII becomes a character that no UID may hold."""
        return self.values.get(tag, b"").decode("ascii", "replace").strip("\0 ")


class BadDataSet(Exception):
    """The data set cannot be walked to its end."""


def walk_file(source: Source, allowance: Allowance) -> Header:
    """Walk one file, which need not be DICOM. Raise `Exhausted` if a deflated data set inflates to too much."""
    header = Header()
    head = source.peek(PREAMBLE)
    if head[128:] == b"DICM":
        source.skip(PREAMBLE)
    elif _is_naked(head):
        header.problem = "no DICOM file header"
    else:
        header.kind = FileKind.OTHER
        return header
    try:
        _walk(source, header, allowance)
    except BadDataSet as bad:
        header.problem = header.problem or str(bad)
    except (EOFError, struct.error):
        header.problem = header.problem or "cut short"
    _classify(header)
    return header


def _classify(header: Header) -> None:
    """Set the kind of file by its SOP classes. If meta header and data set differ in them, the file is damaged."""
    classes = {header.uid(MEDIA_SOP_CLASS), header.uid(SOP_CLASS)} - {""}
    if len(classes) > 1:
        header.contradicts = True
        header.problem = header.problem or "two SOP classes"
    elif classes == {_DIRECTORY} and STUDY not in header.values:
        header.kind = FileKind.DIRECTORY
    elif classes & _STUDYLESS and not header.problem:
        header.kind = FileKind.STUDYLESS


def _is_naked(head: bytes) -> bool:
    """Return whether a data set begins here without preamble and meta header. XNAT cannot read such a file (F76)."""
    return head[:4] in _FIRST_TAGS and (head[4:6] in SHORT_FORM or int.from_bytes(head[4:8], "little") < LONGEST)


def _walk(source: Source, header: Header, allowance: Allowance) -> None:
    walk_meta(source, header.values)
    uid = header.uid(TRANSFER_SYNTAX)
    if uid:
        syntax = IMPLICIT_LITTLE if uid in IMPLICIT else EXPLICIT_BIG if uid == _BIG_ENDIAN else EXPLICIT_LITTLE
    elif header.problem:
        syntax = EXPLICIT_LITTLE if source.peek(6)[4:] in SHORT_FORM else IMPLICIT_LITTLE
    else:
        raise BadDataSet("no transfer syntax" if source.peek(1) else "cut short")
    body = Source(_inflated(source, allowance)) if uid in _DEFLATED else source
    actual = _as_written(body.peek(SHORTEST), syntax)
    if actual is not syntax:
        said, found = ("explicit", "implicit") if syntax.explicit else ("implicit", "explicit")
        header.problem = header.problem or f"its transfer syntax says {said} and its data is {found}"
    header.filled = _walk_data_set(body, actual, header.values)
    if body is not source:
        body.drain()  # a stream may be damaged after the pixels


def _as_written(head: bytes, syntax: Syntax) -> Syntax:
    """Return how a data set with these first bytes is written. XNAT trusts the transfer syntax, right or wrong."""
    if syntax is EXPLICIT_BIG or head[:2] != b"\x08\0" or len(head) < SHORTEST:
        return syntax
    has_vr = head[4:6] in SHORT_FORM
    if syntax.explicit and not has_vr and int.from_bytes(head[4:8], "little") < LONGEST:
        return IMPLICIT_LITTLE
    return EXPLICIT_LITTLE if has_vr and not syntax.explicit else syntax


def walk_meta(source: Source, values: dict[int, bytes]) -> None:
    """Walk the meta header, whose elements are always explicit little endian (PS3.10 7.1)."""
    window, at = source.window(reach=REACH)
    while window.startswith(b"\2\0", at):
        tag, length, start = EXPLICIT_LITTLE.read(window, at)
        value = window[start : start + min(length, LONGEST)] if tag in _WANTED else b""
        window, at = source.window(start + length, REACH)
        if value:
            values[tag] = value


def _walk_data_set(source: Source, syntax: Syntax, values: dict[int, bytes]) -> bool:  # noqa: C901 - one loop is fast
    """Walk to the end of the pixels, or of the data set if it has none. What follows the pixels is not checked.

    Return whether there are blanks instead of pixels.
    """
    outer: list[tuple[int, Syntax]] = []  # the enclosing sequences of undefined length
    window, at = source.window()
    while True:
        at = syntax.skip(window, at, len(window) - REACH, _READ_INSIDE if outer else _READ)
        if len(window) - at < REACH:
            window, at = source.window(at, REACH)
            if _at_end(window[at : at + SHORTEST], outer):
                return False
        head = at
        tag, length, at = syntax.read(window, at)
        if length == UNDEFINED:
            if tag in _PIXELS and not outer:
                _walk_fragments(source, at, syntax, values)
                return False
            syntax = _enter(outer, tag, syntax, window[at - 8 : at - 6])
            continue
        if outer:
            if tag == _SEQUENCE_END:
                tag, syntax = outer.pop()
        elif tag in _WANTED:
            value = window[at : at + min(length, LONGEST)]
            if len(value) == min(length, LONGEST):  # a UID that is cut off is another UID
                values[tag] = value
        elif window[head + 4] in BLANKS and _is_blank(window[head : head + SHORTEST]):
            _expect_blanks(source, head)
            return True
        at += length
        if tag in _PIXELS and not outer:
            source.window(at)
            return False


def _walk_fragments(source: Source, at: int, syntax: Syntax, values: dict[int, bytes]) -> None:
    """Walk pixels that are stored in fragments (PS3.5 A.4), to their delimiter or, with some writers, to the end."""
    found = 0
    while True:
        window, at = source.window(at, SHORTEST)
        left = window[at : at + SHORTEST]
        if left == _SEQUENCE_END_BYTES:
            return
        if len(left) < SHORTEST or _is_blank(left):
            break
        tag, length, at = syntax.read(window, at)
        if tag == _SEQUENCE_END:
            return
        if tag != _ITEM:
            raise BadDataSet("not readable")
        found += 1
        at += length
    if found <= max(1, _frames(values)):  # the first fragment is the table of offsets
        raise EOFError
    if len(left) == SHORTEST:
        _expect_blanks(source, at)
    elif not (_SEQUENCE_END_BYTES.startswith(left) or _is_blank(left)):
        raise EOFError


def _frames(values: dict[int, bytes]) -> int:
    digits = values.get(FRAMES, b"").strip(b"\0 ")
    return int(digits) if digits.isdigit() else 1


def _is_blank(part: bytes) -> bool:
    return not part.strip(BLANKS)


def _at_end(left: bytes, outer: list[tuple[int, Syntax]]) -> bool:
    """Return whether the data set ends here, except for a few blanks. Raise `EOFError` if it is cut off."""
    if len(left) >= SHORTEST:
        return False
    if outer or not _is_blank(left):
        raise EOFError
    return True


def _enter(outer: list[tuple[int, Syntax]], tag: int, syntax: Syntax, vr: bytes) -> Syntax:
    """Enter a sequence of undefined length. Return how it is written. `vr` is only valid if the syntax has VRs."""
    if len(outer) == _DEEPEST:
        raise BadDataSet("nested too deeply")
    outer.append((tag, syntax))
    return IMPLICIT_LITTLE if syntax.explicit and vr == b"UN" else syntax  # PS3.5 6.2.2 note 2


def _expect_blanks(source: Source, at: int) -> None:
    """Raise `BadDataSet` if anything follows except the blanks with which some writers pad a file."""
    source.window(at)
    if not all(_is_blank(piece) for piece in source.rest()):
        raise BadDataSet("not readable")


def _inflated(source: Source, allowance: Allowance) -> Iterator[bytes]:
    """Yield a data set that is deflated inside its file (PS3.5 A.5)."""
    engine = Inflater()
    try:
        yield from allowance.counted(inflated(engine, source.rest()))
    except Corrupt as corrupt:
        raise BadDataSet("not readable") from corrupt
    if not engine.eof:
        raise BadDataSet("cut short")
