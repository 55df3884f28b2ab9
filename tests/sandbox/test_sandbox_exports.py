"""The sixteen real exports: what a real 1.6.5 kept of them, and everything on 1.8 (F64, F65, F69)."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from tests.sandbox.kit import Visitor

EXPORTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "public"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not EXPORTS.is_dir(), reason="the exports are not beside this repository"),
]


def table(name: str) -> list[dict[str, str]]:
    with (EXPORTS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def send_all(visitor: Visitor, **params: str) -> None:
    for path in sorted(EXPORTS.glob("*.[zZ][iI][pP]")):
        visitor.sent_file(path, dest="/prearchive/projects/P1", **params)


def test_1_6_keeps_of_every_study_what_the_real_one_kept(old: Visitor) -> None:  # observed-1.6.5.csv
    send_all(old)
    seen = {
        row["StudyInstanceUID"]: (row["listing_subject"], row["listing_name"], row["prearchive_files"])
        for row in table("observed-1.6.5.csv")
    }
    counts = Counter(one.study_uid for one in old.xnat.instances())
    rows = old.rows("/data/prearchive/projects/P1")
    assert {row["tag"]: (row["subject"], row["name"], str(counts[row["tag"]])) for row in rows} == seen


def test_1_6_archives_them_under_the_labels_of_the_real_one(old: Visitor) -> None:  # observed-1.6.5.csv
    send_all(old)
    expected = {row["StudyInstanceUID"]: row for row in table("observed-1.6.5.csv")}
    for row in old.rows("/data/prearchive/projects/P1"):
        answer = old.archive(row["url"])
        seen = expected[row["tag"]]
        if seen["archived_subject"]:
            path = f"/subjects/{seen['archived_subject']}/experiments/{seen['archived_session_without_label']}\r\n"
            assert answer.text.endswith(path)
        else:
            assert str(answer.status_code) == seen["archived_session_without_label"]


def test_1_8_keeps_every_instance_of_every_series(new: Visitor) -> None:  # series.csv
    send_all(new, **{"Ignore-Unparsable": "true"})
    kept = Counter(one.series_uid for one in new.xnat.instances())
    assert kept == {row["SeriesInstanceUID"]: int(row["n_instances"]) for row in table("series.csv")}
