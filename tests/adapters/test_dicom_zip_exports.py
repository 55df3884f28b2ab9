"""The 16 real exports of the shared set: every study, series and person as their tables say."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.openings import open_zip, write_clean
from tests.shared import shared
from xnat_watchd.adapters.dicom.zip_file import is_whole
from xnat_watchd.core.delivery import Study
from xnat_watchd.core.limits import Limits

FOLDER = shared("public")

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the exports are not beside this repository"),
]


def table(name: str) -> list[dict[str, str]]:
    if not FOLDER.is_dir():
        return []
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


NAMES = sorted({row["file"] for row in table("manifest.csv")})
MAY_GO_AS_THEY_ARE = {"p03", "p05", "p07", "p08", "p10", "p15", "p16"}


def said(value: str) -> str:
    return "" if value in {"<absent>", "<empty>"} else value


@pytest.mark.parametrize("name", NAMES)
def test_studies_people_and_dates_are_those_of_the_manifest(name: str) -> None:
    contents = open_zip(FOLDER / name, Limits())
    rows = [row for row in table("manifest.csv") if row["file"] == name]

    assert is_whole(FOLDER / name)
    assert (contents.sha256, str(contents.size)) == (rows[0]["sha256"], rows[0]["zip_bytes"])
    assert contents.clutter == int(rows[0]["zip_non_dicom_files"]) + int(rows[0]["zip_dicomdir_objects"])
    assert sorted(facts(one) for one in contents.studies) == sorted(
        (
            row["StudyInstanceUID"],
            said(row["PatientName"]),
            said(row["PatientID"]),
            said(row["PatientBirthDate"]),
            said(row["PatientAge"]),
            said(row["PatientSex"]),
            said(row["StudyDate"]),
            said(row["StudyTime"]),
            row["Modalities"],
            int(row["n_unique_sop"]),
            "",
        )
        for row in rows
    )


def test_what_a_dicomdir_lists_and_an_export_lacks_is_told() -> None:
    absent = {
        name[:3]: [(one.count, one.members) for one in study.findings]
        for name in NAMES
        for study in open_zip(FOLDER / name, Limits()).studies
        if study.findings
    }

    assert absent == {"p04": [(1, ("DICOM/24100413/39280000/75739321",))]}  # so says pydicom


def facts(one: Study) -> tuple[Any, ...]:
    person = one.person
    modalities = " | ".join(sorted({series.modality for series in one.series}))
    return (
        *(one.uid, person.name, person.id, person.birth_date, person.age, person.sex),
        *(one.date, one.time, modalities, len(one.instances), one.trouble),
    )


@pytest.mark.parametrize("name", NAMES)
def test_series_and_their_counts_are_those_of_the_table(name: str) -> None:
    found = {
        (one.uid, series.uid, series.number, series.modality, sum(i.series_uid == series.uid for i in one.instances))
        for one in open_zip(FOLDER / name, Limits()).studies
        for series in one.series
    }

    assert found == {
        (
            row["StudyInstanceUID"],
            row["SeriesInstanceUID"],
            row["SeriesNumber"],
            row["Modality"],
            int(row["n_unique_sop"]),
        )
        for row in table("series.csv")
        if row["file"] == name
    }


@pytest.mark.parametrize("name", NAMES)
def test_only_plain_exports_of_one_study_may_go_as_they_are(name: str) -> None:
    assert open_zip(FOLDER / name, Limits()).as_it_is == (name[:3] in MAY_GO_AS_THEY_ARE)


@pytest.mark.parametrize("name", NAMES)
def test_each_study_can_be_repacked_and_reads_the_same(name: str, tmp_path: Path) -> None:
    for one in open_zip(FOLDER / name, Limits()).studies:
        write_clean(FOLDER / name, one.instances, tmp_path / "clean.zip")

        contents = open_zip(tmp_path / "clean.zip", Limits())
        (again,) = contents.studies

        assert contents.as_it_is
        assert facts(again) == facts(one)
        assert [(i.sop_uid, i.size, i.crc) for i in again.instances] == [
            (i.sop_uid, i.size, i.crc) for i in one.instances
        ]
