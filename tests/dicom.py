"""Small DICOM objects for tests, made in memory and always the same."""

from __future__ import annotations

import io
from functools import cache

ROOT = "1.2.826.0.1.3680043.10.1571"  #: a UID root of our own, for objects that are nobody's


@cache
def instance(
    study: int = 1,
    series: int = 1,
    number: int = 1,
    *,
    name: str = "Quokka^Zenobia",
    patient: str = "ZQ-7731",
    modality: str = "MR",
    date: str = "20240229",
    time: str = "101530.250000",
    birth: str = "19310417",
    sex: str = "F",
    age: str = "092Y",
    pixels: bytes = b"\x01" * 512,
    description: str = "",
    sop_class: str = "1.2.840.10008.5.1.4.1.1.4",
) -> bytes:
    """Return one DICOM file. Equal arguments return equal bytes."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_uid(study, series, number))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = sop_class, sop_uid(study, series, number)
    data.StudyDate, data.StudyTime = date, time
    data.Modality = modality
    data.PatientName, data.PatientID = name, patient
    data.PatientBirthDate, data.PatientSex, data.PatientAge = birth, sex, age
    data.StudyInstanceUID, data.SeriesInstanceUID = study_uid(study), series_uid(study, series)
    data.SeriesNumber, data.InstanceNumber = series, number
    if description:
        data.SeriesDescription = description
    if pixels:
        data.Rows, data.Columns = 16, 16
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.add_new(0x7FE00010, "OW", pixels)
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def nested(data: bytes, depth: int) -> bytes:
    """Return an object without pixels but with nested sequences: valid, but too deep for some readers."""
    opened = bytes.fromhex("400030a7") + b"SQ\0\0" + b"\xff" * 4 + bytes.fromhex("feff00e0") + b"\xff" * 4
    return data + opened * depth + bytes.fromhex("feff0de000000000feffdde000000000") * depth


def study_uid(study: int) -> str:
    return f"{ROOT}.{study}"


def series_uid(study: int, series: int) -> str:
    return f"{ROOT}.{study}.{series}"


def sop_uid(study: int, series: int, number: int) -> str:
    return f"{ROOT}.{study}.{series}.{number}"


#: What stands in these objects and nowhere else: it must never be told outside of XNAT, the ledger and `show`.
CANARIES = ("Quokka", "Zenobia", "ZQ-7731", "19310417", "1931-04-17")
