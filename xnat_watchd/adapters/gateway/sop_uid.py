"""The SOPInstanceUID at the beginning of a DICOM file that XNAT hands out."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag

from xnat_watchd.core.errors import Transient

BEGINNING = 1 << 16  #: bytes of a file that are enough: the UID is among its first attributes

_SOP_INSTANCE_UID = Tag("SOPInstanceUID")


def sop_uid(beginning: bytes) -> str:
    """Read it from the first bytes of a file, without the file's rest."""
    try:
        dataset = read_partial(BytesIO(beginning), stop_when=_is_beyond, specific_tags=[_SOP_INSTANCE_UID])
        found = str(dataset.get("SOPInstanceUID", "") or "")
    except (
        InvalidDicomError,  # no DICM prefix
        BytesLengthException,  # a value of an impossible length
        EOFError,  # cut within a length
        struct.error,  # cut within a number
        zlib.error,  # a deflated data set, cut
        ValueError,  # a value that cannot be read
        NotImplementedError,  # a representation that nobody knows
        AttributeError,  # a meta header without a transfer syntax
        KeyError,  # a UID that pydicom cannot look up
    ):
        found = ""
    if not found:
        raise Transient("a file in XNAT's archive cannot be read as DICOM")
    return found


def _is_beyond(tag: BaseTag, _: str | None, __: int) -> bool:
    return int(tag) > int(_SOP_INSTANCE_UID)
