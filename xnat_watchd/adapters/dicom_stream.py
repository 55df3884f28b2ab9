"""Walking a DICOM file as it streams by, from its first byte to its pixels or its end, keeping a few short values.

DICOM PS3.10 section 7 (the file) and PS3.5 section 7 (elements, VRs, sequences). Nothing is trusted: lengths lead
forwards only, values are cut, depth is bounded, and a data set that ends before its elements do is damaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from struct import Struct
from typing import NamedTuple

from xnat_watchd.adapters.byte_source import Source
from xnat_watchd.adapters.inflating import Corrupt, Inflater, inflated
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.limits import Limits

MEDIA_SOP_CLASS, TRANSFER_SYNTAX = 0x00020002, 0x00020010
CHARSET, SOP_CLASS, SOP_INSTANCE = 0x00080005, 0x00080016, 0x00080018
STUDY_DATE, STUDY_TIME, MODALITY = 0x00080020, 0x00080030, 0x00080060
PATIENT_NAME, PATIENT_ID, BIRTH_DATE, SEX, AGE = 0x00100010, 0x00100020, 0x00100030, 0x00100040, 0x00101010
STUDY, SERIES, SERIES_NUMBER = 0x0020000D, 0x0020000E, 0x00200011
LONGEST = 1024  #: bytes of a value that are kept; legal ones are shorter

_WANTED = frozenset(
    {MEDIA_SOP_CLASS, TRANSFER_SYNTAX, CHARSET, SOP_CLASS, SOP_INSTANCE, STUDY_DATE, STUDY_TIME, MODALITY}
    | {PATIENT_NAME, PATIENT_ID, BIRTH_DATE, SEX, AGE, STUDY, SERIES, SERIES_NUMBER}
)
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})  # of floats, of doubles, and the usual ones
_DELIMITERS, _SEQUENCE_END = 0xFFFE, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_DEEPEST = 100  #: sequences in sequences; structured reports come to about 20, and other readers recurse
_SHORT_FORM = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_HEAD, _PREAMBLE = 8, 132

_IMPLICIT = frozenset({"1.2.840.10008.1.2", "1.2.840.113619.5.2"})  # the second is GE's own, its pixels big endian
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
_STUDYLESS = frozenset(  # SOP classes that belong to no study (PS3.4 B.5 and GG.3)
    {
        "1.2.840.10008.1.3.10",  # DICOMDIR
        "1.2.840.10008.5.1.4.38.1",  # hanging protocol
        "1.2.840.10008.5.1.4.39.1",  # colour palette
        "1.2.840.10008.5.1.4.43.1",  # implant templates
        "1.2.840.10008.5.1.4.44.1",
        "1.2.840.10008.5.1.4.45.1",
    }
)
_FIRST_TAGS = frozenset(  # with which a data set begins that lacks its preamble, of group 8 or of the meta header
    {bytes((8, 0, number, 0)) for number in (0x00, 0x01, 0x05, 0x08, 0x12, 0x16, 0x18)} | {b"\2\0\0\0", b"\2\0\1\0"}
)


class Kind(Enum):
    """What a file is to us."""

    INSTANCE = "instance"
    CLUTTER = "clutter"
    ZIP = "zip"  #: clutter, too, but perhaps what was meant


@dataclass(slots=True)
class Header:
    """What the walk found. `problem` says in a few words why it is damaged; values before the damage are kept."""

    kind: Kind = Kind.INSTANCE
    values: dict[int, bytes] = field(default_factory=dict)
    problem: str = ""

    def uid(self, tag: int) -> str:
        """Give a UID without its padding; what is no ASCII becomes what no UID holds."""
        return self.values.get(tag, b"").decode("ascii", "replace").strip("\0 ")


class BadDataSet(Exception):
    """The data set cannot be walked to its end."""


class Syntax(NamedTuple):
    """How elements are written; `order` as `struct` says it."""

    explicit: bool
    order: str


class Element(NamedTuple):
    """The head of an element. `inner` is how items are written that follow an undefined length."""

    tag: int
    length: int
    inner: Syntax


_EXPLICIT_LITTLE, _IMPLICIT_LITTLE = Syntax(explicit=True, order="<"), Syntax(explicit=False, order="<")
_TAG_AND_LENGTH = {order: Struct(order + "HHL") for order in "<>"}
_SHORT = {order: Struct(order + "H") for order in "<>"}
_LONG = {order: Struct(order + "L") for order in "<>"}


def walk_file(source: Source, limits: Limits) -> Header:
    """Walk one file, which need not be DICOM. Raises `Unusable` when a deflated data set is a bomb."""
    header = Header()
    head = source.peek(_PREAMBLE)
    if head[128:] == b"DICM":
        source.skip(_PREAMBLE)
    elif _is_naked(head):
        header.problem = "no DICOM file header"
    else:
        header.kind = Kind.ZIP if head.startswith(b"PK\3\4") else Kind.CLUTTER
        return header
    try:
        _walk(source, header, limits)
    except BadDataSet as bad:
        header.problem = header.problem or str(bad)
    if {header.uid(MEDIA_SOP_CLASS), header.uid(SOP_CLASS)} & _STUDYLESS:
        header.kind = Kind.CLUTTER
    return header


def _is_naked(head: bytes) -> bool:
    """Say whether a data set begins here without preamble and meta header: XNAT cannot read such a file (F76)."""
    return head[:4] in _FIRST_TAGS and (head[4:6] in _SHORT_FORM or int.from_bytes(head[4:8], "little") < LONGEST)


def _walk(source: Source, header: Header, limits: Limits) -> None:
    while source.peek(2) == b"\x02\0":
        _take(source, _element(source, source.read(_HEAD), _EXPLICIT_LITTLE), header.values)
    uid = header.uid(TRANSFER_SYNTAX)
    if uid:
        syntax = Syntax(explicit=uid not in _IMPLICIT, order=">" if uid == _BIG_ENDIAN else "<")
    elif header.problem:
        syntax = Syntax(explicit=source.peek(6)[4:] in _SHORT_FORM, order="<")
    else:
        raise BadDataSet("no transfer syntax" if source.peek(1) else "cut short")
    body = Source(_inflated(source, limits)) if uid in _DEFLATED else source
    _walk_data_set(body, syntax, header.values)


def _walk_data_set(source: Source, syntax: Syntax, values: dict[int, bytes]) -> None:
    """Walk to the end of the pixels, or of the data set where it has none; what follows the pixels is not judged."""
    outer: list[tuple[int, Syntax]] = []  # the sequences around us whose length is not told
    while head := source.read(_HEAD):
        if not outer and not head.strip(b"\0"):
            _expect_padding(source)
            return
        tag, length, inner = _element(source, head, syntax)
        if length == _UNDEFINED:
            _enter(outer, tag, syntax)
            syntax = inner
            continue
        if tag == _SEQUENCE_END:
            tag, syntax = _leave(outer)
        elif outer:
            _skip(source, length)
        else:
            _take(source, Element(tag, length, inner), values)
        if tag in _PIXELS and not outer:
            return
    if outer:
        raise BadDataSet("cut short")


def _enter(outer: list[tuple[int, Syntax]], tag: int, syntax: Syntax) -> None:
    if len(outer) == _DEEPEST:
        raise BadDataSet("nested too deeply")
    outer.append((tag, syntax))


def _leave(outer: list[tuple[int, Syntax]]) -> tuple[int, Syntax]:
    if not outer:
        raise BadDataSet("not readable")
    return outer.pop()


def _element(source: Source, head: bytes, syntax: Syntax) -> Element:
    if len(head) < _HEAD:
        raise BadDataSet("cut short")
    explicit, order = syntax
    group, number, length = _TAG_AND_LENGTH[order].unpack(head)
    tag = group << 16 | number
    if group == _DELIMITERS:  # an item of undefined length ends by a delimiter of its own, so its elements just follow
        return Element(tag, 0 if length == _UNDEFINED else length, syntax)
    if not explicit:
        return Element(tag, length, syntax)
    vr = head[4:6]
    if vr in _SHORT_FORM:
        return Element(tag, _SHORT[order].unpack_from(head, 6)[0], syntax)
    if not (vr.isalpha() and vr.isupper()):  # some writers slip an implicit element in
        return Element(tag, length, syntax)
    more = source.read(4)  # every other VR, those to come too, has the long form (PS3.5 7.1.2)
    if len(more) < _LONG[order].size:
        raise BadDataSet("cut short")
    inner = _IMPLICIT_LITTLE if vr == b"UN" else syntax  # PS3.5 6.2.2 note 2
    return Element(tag, _LONG[order].unpack(more)[0], inner)


def _take(source: Source, element: Element, values: dict[int, bytes]) -> None:
    length = element.length
    if element.tag in _WANTED:
        kept = values[element.tag] = source.read(min(length, LONGEST))
        length -= len(kept)
    _skip(source, length)


def _skip(source: Source, length: int) -> None:
    if not source.skip(length):
        raise BadDataSet("cut short")


def _expect_padding(source: Source) -> None:
    """See that nothing but zeros follows, with which some writers fill a file up."""
    for piece in source.rest():
        if piece.count(0) < len(piece):
            raise BadDataSet("not readable")


def _inflated(source: Source, limits: Limits) -> Iterator[bytes]:
    """Inflate a data set that is deflated inside its file (PS3.5 A.5)."""
    engine, total, taken = Inflater(), 0, 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for chunk in source.rest():
            taken += len(chunk)
            yield chunk

    try:
        for piece in inflated(engine, counted()):
            total += len(piece)
            if limits.too_dense(taken, total):
                raise Unusable("an image in the ZIP unpacks to far more than an image would")
            yield piece
    except Corrupt as corrupt:
        raise BadDataSet("not readable") from corrupt
    if not engine.eof:
        raise BadDataSet("cut short")
