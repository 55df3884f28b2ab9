"""Sixteen real exports of eight vendors go through; dropped again in any way, they change nothing."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shared import shared
from tests.whole.conftest import Program
from xnat_watchd.sandbox import Sandbox

PUBLIC = shared("public")
pytestmark = [
    pytest.mark.shared,
    pytest.mark.thorough,
    pytest.mark.skipif(not PUBLIC.is_dir(), reason="needs ../shared/data/public, which is not in the repository"),
]

SOON = '[pipeline]\nretry_first = "100ms"\n'  #: a refusal is asked about once more (F69): not after 15 s, in a test
UNDATED = "p05_UIH_uMR770_masked.zip"
#: XNAT 1.6 makes no session of a lone Secondary Capture (F69), and leaves the reports of Siemens XA out (F64).
NOT_BY_1_6 = "1.2.840.113696.376376.500.43158802.99999999999999"


def rows(name: str) -> Iterator[dict[str, str]]:
    with (PUBLIC / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def expected_series(dialect: str) -> dict[tuple[str, str], int]:
    """Return the number of instances by study and series that a server of this dialect keeps."""
    kept = {
        (row["StudyInstanceUID"], row["SeriesInstanceUID"]): int(row["n_instances"])
        for row in rows("series.csv")
        if row["file"] != UNDATED
        and (dialect == "1.8" or row["StudyInstanceUID"] != NOT_BY_1_6)
        and (dialect == "1.8" or not (row["file"].startswith("p04") and row["Modality"] == "SR"))
    }
    assert len({study for study, _ in kept}) == (16 if dialect == "1.8" else 15)
    return kept


def expected_labels() -> dict[str, tuple[str, str]]:
    """Return subject and session label by study: the subject as 1.6.5 cleaned it, the label from the manifest."""
    subjects = {
        row["StudyInstanceUID"]: row["archived_subject"] or row["listing_subject"].replace("^", "_")
        for row in rows("observed-1.6.5.csv")
    }
    subjects.setdefault(NOT_BY_1_6, "SIMPSON_HOMER_J")
    return {
        row["StudyInstanceUID"]: (
            subjects[row["StudyInstanceUID"]],
            row["expected_label_pattern"].replace("{subject}", subjects[row["StudyInstanceUID"]]),
        )
        for row in rows("manifest.csv")
        if row["file"] != UNDATED
    }


def drop_all(program: Program, rename: str = "{}") -> None:
    for path in sorted(PUBLIC.iterdir()):
        if path.suffix.lower() == ".zip":
            program.drop(rename.format(path.name), path)


def test_every_study_is_complete_and_dropping_it_again_changes_nothing(
    program: Program, xnat: Sandbox, dialect: str, tmp_path: Path
) -> None:
    program.write(SOON)
    drop_all(program)
    program.once(expect=1)
    stored = xnat.instances()
    assert {one.where for one in stored} == {"archive"}
    assert Counter((one.study_uid, one.series_uid) for one in stored) == expected_series(dialect)
    assert len({one.sop_uid for one in stored}) == len(stored)
    labels = expected_labels()
    assert all((one.subject, one.session) == labels[one.study_uid] for one in stored)
    assert "study date" in next(row["why"] for row in program.status()["attention"] if row["item"] == "5.1")

    drop_all(program)
    drop_all(program, "again {}")
    program.once(expect=1)
    assert xnat.instances() == stored

    fresh = Program(tmp_path / "fresh", tmp_path / "fresh.toml", xnat.url)
    fresh.root.mkdir()
    fresh.write(SOON)
    drop_all(fresh)
    fresh.once(expect=1)
    assert xnat.instances() == stored
    assert fresh.status()["studies"]["complete"] == {"done": 16 if dialect == "1.8" else 15}
    shutil.rmtree(fresh.root)
