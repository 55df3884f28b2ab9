"""Read the SOPInstanceUID from the beginning of a DICOM file that XNAT delivers."""

from __future__ import annotations

from xnat_watchd.adapters.dicom.byte_source import Source
from xnat_watchd.adapters.dicom.data_set import SOP_INSTANCE, walk_file
from xnat_watchd.adapters.dicom.inflating import Allowance, Exhausted
from xnat_watchd.core.errors import Transient
from xnat_watchd.core.limits import Limits

BEGINNING = 1 << 16  #: bytes of a file that are enough: the UID is among its first attributes


def sop_uid(beginning: bytes) -> str:
    """Return the UID from the first bytes of a file. An attribute after it shows that the UID is not cut off."""
    try:
        header = walk_file(Source(iter([beginning] if beginning else [])), Allowance(Limits(), len(beginning)))
    except Exhausted:  # it inflates beyond the limits
        raise _unreadable() from None
    found = header.uid(SOP_INSTANCE)
    if not found or max(header.values) == SOP_INSTANCE:
        raise _unreadable()
    return found


def _unreadable() -> Transient:
    return Transient("a file in XNAT's archive cannot be read as DICOM")
