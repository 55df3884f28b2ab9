"""Practice exports: small synthetic DICOM, packed as scanners and media export pack it.

All of it follows from a seed: the same call gives the same UIDs and pixels. The people are invented, and their names,
IDs and birth dates occur nowhere else (`CANARIES`), so that a log that shows one of them has leaked it.
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
    from pydicom.dataset import Dataset, FileMetaDataset

Member = tuple[str, bytes]
"""Name and content of one member of a ZIP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Somebody who does not exist, as a header shows him or her."""

    name: str
    id: str
    birth_date: str
    age: str
    sex: str
    charset: str = ""  #: SpecificCharacterSet, which every text of the study is then written in

    @property
    def canaries(self) -> tuple[str, ...]:
        """What nobody must read outside of XNAT: the parts of the name, the ID, the birth date in both forms."""
        date = self.birth_date
        parts = self.name.replace("=", "^").strip("^").split("^")
        return (*parts, self.id, date, f"{date[:4]}-{date[4:6]}-{date[6:]}")


INGEBORG = Patient(
    name="Quastenflosser^Ingeborgine", id="KNR770431", birth_date="19310417", age="092Y", sex="F", charset="ISO_IR 100"
)
THADDAEUS = Patient(name="Zwickelbeyn^Thaddaeusz", id="KNR-88-1207", birth_date="19871207", age="036Y", sex="M")
AURELE = Patient(
    name="Wobbelstrøm^Aurèle", id="PX 40213", birth_date="19640229", age="059Y", sex="M", charset="ISO_IR 192"
)
XANTHIPPI = Patient(
    name="Ξανθοπουλίδου^Ερασμία", id="ΓΡ5519X", birth_date="19991130", age="024Y", sex="F", charset="ISO_IR 192"
)
PIPPILOTTO = Patient(name="Drosselhuber^Pippilotto^^^", id="NEO30661", birth_date="20240109", age="030D", sex="O")
PATIENTS = (INGEBORG, THADDAEUS, AURELE, XANTHIPPI, PIPPILOTTO)
CANARIES: tuple[str, ...] = tuple(text for patient in PATIENTS for text in patient.canaries)
"""Every string that must not appear in a log, a report or a status; look for each of them, case ignored."""

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
    """Give the UID of a study (`uid(7)`), of its series 2 (`uid(7, 2)`) or of image 5 of that (`uid(7, 2, 5)`)."""
    return f"2.25.{uuid5(NAMESPACE_OID, f'{seed}/{place}').int}"


def study(
    seed: int,
    *,
    patient: Patient = INGEBORG,
    modalities: Sequence[str] = ("MR",),
    images: int = 3,
    date: str = "20240229",
    time: str = "101112.130000",
    pixels: tuple[int, int] = (16, 16),
    syntax: str = EXPLICIT,
    names: str = "S{series:02d}I{image:04d}.dcm",
    change: Callable[[Dataset], None] | None = None,
) -> list[Member]:
    """Give the files of one study: one series for each of `modalities`, numbered from 1, each of `images` images.

    `pixels` is rows and columns, of 16 bits. `names` may use `series`, `image` and `modality`. `change` is let at
    every data set before it is written, for what has no parameter of its own.
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
            name = names.format(series=series, image=image, modality=modality)
            members.append((name, as_file(data_set, syntax)))
    return members
