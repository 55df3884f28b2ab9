"""The images that a DICOMDIR lists (PS3.3 annex F), read as a stream and without trust in its offsets."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from xnat_watchd.adapters.dicom.byte_source import Source
from xnat_watchd.adapters.dicom.data_set import IMPLICIT, PREAMBLE, STUDY, TRANSFER_SYNTAX, walk_meta
from xnat_watchd.adapters.dicom.elements import EXPLICIT_LITTLE, IMPLICIT_LITTLE, LONGEST, REACH, UNDEFINED, Syntax

_RECORDS, _IN_USE, _FILE, _SOP_INSTANCE = 0x00041220, 0x00041410, 0x00041500, 0x00041511
_ITEM, _DELIMITERS = 0xFFFEE000, 0xFFFE
_WANTED = frozenset({_IN_USE, _FILE, _SOP_INSTANCE, STUDY})


class ListedImage(NamedTuple):
    """One image that a DICOMDIR lists."""

    study_uid: str  #: from the last study record before it
    sop_uid: str
    file: bytes  #: its path by the DICOMDIR, with the parts joined by `/`


def listed_images(source: Source) -> Iterator[ListedImage]:
    """Yield the listed images, as far as the DICOMDIR can be read."""
    study, file, in_use = "", b"", True
    for tag, value in _elements(source):
        if tag == _ITEM:
            file, in_use = b"", True
        elif tag == _IN_USE:
            in_use = value[:2] != b"\0\0"
        elif tag == _FILE:
            file = value.strip(b"\0 ").replace(b"\\", b"/")
        elif tag == STUDY:
            study = _uid(value)
        elif tag == _SOP_INSTANCE and in_use:
            yield ListedImage(study, _uid(value), file)


def _elements(source: Source) -> Iterator[tuple[int, bytes]]:
    """Yield items and wanted elements, also those inside sequences: only the heads of sequences are skipped."""
    source.skip(PREAMBLE)
    values: dict[int, bytes] = {}
    try:
        walk_meta(source, values)
        syntax = IMPLICIT_LITTLE if _uid(values.get(TRANSFER_SYNTAX, b"")) in IMPLICIT else EXPLICIT_LITTLE
        yield from _flat(source, syntax)
    except (EOFError, struct.error):
        return


def _flat(source: Source, syntax: Syntax) -> Iterator[tuple[int, bytes]]:
    window, at = source.window()
    while True:
        if len(window) - at < REACH:
            window, at = source.window(at, REACH)
        tag, length, start = syntax.read(window, at)
        inside = tag >> 16 == _DELIMITERS or length == UNDEFINED or tag == _RECORDS
        if tag == _ITEM:
            yield tag, b""
        elif tag in _WANTED:
            yield tag, window[start : start + min(length, LONGEST)]
        at = start if inside or (syntax.explicit and window[at + 4 : at + 6] == b"SQ") else start + length


def _uid(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")
