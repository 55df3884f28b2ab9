"""The DICOM header of one object, and the kinds of scan and session that XNAT derives from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .headers import Element, UnreadableError, decoded, elements

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
REPORTS = "1.2.840.10008.5.1.4.1.1.88."
NOT_PRIMARY = (
    SECONDARY_CAPTURE,
    "1.2.840.10008.5.1.4.1.1.9.",  # waveforms
    "1.2.840.10008.5.1.4.1.1.11.",  # presentation states
    "1.2.840.10008.5.1.4.1.1.66",  # raw data, registrations, segmentations
    "1.2.840.10008.5.1.4.1.1.67",  # real world values
    REPORTS,
    "1.2.840.10008.5.1.4.1.1.104.",  # encapsulated documents
    "1.2.840.10008.5.1.4.1.1.481.",  # radiotherapy
)
BY_CLASS_ONLY = frozenset({"CT", "MR", "PT"})
SESSION_KINDS = {
    "PT": "pet", "NM": "nm", "MR": "mr", "CT": "ct", "MG": "mg", "XA": "xa", "RF": "rf", "US": "us", "CR": "cr",
    "DX": "dx", "ES": "es", "GM": "gm", "OP": "op", "OPT": "opt", "XC": "xc", "IO": "io", "OT": "otherDicom",
    "SC": "otherDicom", "RTSTRUCT": "rt", "RTPLAN": "rt", "SEG": "otherDicom", "SR": "otherDicom",
}  # fmt: skip
LEADING = tuple(SESSION_KINDS)
ELEMENTS = {"otherDicom": "OtherDicom", "rt": "RT"}

DATE = re.compile(r"(\d{4})(\d\d)(\d\d)", re.ASCII)
TIME = re.compile(r"(\d\d)(\d\d)?(\d\d)?(?:\.\d*)?", re.ASCII)
TAGS = {
    0x00080005: "charset", 0x00080008: "image_type", 0x00080016: "sop_class", 0x00080018: "sop_uid",
    0x00080020: "study_date", 0x00080030: "study_time", 0x00080031: "series_time", 0x00080050: "accession",
    0x00080060: "modality", 0x00080070: "manufacturer", 0x00080080: "institution", 0x00081010: "station",
    0x00081030: "study_description", 0x0008103E: "series_description", 0x00081090: "model",
    0x00100010: "patient_name", 0x00100020: "patient_id", 0x00100030: "birth_date",
    0x001021B0: "history", 0x00104000: "patient_comments",
    0x0020000D: "study_uid", 0x0020000E: "series_uid", 0x00200011: "series_number", 0x00280008: "frames",
    0x00324000: "study_comments",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ObjectHeader:
    """The header values of one object that XNAT uses; texts are decoded, a missing value is empty."""

    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    modality: str = ""
    series_number: str = ""
    series_description: str = ""
    series_time: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    accession: str = ""
    patient_name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    patient_comments: str = ""
    study_comments: str = ""
    history: str = ""
    manufacturer: str = ""
    model: str = ""
    station: str = ""
    institution: str = ""
    image_type: str = ""
    frames: str = ""
    charset: str = ""

    @property
    def is_primary(self) -> bool:
        """Whether it is an image of its modality; captures, reports and others go into `secondary` (F64)."""
        return not self.sop_class.startswith(NOT_PRIMARY)

    @property
    def resource(self) -> str:
        """The resource of the scan to which the file belongs."""
        return "DICOM" if self.is_primary else "secondary"

    @property
    def scan_kind(self) -> str:
        """The XNAT type of the scan; an object that is not an image is `otherDicomScanData` (F64)."""
        if self.sop_class.startswith(SECONDARY_CAPTURE):
            return "xnat:scScanData"
        kind = SESSION_KINDS.get(self.modality, "otherDicom") if self.is_primary else "otherDicom"
        return f"xnat:{kind}ScanData"

    @property
    def leads(self) -> str:
        """The modality of the session that this object can form, empty where it can form none.

        XNAT recognises CT, MR and PET sessions by the SOP class only, and the others by the modality too. So a
        Secondary Capture with modality CT forms no session (F69), but one with modality NM does.
        """
        if self.sop_class.startswith(SECONDARY_CAPTURE) and self.modality in BY_CLASS_ONLY:
            return ""
        return self.modality if self.modality in SESSION_KINDS else ""

    @property
    def date(self) -> str:
        """The study date as XNAT writes it, empty where the header has no valid date."""
        found = DATE.fullmatch(self.study_date)
        return "-".join(found.groups()) if found else ""

    @property
    def birth_day(self) -> str:
        """The birth date as XNAT writes it, empty where the header has no valid date."""
        found = DATE.fullmatch(self.birth_date)
        return "-".join(found.groups()) if found else ""

    @property
    def time(self) -> str:
        """The study time as XNAT writes it, without a fraction of a second."""
        return clock_time(self.study_time)

    @property
    def clock(self) -> str:
        """The series time as XNAT writes it, without a fraction of a second."""
        return clock_time(self.series_time)

    @property
    def image_count(self) -> int:
        """The number of images in this object: its frames, at least one (F53)."""
        return int(self.frames) if self.frames.isascii() and self.frames.isdigit() else 1


def clock_time(value: str) -> str:
    """Return a DICOM time as `hh:mm:ss`, empty where the value is no time."""
    found = TIME.fullmatch(value)
    return ":".join(part or "00" for part in found.groups()) if found else ""


def read_header(path: Path) -> ObjectHeader:
    """Return the header of a file. Raise UnreadableError where it is not DICOM or lacks one of its UIDs."""
    found: dict[str, bytes] = {}
    for element in elements(path):
        name = TAGS.get(element.tag)
        if name and element.value is not None:
            found[name] = element.value
    return header_of(found)


def header_of(found: dict[str, bytes]) -> ObjectHeader:
    """Return the header for raw values. Raise UnreadableError where a UID is missing."""
    charset = found.get("charset", b"").decode("ascii", "replace").strip("\0 ")
    values = {name: decoded(value, charset) for name, value in found.items()}
    for name in ("sop_class", "sop_uid", "study_uid", "series_uid"):
        if not values.get(name):
            raise UnreadableError(f"no {name}")
    values["patient_name"] = values.get("patient_name", "").rstrip("^ ")
    return ObjectHeader(**values)


def leading(headers: list[ObjectHeader]) -> str:
    """Return the modality of the session that these objects form, empty where they form none."""
    present = {header.leads for header in headers}
    return next((modality for modality in LEADING if modality in present), "")


def text_of(element: Element, charset: str) -> str:
    """Return a value as decoded text, as the header dump shows it."""
    return decoded(element.value or b"", charset)
