"""The sixteen real exports: what a real 1.6.5 kept of them, and everything on 1.8 (F64, F65, F69)."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from tests.sandbox.kit import Visitor
from tests.shared import shared
from xnat_watchd.sandbox import Options, Sandbox

EXPORTS = shared("public")

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


def test_1_6_keeps_and_labels_every_study_as_the_real_one_did(old: Visitor) -> None:  # F65
    send_all(old)
    expected = {row["StudyInstanceUID"]: row for row in table("observed-1.6.5.csv")}
    counts = Counter(one.study_uid for one in old.xnat.instances())
    rows = {row["tag"]: row for row in old.rows("/data/prearchive/projects/P1")}
    assert rows.keys() == expected.keys()
    for uid, seen in expected.items():
        row = rows[uid]
        listed = (row["subject"], row["name"], str(counts[uid]))
        assert listed == (seen["listing_subject"], seen["listing_name"], seen["prearchive_files"])
    for row in rows.values():
        assert archived_as(old, row["url"]) == (
            expected[row["tag"]]["archived_subject"],
            expected[row["tag"]]["archived_session_without_label"],
        )


def test_1_6_4_keeps_the_reports_that_1_6_5_drops(tmp_path: Path) -> None:  # F64
    (path,) = EXPORTS.glob("p04*")
    options = Options(version="1.6.4")
    with Sandbox(tmp_path, "1.6", users={"tech": "secret"}, projects=["P1"], options=options) as xnat:
        Visitor(xnat, "tech", "secret").sent_file(path, dest="/prearchive/projects/P1")
        kept = Counter(one.series_uid for one in xnat.instances())
    rows = (row for row in table("series.csv") if row["file"] == path.name)
    assert kept == {row["SeriesInstanceUID"]: int(row["n_instances"]) for row in rows}
    assert kept.total() == 59


def archived_as(visitor: Visitor, src: str) -> tuple[str, str]:
    answer = visitor.archive(src)
    if answer.status_code != 200:
        return "", str(answer.status_code)
    parts = answer.text.strip().split("/")
    return parts[-3], parts[-1]


def test_1_8_keeps_every_instance_of_every_series(new: Visitor) -> None:  # series.csv
    send_all(new, **{"Ignore-Unparsable": "true"})
    kept = Counter(one.series_uid for one in new.xnat.instances())
    assert kept == {row["SeriesInstanceUID"]: int(row["n_instances"]) for row in table("series.csv")}
