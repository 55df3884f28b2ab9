"""Walking a DICOM file as a stream, from its first byte to its pixels or its end, and keeping a few short values.

DICOM PS3.10 section 7 (the file) and PS3.5 section 7 (elements, VRs, sequences). Nothing is trusted: lengths only lead
forwards, values are cut, depth is bounded, and a data set that ends before its elements do is damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from xnat_watchd.adapters.dicom.byte_source import Source
from xnat_watchd.adapters.dicom.inflating import Allowance, Corrupt, Inflater, inflated
from xnat_watchd.core.delivery import PATIENT

MEDIA_SOP_CLASS, TRANSFER_SYNTAX = 0x00020002, 0x00020010
CHARSET, SOP_CLASS, SOP_INSTANCE = 0x00080005, 0x00080016, 0x00080018
STUDY_DATE, STUDY_TIME, MODALITY = 0x00080020, 0x00080030, 0x00080060
STUDY, SERIES, SERIES_NUMBER = 0x0020000D, 0x0020000E, 0x00200011
FRAMES = 0x00280008
LONGEST = 1024  #: bytes of a value that are kept; legal ones are shorter

_WANTED = frozenset(
    {MEDIA_SOP_CLASS, TRANSFER_SYNTAX, CHARSET, SOP_CLASS, SOP_INSTANCE, STUDY_DATE, STUDY_TIME, MODALITY}
    | {STUDY, SERIES, SERIES_NUMBER, FRAMES}
    | {attribute.tag for attribute in PATIENT}
)
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})  # of floats, of doubles, and the usual ones
_DELIMITERS, _ITEM, _SEQUENCE_END = 0xFFFE, 0xFFFEE000, 0xFFFEE0DD
_SEQUENCE_END_BYTES = b"\xfe\xff\xdd\xe0\0\0\0\0"
_BLANKS = b"\0\r\n\x1a "  #: bytes that pad a file, or that a transfer in text mode adds to it
UNDEFINED = 0xFFFFFFFF
_DEEPEST = 100  #: nested sequences; structured reports reach about 20, and other readers recurse
_SHORT_FORM = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_SHORTEST = 8  #: bytes of the shortest element, and of every element head except the long form
REACH = 12 + LONGEST  #: bytes from the first byte of a head to the last byte of a value that is kept
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


Element = tuple[int, int, int]
"""Tag, length of the value, and where in the window the value begins."""


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


class Syntax(NamedTuple):
    """How elements are written: `read` returns the element whose head begins at a position of a window."""

    read: Callable[[bytes, int], Element]
    explicit: bool


class BadDataSet(Exception):
    """The data set cannot be walked to its end."""


def _implicit(order: str) -> Syntax:
    head = struct.Struct(order + "HHL").unpack_from

    def read(window: bytes, at: int) -> Element:
        group, number, length = head(window, at)
        if group == _DELIMITERS and length == UNDEFINED:
            length = 0  # an item of undefined length ends with its own delimiter, and its elements simply follow
        return group << 16 | number, length, at + 8

    return Syntax(read, explicit=False)


def _explicit(order: str) -> Syntax:
    head, long_form = struct.Struct(order + "HH2sH").unpack_from, struct.Struct(order + "L").unpack_from
    without_vr = _implicit(order).read

    def read(window: bytes, at: int) -> Element:
        group, number, vr, length = head(window, at)
        if group == _DELIMITERS:
            return without_vr(window, at)
        if vr in _SHORT_FORM:
            return group << 16 | number, length, at + 8
        if vr.isalpha() and vr.isupper():  # every other VR, future ones too, has the long form (PS3.5 7.1.2)
            return group << 16 | number, long_form(window, at + 8)[0], at + 12
        return without_vr(window, at)  # some writers mix in an implicit element

    return Syntax(read, explicit=True)


EXPLICIT_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE = _explicit("<"), _explicit(">"), _implicit("<")


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
    return head[:4] in _FIRST_TAGS and (head[4:6] in _SHORT_FORM or int.from_bytes(head[4:8], "little") < LONGEST)


def _walk(source: Source, header: Header, allowance: Allowance) -> None:
    walk_meta(source, header.values)
    uid = header.uid(TRANSFER_SYNTAX)
    if uid:
        syntax = IMPLICIT_LITTLE if uid in IMPLICIT else EXPLICIT_BIG if uid == _BIG_ENDIAN else EXPLICIT_LITTLE
    elif header.problem:
        syntax = EXPLICIT_LITTLE if source.peek(6)[4:] in _SHORT_FORM else IMPLICIT_LITTLE
    else:
        raise BadDataSet("no transfer syntax" if source.peek(1) else "cut short")
    body = Source(_inflated(source, allowance)) if uid in _DEFLATED else source
    actual = _as_written(body.peek(_SHORTEST), syntax)
    if actual is not syntax:
        said, found = ("explicit", "implicit") if syntax.explicit else ("implicit", "explicit")
        header.problem = header.problem or f"its transfer syntax says {said} and its data is {found}"
    header.filled = _walk_data_set(body, actual, header.values)
    if body is not source:
        body.drain()  # a stream may be damaged after the pixels


def _as_written(head: bytes, syntax: Syntax) -> Syntax:
    """Return how a data set with these first bytes is written. XNAT trusts the transfer syntax, right or wrong."""
    if syntax is EXPLICIT_BIG or head[:2] != b"\x08\0" or len(head) < _SHORTEST:
        return syntax
    has_vr = head[4:6] in _SHORT_FORM
    if syntax.explicit and not has_vr and int.from_bytes(head[4:8], "little") < LONGEST:
        return IMPLICIT_LITTLE
    return EXPLICIT_LITTLE if has_vr and not syntax.explicit else syntax


def walk_meta(source: Source, values: dict[int, bytes]) -> None:
    """Walk the meta header, whose elements are always explicit little endian (PS3.10 7.1)."""
    while source.peek(2) == b"\2\0":
        tag, length, start = EXPLICIT_LITTLE.read(source.peek(12), 0)
        source.skip(start)
        value = source.peek(min(length, LONGEST)) if tag in _WANTED else b""
        if not source.skip(length):
            raise EOFError
        if value:
            values[tag] = value


def _walk_data_set(source: Source, syntax: Syntax, values: dict[int, bytes]) -> bool:  # noqa: C901 - one loop is fast
    """Walk to the end of the pixels, or of the data set if it has none. What follows the pixels is not checked.

    Return whether there are blanks instead of pixels.
    """
    outer: list[tuple[int, Syntax]] = []  # the enclosing sequences of undefined length
    window, at = source.window()
    while True:
        if len(window) - at < REACH:
            window, at = source.window(at, REACH)
            if _at_end(window[at:], outer):
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
        elif window[head + 4] in _BLANKS and _is_blank(window[head : head + _SHORTEST]):
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
        window, at = source.window(at, _SHORTEST)
        left = window[at : at + _SHORTEST]
        if left == _SEQUENCE_END_BYTES:
            return
        if len(left) < _SHORTEST or _is_blank(left):
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
    if len(left) == _SHORTEST:
        _expect_blanks(source, at)
    elif not (_SEQUENCE_END_BYTES.startswith(left) or _is_blank(left)):
        raise EOFError


def _frames(values: dict[int, bytes]) -> int:
    digits = values.get(FRAMES, b"").strip(b"\0 ")
    return int(digits) if digits.isdigit() else 1


def _is_blank(part: bytes) -> bool:
    return not part.strip(_BLANKS)


def _at_end(left: bytes, outer: list[tuple[int, Syntax]]) -> bool:
    """Return whether the data set ends here, except for a few blanks. Raise `EOFError` if it is cut off."""
    if len(left) >= _SHORTEST:
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
