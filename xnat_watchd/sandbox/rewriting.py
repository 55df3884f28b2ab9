"""Rewriting files as a site's scripts do: other UIDs, other names (F18, F147, F174). It is off by default."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO

from .headers import Element, elements

UIDS = frozenset({0x00020003, 0x00080018, 0x0020000D, 0x0020000E})
PATIENT_NAME, PATIENT_ID, STUDY_DESCRIPTION = 0x00100010, 0x00100020, 0x00081030
SHORTEST_UID = 7


def other_uid(uid: str) -> str:
    """Return the UID that replaces a UID: always the same one, of the same length (DICOM PS3.5 9)."""
    if len(uid) < SHORTEST_UID:
        return uid
    digits = str(int(hashlib.sha256(uid.encode()).hexdigest(), 16))
    return f"2.25.{digits}"[: len(uid)]


def remap(path: Path) -> None:
    """Replace the UIDs of study, series and instance in a file."""
    found = {one.tag: one.value for one in elements(path) if one.tag in UIDS and one.value}
    texts = {tag: value.decode("ascii", "replace") for tag, value in found.items()}
    rewrite(path, {tag: other_uid(text.rstrip("\0 ")).ljust(len(text), "\0") for tag, text in texts.items()})


def anonymise(path: Path, subject: str, session: str) -> None:
    """Replace name and ID by the labels and delete the description, as XNAT's standard script does (F18)."""
    rewrite(path, {PATIENT_NAME: subject, PATIENT_ID: session, STUDY_DESCRIPTION: ""})


def rewrite(path: Path, values: Mapping[int, str]) -> None:
    """Write other values into existing elements; a deflated file stays as it is."""
    changes = [one for one in elements(path) if one.tag in values and one.value is not None and one.start >= 0]
    beside = path.with_name(f"{path.name}.new")
    with path.open("rb") as source, beside.open("wb") as target:
        for change in changes:
            _copy(source, target, change.start - source.tell())
            target.write(_rewritten_element(source, change, values[change.tag]))
            source.seek(change.start + change.size)
        copyfileobj(source, target)
    beside.replace(path)


def _copy(source: BinaryIO, target: BinaryIO, count: int) -> None:
    while count > 0 and (piece := source.read(min(count, 1024 * 1024))):
        target.write(piece)
        count -= len(piece)


def _rewritten_element(source: BinaryIO, element: Element, value: str) -> bytes:
    """Return the bytes of an element with another value: the same tag and VR, the length in the same format."""
    raw = value.encode("iso-8859-1", "replace")
    raw += b" " * (len(raw) % 2)
    width = 2 if element.vr and element.size - len(element.value or b"") == 8 else 4  # noqa: PLR2004 - PS3.5 7.1.2
    head = source.read(element.size - len(element.value or b"") - width)
    return head + struct.pack("<H" if width == 2 else "<I", len(raw)) + raw  # noqa: PLR2004 - as above
