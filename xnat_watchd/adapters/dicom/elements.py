"""How the elements of a DICOM data set are written (PS3.5 section 7.1), and reading or skipping them in a window."""

from __future__ import annotations

import struct
from collections.abc import Callable, Container
from itertools import product
from typing import Literal, NamedTuple

UNDEFINED = 0xFFFFFFFF
DELIMITERS, SEQUENCE_ENDS = 0xFFFE, 0xE0DD  #: the group of items and of what ends them; the number of a sequence's end
LONGEST = 1024  #: bytes of a value that are kept; legal ones are shorter
SHORTEST = 8  #: bytes of the shortest element, and of every element head except the long form
REACH = 12 + LONGEST  #: bytes from the first byte of a head to the last byte of a value that is kept
BLANKS = b"\0\r\n\x1a "  #: bytes that pad a file, or that a transfer in text mode adds to it
SHORT_FORM = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_FORM = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_BLANK_GROUPS = frozenset(low | high << 8 for low, high in product(BLANKS, repeat=2))

Element = tuple[int, int, int]
"""Tag, length of the value, and where in the window the value begins."""


Skip = Callable[[bytes, int, int, Container[int]], int]
"""Return the position of the first element that must be read, from a position of a window on.

It must be read if its tag is among the wanted ones, if it has no length or ends a sequence, if it is written in no
usual way, or if it begins beyond the last position. So the many elements that say nothing cost little.
"""


class Syntax(NamedTuple):
    """How elements are written: `read` returns the element whose head begins at a position of a window."""

    read: Callable[[bytes, int], Element]
    skip: Skip
    explicit: bool


def _implicit(order: Literal["<", ">"]) -> Syntax:
    head = struct.Struct(order + "HHL").unpack_from

    def read(window: bytes, at: int) -> Element:
        group, number, length = head(window, at)
        if group == DELIMITERS and length == UNDEFINED:
            length = 0  # an item of undefined length ends with its own delimiter, and its elements simply follow
        return group << 16 | number, length, at + 8

    def skip(window: bytes, at: int, last: int, wanted: Container[int]) -> int:
        while at <= last:
            group, number, length = head(window, at)
            if group == DELIMITERS:
                if number == SEQUENCE_ENDS:
                    return at
                length = 0 if length == UNDEFINED else length
            elif length == UNDEFINED or group in _BLANK_GROUPS or group << 16 | number in wanted:
                return at
            at += 8 + length
        return at

    return Syntax(read, skip, explicit=False)


def _explicit(order: Literal["<", ">"]) -> Syntax:
    head, long_length = struct.Struct(order + "HH2sH").unpack_from, struct.Struct(order + "L").unpack_from
    without_vr = _implicit(order).read

    def read(window: bytes, at: int) -> Element:
        group, number, vr, length = head(window, at)
        if group == DELIMITERS:
            return without_vr(window, at)
        if vr in SHORT_FORM:
            return group << 16 | number, length, at + 8
        if vr.isalpha() and vr.isupper():  # every other VR, future ones too, has the long form (PS3.5 7.1.2)
            return group << 16 | number, long_length(window, at + 8)[0], at + 12
        return without_vr(window, at)  # some writers mix in an implicit element

    return Syntax(read, _skip_explicit(order), explicit=True)


def _skip_explicit(order: Literal["<", ">"]) -> Skip:
    head, long_length = struct.Struct(order + "HH2sH").unpack_from, struct.Struct(order + "L").unpack_from

    def skip(window: bytes, at: int, last: int, wanted: Container[int]) -> int:
        while at <= last:
            group, number, vr, length = head(window, at)
            if group == DELIMITERS:
                if number == SEQUENCE_ENDS:
                    return at
                (length,) = long_length(window, at + 4)
                at += 8 if length == UNDEFINED else 8 + length
            elif group << 16 | number in wanted:
                return at
            elif vr in SHORT_FORM:
                at += 8 + length
            else:
                (length,) = long_length(window, at + 8)
                if length == UNDEFINED or vr not in _LONG_FORM:
                    return at
                at += 12 + length
        return at

    return skip


EXPLICIT_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE = _explicit("<"), _explicit(">"), _implicit("<")
