"""Read dates, times and modalities of DICOM headers. None of them is trusted to be valid."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date

_DATE = re.compile(r"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})")
_TIME = re.compile(r"([0-9]{2})(?:(:?)([0-9]{2})(?:\2([0-9]{2})(?:\.[0-9]*)?)?)?")
_CODE = re.compile(r"[A-Z0-9][A-Z0-9_ ]{0,15}")


def real_date(raw: str | None) -> date | None:
    """Read a DICOM date (VR DA, and its old form `YYYY.MM.DD`, PS3.5 6.2); None if there is no such day."""
    found = _DATE.fullmatch((raw or "").strip(" \0"))
    if found is None:
        return None
    try:
        return date(int(found[1]), int(found[3]), int(found[4]))
    except ValueError:
        return None


def study_date(raw: str | None) -> str | None:
    """Return a StudyDate as YYYYMMDD, or None if it is missing or not a date."""
    day = real_date(raw)
    return day.isoformat().replace("-", "") if day else None


def study_time(raw: str | None) -> str | None:
    """Return a StudyTime as HHMMSS, or None if it is missing or not a time.

    VR TM (PS3.5 6.2): minutes and seconds may be left out from the right, a fraction is cut, second 60 is a
    leap second. The old form is `HH:MM:SS`.
    """
    found = _TIME.fullmatch((raw or "").strip(" \0"))
    if found is None:
        return None
    hours, minutes, seconds = found[1], found[3] or "00", found[4] or "00"
    return hours + minutes + seconds if hours < "24" and minutes < "60" and seconds <= "60" else None


_LEADING = (
    # The tracer is what such a study was made for; CT or MR beside it is anatomy and attenuation.
    *("PT", "NM"),
    *("MR", "CT"),
    # X-ray, from the most to the least elaborate; what is done inside a vessel is done during angiography.
    *("XA", "RF", "IVUS", "IVOCT", "MG", "DX", "CR", "PX", "IO", "RG", "BMD"),
    *("US", "BDUS", "PA"),
    # Eyes: images before maps of them.
    *("OP", "OPT", "OCT", "OPTBSV", "OPTENF", "OPM"),
    # Visible light: microscopes, endoscopes, cameras; surfaces and heat.
    *("SM", "GM", "CFM", "ES", "DMS", "XC", "OSS", "LS", "TG", "DG", "BI"),
    # Retired codes of the kinds above (PS3.3 C.7.3.1.1.1), which old archives still hold.
    *("ST", "DD", "DF", "DS", "CF", "VF", "CD", "EC", "AS", "CP", "CS", "DM", "FA", "FS", "LP", "MA", "MS"),
    # Recordings and measurements without an image.
    *("HD", "ECG", "EPS", "EEG", "EMG", "EOG", "RESP", "POS"),
    *("OPV", "OAM", "AR", "KER", "LEN", "SRF", "VA", "IOL", "OPR"),
)
"""Codes that lead a study, the first one found wins (PS3.3 C.7.3.1.1.1)."""

_ALONE = (
    *("RTIMAGE", "RTDOSE", "RTSTRUCT", "RTPLAN", "RTRECORD", "RTRAD", "RTINTENT", "RTSEGANN", "RT"),
    *("SEG", "M3D", "TEXTUREMAP", "REG", "SMR", "FID", "RWV", "ANN", "ASMT"),
    *("SR", "DOC", "AU", "KO", "PR", "HC", "PLAN", "CTPROTOCOL", "XAPROTOCOL", "STAIN", "OT"),
)
"""Codes of what is drawn from images, planned on them or said about them: they lead when nothing else does."""

_KNOWN = len(_LEADING)
_RANKS: Mapping[str, int] = {
    **{code: rank for rank, code in enumerate(_LEADING)},
    **{code: _KNOWN + 1 + rank for rank, code in enumerate(_ALONE)},
}


def leading_modality(modalities: Iterable[str]) -> str | None:
    """Return the modality for a study's label, whatever the order of its scans; None if no code is well formed.

    A code of `_LEADING` goes before one that the standard does not list, and that goes before one of `_ALONE`.
    """
    codes = {code.strip(" \0").upper() for code in modalities}
    known = [(_RANKS.get(code, _KNOWN), code) for code in codes if _CODE.fullmatch(code)]
    return min(known)[1] if known else None
