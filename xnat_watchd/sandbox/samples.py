"""Practice exports: ZIPs of small synthetic DICOM files, packed as scanners and media exports pack them.

Everything is derived from a seed: the same call returns the same UIDs and pixels. The people are invented. Their names,
IDs and birth dates (`CANARIES`) occur nowhere else, so a log that shows one of them has leaked it.
"""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import NAMESPACE_OID, uuid5

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Member = tuple[str, bytes]
"""Name and content of one member of a ZIP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """An invented patient, as a DICOM header describes one."""

    name: str
    id: str
    birth_date: str
    age: str
    sex: str
    charset: str = ""  #: SpecificCharacterSet, in which every text of the study is written

    @property
    def canaries(self) -> tuple[str, ...]:
        """What must never appear outside XNAT: the parts of the name, the ID, the birth date in two formats."""
        date = self.birth_date
        parts = self.name.replace("=", "^").strip("^").split("^")
        return (*parts, self.id, date, f"{date[:4]}-{date[4:6]}-{date[6:]}")


INGEBORG = Patient(
    name="Quastenflosser^Ingeborgine", id="KNR770431", birth_date="19331023", age="090Y", sex="F", charset="ISO_IR 100"
)
THADDAEUS = Patient(name="Zwickelbeyn^Thaddaeusz", id="KNR-88-1207", birth_date="19871207", age="036Y", sex="M")
AURELE = Patient(
    name="Wobbelstroem^Aurelioz", id="PX40213", birth_date="19640229", age="059Y", sex="M", charset="ISO_IR 192"
)
XANTHIPPI = Patient(
    name="Ξανθοπουλίδου^Ερασμία", id="ΞΛ5519Ω", birth_date="19991130", age="024Y", sex="F", charset="ISO_IR 192"
)
PIPPILOTTO = Patient(name="Drosselhuber^Pippilotto^^^", id="NEO30661", birth_date="20110203", age="030D", sex="O")
PATIENTS = (INGEBORG, THADDAEUS, AURELE, XANTHIPPI, PIPPILOTTO)
CANARIES: tuple[str, ...] = tuple(text for patient in PATIENTS for text in patient.canaries)
"""Every string that must not appear in a log, a report or a status. Search for each of them and ignore case."""

IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
_SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "NM": "1.2.840.10008.5.1.4.1.1.20",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "SR": "1.2.840.10008.5.1.4.1.1.88.22",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
_WITHOUT_PIXELS = frozenset({"SR", "RTSTRUCT"})
_PACKED_AT = (2024, 2, 29, 12, 0, 0)


def uid(seed: int, *place: int) -> str:
    """Return the UID of a study (`uid(7)`), of its series 2 (`uid(7, 2)`), or of its image 5 (`uid(7, 2, 5)`)."""
    return f"2.25.{uuid5(NAMESPACE_OID, f'{seed}/{place}').int}"


def study(  # noqa: PLR0913 - each is given by name and has its default
    seed: int,
    *,
    patient: Patient = INGEBORG,
    modalities: Sequence[str] = ("MR",),
    images: int = 3,
    date: str = "20240229",
    time: str = "101112.130000",
    pixels: tuple[int, int] = (16, 16),
    syntax: str = EXPLICIT,
    names: str = "ST{seed}/S{series:02d}I{image:04d}.dcm",
    change: Callable[[Dataset], None] | None = None,
) -> list[Member]:
    """Return the files of one study: one series for each of `modalities`, numbered from 1, each of `images` images.

    `pixels` is the number of rows and columns, at 16 bits. `names` may use `seed`, `series`, `image` and `modality`.
    `change` is called with every data set before it is written, for what has no parameter of its own.
    """
    members = []
    for series, modality in enumerate(modalities, 1):
        for image in range(1, images + 1):
            data_set = _instance(seed, series, image, modality, patient)
            data_set.StudyDate, data_set.StudyTime = date, time
            if modality not in _WITHOUT_PIXELS:
                _add_pixels(data_set, pixels, seed=f"{seed}/{series}/{image}")
            if change is not None:
                change(data_set)
            name = names.format(seed=seed, series=series, image=image, modality=modality)
            members.append((name, as_file(data_set, syntax)))
    return members


def clutter() -> list[Member]:
    """Return what media exports hold beside images: a DICOMDIR, a viewer, files of operating systems."""
    return [
        ("DICOMDIR", dicomdir()),
        ("VIEWER/viewer.exe", b"MZ" + bytes(4000)),
        ("AUTORUN.INF", b"[autorun]\r\nopen=VIEWER\\viewer.exe\r\n"),
        ("__MACOSX/._IM0001", bytes.fromhex("00051607") + bytes(200)),
        (".DS_Store", b"\0\0\0\1Bud1" + bytes(600)),
    ]


def dicomdir() -> bytes:
    """Return a DICOMDIR, which is a DICOM file but not an instance of a study."""
    from pydicom.dataset import Dataset  # noqa: PLC0415 - only who makes samples pays for pydicom

    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = _MEDIA_DIRECTORY, uid(0)
    data_set.FileSetID = "PRACTICE"
    data_set.DirectoryRecordSequence = []
    return as_file(data_set)


def as_file(data_set: Dataset, syntax: str = EXPLICIT) -> bytes:
    """Return the bytes of a DICOM file: preamble, meta header, data set."""
    from pydicom.dataset import FileMetaDataset  # noqa: PLC0415 - only who makes samples pays for pydicom
    from pydicom.filewriter import dcmwrite  # noqa: PLC0415 - as above
    from pydicom.uid import UID  # noqa: PLC0415 - as above

    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = UID(syntax)
    data_set.file_meta.MediaStorageSOPClassUID = data_set.get("SOPClassUID", _SECONDARY_CAPTURE)
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.get("SOPInstanceUID", uid(0))
    file = BytesIO()
    dcmwrite(file, data_set, enforce_file_format=True)
    return file.getvalue()


def write_zip(path: Path, members: Iterable[Member], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write members in their order to a ZIP, with the same bytes each time, and return `path`."""
    with zipfile.ZipFile(path, "w") as target:
        for name, content in members:
            info = zipfile.ZipInfo(name, _PACKED_AT)
            info.external_attr = 0o644 << 16
            target.writestr(info, content, method)
    return path


def write_samples(folder: Path) -> list[Path]:
    """Write the ZIPs of the demo: several patients and modalities, two studies in one ZIP, a CD, a damaged ZIP."""
    brain = study(1, images=20, modalities=("MR", "MR", "MR"), pixels=(64, 64))
    thorax = study(2, patient=THADDAEUS, modalities=("CT", "SEG"), images=12, date="20240305", pixels=(64, 64))
    whole_body = study(3, patient=AURELE, modalities=("PT", "CT"), images=15, time="083000", pixels=(48, 48))
    knee = study(4, patient=XANTHIPPI, date="20240311", images=8, time="0915", pixels=(64, 64))
    again = study(5, date="20240912", images=6, syntax=IMPLICIT, pixels=(64, 64))
    hip = study(6, patient=PIPPILOTTO, modalities=("US",), images=4, date="20110305", names="IMAGES/IM{image:04d}")
    wrist = study(7, patient=THADDAEUS, modalities=("CR",), images=5, date="20240402", pixels=(128, 128))
    return [
        write_zip(folder / "brain.zip", brain),
        write_zip(folder / "CT thorax with segmentation.zip", thorax),
        write_zip(folder / "petct_followup.zip", whole_body, zipfile.ZIP_STORED),
        write_zip(folder / "two_studies.zip", knee + again),
        write_zip(folder / "CD_EXPORT.ZIP", clutter() + hip),
        damage(write_zip(folder / "wrist_damaged.zip", wrist, zipfile.ZIP_STORED)),
    ]


def damage(path: Path) -> Path:
    """Flip one bit in the middle of a ZIP, in stored pixels, and return `path`."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


def _instance(seed: int, series: int, image: int, modality: str, patient: Patient) -> Dataset:
    from pydicom.dataset import Dataset  # noqa: PLC0415 - only who makes samples pays for pydicom

    data_set = Dataset()
    if patient.charset:
        data_set.SpecificCharacterSet = patient.charset
    data_set.SOPClassUID = _SOP_CLASSES.get(modality, _SECONDARY_CAPTURE)
    data_set.SOPInstanceUID = uid(seed, series, image)
    data_set.Modality = modality
    data_set.Manufacturer = "Practice scanner"
    data_set.StudyDescription = "Practice"
    data_set.SeriesDescription = f"{modality} series {series}"
    data_set.PatientName, data_set.PatientID = patient.name, patient.id
    data_set.PatientBirthDate, data_set.PatientSex, data_set.PatientAge = patient.birth_date, patient.sex, patient.age
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = uid(seed), uid(seed, series)
    data_set.StudyID = str(seed)
    data_set.SeriesNumber, data_set.InstanceNumber = str(series), str(image)
    return data_set


def _add_pixels(data_set: Dataset, pixels: tuple[int, int], seed: str) -> None:
    rows, columns = pixels
    noise = bytearray(2 * rows * columns)
    noise[::2] = random.Random(seed).randbytes(rows * columns)  # noqa: S311 - the same each time is the point
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, "MONOCHROME2"
    data_set.Rows, data_set.Columns = rows, columns
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = 16, 16, 15, 0
    data_set.PixelData = bytes(noise)
