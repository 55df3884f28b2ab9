"""What the header of one DICOM instance says, and whether that is enough for XNAT to place the instance."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xnat_watchd.adapters.dicom import data_set as dicom
from xnat_watchd.adapters.dicom.data_set import Header
from xnat_watchd.adapters.dicom.text import decoded
from xnat_watchd.core.delivery import Person

# PS3.5 9.1 allows 64 digits and dots. Film printers make longer UIDs, and programs that make UIDs from digests use
# letters. XNAT keeps them as texts of up to 255 characters, and stores files under names that contain them.
_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")
_LONGEST_UID = 128
_LONGEST_CODE = 64  #: characters that are kept of a series number and a modality (the standard allows 12 and 16)
_IDENTITY = (  # without these XNAT cannot place an instance (F76, F156)
    (dicom.SOP_CLASS, "SOP class"),
    (dicom.SOP_INSTANCE, "instance UID"),
    (dicom.SERIES, "series UID"),
    (dicom.STUDY, "study UID"),
)
WITHOUT_IMAGE = frozenset({
    # Modalities (PS3.3 C.7.3.1.1.1) whose objects carry no image that a scanner made. A server may leave out SR, KO
    # and PR (F64); it keeps RT and SEG beside images (F77), yet none of them is missed as an image is.
    "SR", "KO", "PR", "DOC", "PLAN", "ASMT", "ANN", "STAIN", "TEXTUREMAP", "M3D", "CFM",
    "SEG", "REG", "FID", "RWV", "RTSTRUCT", "RTPLAN", "RTRECORD", "RTDOSE", "RTSEGANN", "RTINTENT", "RAD3D",
    "AU", "ECG", "EEG", "EMG", "EOG", "EPS", "HD", "RESP", "POS", "SMR",
    "AR", "KER", "LEN", "OAM", "OPV", "SRF", "VA", "IOL",
})  # fmt: skip
_CLASSES_WITHOUT_IMAGE = (
    # Objects that come under the modality of the scanner that made them, by the start of their SOP class (PS3.4 B.5).
    "1.2.840.10008.5.1.4.1.1.9.",  # waveforms
    "1.2.840.10008.5.1.4.1.1.11.",  # presentation states
    "1.2.840.10008.5.1.4.1.1.66",  # raw data, registration, fiducials, segmentation
    "1.2.840.10008.5.1.4.1.1.67",  # real world values
    "1.2.840.10008.5.1.4.1.1.88.",  # structured reports
    "1.2.840.10008.5.1.4.1.1.104.",  # documents and models
    "1.2.840.10008.5.1.4.34.",  # RT work lists
    "1.3.12.2.1107.5.9.1",  # Siemens, "CSA non-image"
)


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """One instance as its header describes it. Texts are decoded, and empty if the header has no value."""

    sop_uid: str
    series_uid: str
    study_uid: str  #: empty when it is missing or invalid
    series_number: str
    modality: str
    image: bool
    person: Person
    date: str
    time: str
    problem: str  #: why it counts as damaged, in a few words; else empty


def facts_of(header: Header) -> InstanceFacts:
    """Return the facts of a walked header. None of its values is trusted to be valid."""
    charset = header.values.get(dicom.CHARSET, b"")

    def text(tag: int) -> str:
        return decoded(header.values.get(tag, b""), charset)

    study = header.uid(dicom.STUDY)
    modality = text(dicom.MODALITY).strip()
    image = modality not in WITHOUT_IMAGE and not header.uid(dicom.SOP_CLASS).startswith(_CLASSES_WITHOUT_IMAGE)
    pixels = "zeros instead of its pixels" if header.filled and image else ""
    return InstanceFacts(
        sop_uid=header.uid(dicom.SOP_INSTANCE),
        series_uid=header.uid(dicom.SERIES),
        study_uid=study if _UID.fullmatch(study) else "",
        series_number=text(dicom.SERIES_NUMBER).strip()[:_LONGEST_CODE],
        modality=modality[:_LONGEST_CODE],
        image=image,
        person=Person.read(lambda attribute: text(attribute.tag)),
        date=text(dicom.STUDY_DATE),
        time=text(dicom.STUDY_TIME),
        problem=header.problem or pixels or _missing(header),
    )


def _missing(header: Header) -> str:
    for tag, name in _IDENTITY:
        uid = header.uid(tag)
        if not _UID.fullmatch(uid):
            long = f"{name} of {len(uid)} characters" if len(uid) > _LONGEST_UID else f"invalid {name}"
            return long if uid else f"no {name}"
    return ""
