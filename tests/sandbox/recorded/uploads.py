"""The uploads of the recording, made again: phantoms of five objects each, two series of a CT or an MR."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from tests.sandbox.kit import CT, MR, SECONDARY_CAPTURE, Members, dicom, zipped

ROOT = "1.2.826.0.1.99"
DEVICE = {
    "Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturerModelName": "RHAPSODE", "StationName": "CT01_OC0",
    "InstitutionName": "JFK IMAGING CENTER", "StudyDate": "20140102", "StudyTime": "101112", "SeriesTime": "112749",
    "StudyDescription": "LOCALTEST",
}  # fmt: skip
TUBE = {
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "AcquisitionNumber": 2, "ScanOptions": "HELICAL MODE",
    "SliceThickness": "5.000000", "KVP": "120", "DataCollectionDiameter": "480.000000",
    "DistanceSourceToDetector": "1099.3100585938", "DistanceSourceToPatient": "630.000000",
    "GantryDetectorTilt": "0.000000", "TableHeight": "133.699997", "ExposureTime": "1601", "XRayTubeCurrent": "170",
    "Exposure": "170", "FilterType": "LARGE BOWTIE FIL", "FocalSpots": "0.700000", "ConvolutionKernel": "STANDARD",
    "PixelSpacing": ["0.661468", "0.661468"], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "Rows": 128,
    "Columns": 128, "RescaleIntercept": "-1024", "RescaleSlope": "1",
}  # fmt: skip


@cache
def upload(name: str) -> bytes:
    """Return the ZIP that the recording calls by this name."""
    if name in SPECIAL:
        content = SPECIAL[name]()
        return content if isinstance(content, bytes) else zipped(content)
    number = int(name.removeprefix("ct").removesuffix("_more"))
    return zipped(
        phantom(number, PatientName="SESS_CT1" if name == "ct1" else f"SESS_{number}", more=name.endswith("_more"))
    )


def study_uid(name: str) -> str:
    """Return the StudyInstanceUID of the CT of this name, or of a study of this kind."""
    return f"{ROOT}.{NUMBERS.get(name) or name.removeprefix('ct')}"


def phantom(number: int, *, of_mr: bool = False, more: bool = False, **values: Any) -> Members:
    """Return one study: three objects in series 1 and two in series 2, or two more in a series 3."""
    kind = "MR" if of_mr else "CT"
    given = {"PatientID": f"SUBJ{number}", "PatientName": f"SESS_{number}", **DEVICE, **({} if of_mr else TUBE)}
    return {
        f"{kind}_{series}_{one:03d}.dcm": dicom(
            one, study=f"{ROOT}.{number}", series=series, kind=MR if of_mr else CT,
            SeriesDescription=f"{kind} series {series}", **{**given, **values},
        )
        for series, count in (((3, 2),) if more else ((1, 3), (2, 2)))
        for one in range(1, count + 1)
    }  # fmt: skip


def _two(one: Members, other: Members) -> Members:
    return {
        f"{folder}/{name}": content for folder, study in (("a", one), ("b", other)) for name, content in study.items()
    }


def _big() -> Members:
    about: dict[str, Any] = {"PatientID": "SUBJBIG", "PatientName": "SESS_BIG", **DEVICE}
    return {f"C_{one:03d}.dcm": dicom(one, study=f"{ROOT}.300", kind=CT, **about) for one in range(1, 151)}


def _corrupt() -> bytes:
    whole = zipped(phantom(203, PatientID="SUBJC", PatientName="SESS_C"), zipfile.ZIP_STORED)
    return whole[: len(whole) * 62 // 100]


def _one(name: str, kind: str, modality: str, **values: Any) -> Members:
    """Return a study of one object, as the 1.6.4 of recordings 482 to 528 held it."""
    given = {"Modality": modality, "PatientID": name.upper(), "PatientName": name.upper(), **values}
    return {f"{name}.dcm": dicom(1, study=study_uid(name), kind=kind, **given)}


def _numbers() -> Members:
    """Return three images of one series, each with another SeriesNumber."""
    about: dict[str, Any] = {
        "PatientID": "NUM1", "PatientName": "Numbers^Test", "StudyDate": "20240229", "StudyTime": "101530",
        "SeriesDescription": None, "Manufacturer": "SIEMENS", "Rows": 8, "Columns": 8,
    }  # fmt: skip
    study = study_uid("numbers")
    return {f"{study}.1.{one}.dcm": dicom(one, study=study, kind=MR, SeriesNumber=one, **about) for one in (1, 2, 3)}


NUMBERS = {"us_one": 401, "nm_one": 402, "cr_one": 403, "numbers": 404, "mr_one": 405}
ULTRASOUND, COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.1"
SPECIAL: Mapping[str, Callable[[], Members | bytes]] = {
    "mr1": lambda: phantom(101, of_mr=True, PatientID="SUBJ1", PatientName="SESS_MR1"),
    "two_studies": lambda: _two(phantom(3, PatientName="SESS_3A"), phantom(4, of_mr=True, PatientName="SESS_4A")),
    "two_studies_same_patient": lambda: _two(
        phantom(33, of_mr=True, PatientID="SUBJ32", PatientName="SESS_32B"), phantom(32)
    ),
    "unas": lambda: phantom(200, PatientID="SUBJU", PatientName="SESS_U"),
    "routed": lambda: phantom(6, PatientComments="Project:P1 Subject:SUBJ6 Session:SESS_6"),
    "caret": lambda: phantom(201, PatientID="PAT 01/x", PatientName="Doe^John^Q"),
    "umlaut": lambda: phantom(
        202, PatientID="Müller 7", PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100"
    ),
    "big": _big,
    "corrupt": _corrupt,
    "garbage": lambda: b"x" * 3000,
    "empty": lambda: zipped({}),
    "zero": lambda: b"",
    "nodicom": lambda: {"readme.txt": b"no images here"},
    "mrlib": lambda: phantom(204, of_mr=True, PatientID="LIB1", PatientName="LIB_SESS2"),
    "ctlib": lambda: phantom(205, PatientID="LIB1", PatientName="LIB_CT"),
    "numbers": _numbers,
    "us_one": lambda: _one("us_one", ULTRASOUND, "US"),
    "nm_one": lambda: _one("nm_one", SECONDARY_CAPTURE, "NM", SeriesDescription=None),
    "cr_one": lambda: _one(
        "cr_one", COMPUTED_RADIOGRAPHY, "CR", PatientName="やまだ^たろう", SpecificCharacterSet="ISO_IR 192",
        PatientBirthDate="19600101", AccessionNumber="A1", StudyDate="20080504", StudyTime="171715",
        StudyDescription="STUDY", Manufacturer="MAKER", ManufacturerModelName="MODEL", StationName="STATION",
    ),
    "mr_one": lambda: _one("mr_one", MR, "MR"),
    "ct31_mixed": lambda: {**phantom(31), "notes.txt": b"no image"},
}  # fmt: skip
