"""The practice exports: always the same, quickly made, and full of canaries."""

from __future__ import annotations

import time
import warnings
import zipfile
from io import BytesIO
from itertools import chain
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from xnat_watchd.sandbox.samples import (
    BIG_ENDIAN,
    CANARIES,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    PATIENTS,
    XANTHIPPI,
    clutter,
    damage,
    dicomdir,
    study,
    uid,
    write_samples,
    write_zip,
)


def test_the_same_seed_gives_the_same_study() -> None:
    assert study(1) == study(1)
    assert study(1) != study(2)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_a_study_is_what_was_asked_for(syntax: str) -> None:
    members = study(
        7,
        patient=XANTHIPPI,
        modalities=("PT", "CT"),
        images=2,
        date="20240101",
        time="0915",
        pixels=(4, 6),
        syntax=syntax,
    )

    data_sets = [dcmread(BytesIO(content)) for _, content in members]

    assert [(str(d.StudyInstanceUID), str(d.SeriesInstanceUID), str(d.SOPInstanceUID)) for d in data_sets] == [
        (uid(7), uid(7, series), uid(7, series, image)) for series in (1, 2) for image in (1, 2)
    ]
    assert [(d.Modality, int(d.SeriesNumber)) for d in data_sets] == [("PT", 1), ("PT", 1), ("CT", 2), ("CT", 2)]
    assert {(d.StudyDate, d.StudyTime, d.Rows, d.Columns, len(d.PixelData)) for d in data_sets} == {
        ("20240101", "0915", 4, 6, 48)
    }
    assert {(str(d.PatientName), d.PatientID, d.PatientBirthDate, d.PatientAge, d.PatientSex) for d in data_sets} == {
        (XANTHIPPI.name, XANTHIPPI.id, XANTHIPPI.birth_date, XANTHIPPI.age, XANTHIPPI.sex)
    }


def test_every_file_of_a_study_is_sound_in_the_eyes_of_a_library() -> None:
    modalities = ("MR", "CT", "PT", "NM", "US", "CR", "SEG", "SR", "RTSTRUCT", "OT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _, content in study(1, modalities=modalities, images=1):
            data_set = dcmread(BytesIO(content))
            assert [element.value for element in data_set]


def test_uids_are_uids() -> None:
    assert all(len(one) <= 64 and one.replace(".", "").isdigit() for one in (uid(0), uid(10**9, 99, 99_999)))
    assert len({uid(a, *rest) for a in range(5) for rest in ((), (1,), (1, 1), (11,), (1, 11))}) == 25


def test_all_people_are_different_in_everything_that_tells_them_apart() -> None:
    assert len(set(CANARIES)) == len(CANARIES) >= 5 * len(PATIENTS)
    assert not [one for one in CANARIES if any(one in other for other in CANARIES if other != one)]


def test_every_file_carries_the_canaries_of_its_patient() -> None:
    for patient in PATIENTS:
        ((_, content),) = study(1, patient=patient, images=1)
        data_set = dcmread(BytesIO(content))
        shown = f"{data_set.PatientName} {data_set.PatientID} {data_set.PatientBirthDate}"
        assert all(one in shown for one in patient.canaries if "-" not in one or one == patient.id)


def test_the_samples_of_the_demo_are_what_their_names_promise(tmp_path: Path) -> None:
    paths = write_samples(tmp_path)

    assert sorted(tmp_path.iterdir()) == sorted(paths)
    studies = {path.name: {str(one.StudyInstanceUID) for one in read(path)} for path in paths[:5]}
    assert [len(found) for found in studies.values()] == [1, 1, 1, 2, 1]
    assert len(set(chain(*studies.values()))) == 6
    assert {one.Modality for path in paths[:5] for one in read(path)} == {"MR", "CT", "SEG", "PT", "US"}
    with zipfile.ZipFile(paths[4]) as archive:
        assert "DICOMDIR" in archive.namelist()
        assert not any(name.endswith(".dcm") for name in archive.namelist())
    with zipfile.ZipFile(paths[5]) as archive:
        assert archive.testzip() is not None
    assert paths[4].suffix == ".ZIP"


def read(path: Path) -> list[Dataset]:
    with zipfile.ZipFile(path) as archive:
        contents = [archive.read(name) for name in archive.namelist()]
    found = [dcmread(BytesIO(content)) for content in contents if content[128:132] == b"DICM"]
    return [one for one in found if "StudyInstanceUID" in one]


def test_hundreds_of_instances_are_made_in_a_second() -> None:
    study(1, images=1)
    begun = time.thread_time()
    study(2, images=200)

    assert time.thread_time() - begun < 1


def test_a_zip_is_the_same_each_time_and_damage_is_one_bit(tmp_path: Path) -> None:
    members = clutter() + study(1) + [("DICOMDIR2", dicomdir())]

    first = write_zip(tmp_path / "a.zip", members).read_bytes()
    second = damage(write_zip(tmp_path / "b.zip", members)).read_bytes()

    assert write_zip(tmp_path / "c.zip", members).read_bytes() == first
    assert sum((a ^ b).bit_count() for a, b in zip(first, second, strict=True)) == 1
