"""The real service, killed while real ZIPs flow; and whether the judge of the soak sees what may go wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import series_uid, sop_uid, study_uid
from tests.soak.counters import MetricsReader
from tests.soak.inbox import told_by
from tests.soak.judge import complaints
from tests.soak.run import Soak, SoakOptions
from tests.soak.traffic import Drop, Image, Traffic, Truth, made


@pytest.mark.thorough
@pytest.mark.parametrize("dialect", ["1.8", "1.6"])
def test_a_service_that_is_killed_while_zips_flow_neither_loses_nor_doubles_nor_mixes(
    tmp_path: Path, dialect: str
) -> None:
    options = SoakOptions(seed=74, zips=10, kills=4, faults=0.05, dialect=dialect, apart=2)
    figures = Soak(tmp_path, options, lambda _: None).run()
    assert figures.wrong == [], figures.told()
    assert figures.kills >= 4
    assert sum(figures.dropped.values()) >= 10
    assert len(figures.apart) == 2


def test_the_same_seed_makes_the_same_zips() -> None:
    one, same, other = ([traffic.next() for _ in range(20)] for traffic in map(Traffic, (3, 3, 4)))
    assert one == same
    assert one != other


def test_every_kind_of_zip_comes() -> None:
    traffic = Traffic(2)
    assert {traffic.next().kind for _ in range(150)} == {
        "new", "several studies", "growing", "the same again", "a part", "more", "half a ZIP", "no images", "damaged",
        "two people", "unexplained", "two contents",
    }  # fmt: skip


# -- the judge ---------------------------------------------------------------------------------------------


IMAGE: Image = (1, 1, 1)


def label(study: int) -> str:
    """Return the session label of a study."""
    return f"Quokka_Zenobia{7 * study}_20240101T00{study:02}30_{'CT' if study % 2 else 'MR'}"


def held(image: Image = IMAGE, **other: str) -> dict[str, Any]:
    """Return one instance as XNAT holds it."""
    study, series, _ = image
    return {
        "where": "archive", "project": "P1", "subject": f"Quokka_Zenobia{7 * study}", "session": label(study),
        "study_uid": study_uid(study), "series_uid": series_uid(study, series), "sop_uid": sop_uid(*image),
        "sha256": hashlib.sha256(made(image)).hexdigest(), **other,
    }  # fmt: skip


def judged(tmp_path: Path, *stored: dict[str, Any], drops: tuple[Drop, ...] = ()) -> str:
    """Return the judge's verdict after the first image of study 1 and that of study 2 were sent."""
    truth = Truth()
    truth.expect(IMAGE)
    truth.expect((2, 1, 1))
    return "\n".join(complaints(truth, drops, stored, tmp_path))


def test_the_judge_is_content_with_every_image_once(tmp_path: Path) -> None:
    assert judged(tmp_path, held(), held((2, 1, 1))) == ""


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ([held()], "lost"),
        ([held(), held((2, 1, 1)), held()], "not once in the archive"),
        ([held(), held((2, 1, 1)), held(where="prearchive")], "not once in the archive"),
        ([held(), held((2, 1, 1), where="unassigned")], "not once in the archive"),
        ([held(), held((2, 1, 1)), held((3, 1, 1))], "nobody's"),
        ([held(), held((2, 1, 1), sha256="0")], "not what was sent"),
        ([held(), held((2, 1, 1), session=label(1))], "several studies in one session"),
        ([held(), held((2, 1, 1)), held(session="OTHER")], "one study in several sessions"),
        ([held(), held((2, 1, 1), subject="Quokka_Zenobia7")], "the wrong subject"),
        ([held(), held((2, 1, 1), session="OTHER")], "the wrong session"),
        ([held(), held((2, 1, 1), project="P2")], "the wrong project"),
    ],
)
def test_the_judge_sees_what_is_wrong_in_xnat(tmp_path: Path, stored: list[dict[str, Any]], words: str) -> None:
    assert words in judged(tmp_path, *stored)


@pytest.mark.parametrize(
    ("folder", "words"),
    [("drop", "should not lie in drop"), ("work", "should not lie in work"), ("failed", "nobody says why")],
)
def test_the_judge_sees_a_zip_in_the_wrong_place(tmp_path: Path, folder: str, words: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "1.zip").write_bytes(b"ZIP")
    said = judged(tmp_path, held(), held((2, 1, 1)), drops=(Drop("z.zip", b"ZIP", "done"),))
    assert words in said
    assert "1 of z.zip should lie in done" in said


# -- the judge of alerts -----------------------------------------------------------------------------------

DISK, HELD = "a disk needs somebody", "studies or ZIPs need somebody in P1"


def post(minute: int, number: int = 1, **lines: str) -> dict[str, str]:
    """Return a message of this minute, as it is posted."""
    headings = {
        "new": "New:",
        "worse": "There is another reason now:",
        "lasts": "It still lasts:",
        "over": "It is over:",
    }
    ended = {"over": ": from 2026-01-01 00:00 until 2026-01-01 00:30"}
    body = "\n\n".join(
        f"{headings[kind]}\n  - {title}{ended.get(kind, '')}\n    1.1: why" for kind, title in lines.items()
    )
    return {"id": f"20260101{minute // 60:02}{minute % 60:02}00000000.{number}.mr1", "subject": "s", "body": body}


def test_the_judge_is_content_where_each_incident_is_told_reminded_of_and_over() -> None:
    posts = [post(0, new=DISK), post(30, lasts=DISK, new=HELD), post(60, over=DISK), post(90, new=DISK, over=HELD)]
    told = told_by([*posts, posts[1]])
    assert (told.wrong, told.messages, told.again) == ([], 4, 1)
    assert told.lines == {"new": 3, "lasts": 1, "over": 2}


@pytest.mark.parametrize(
    ("posts", "wrong"),
    [
        ([post(0, new=DISK), post(9, new=DISK)], f"told as new although it lasts: {DISK}"),
        ([post(0, new=DISK), post(29, lasts=DISK)], f"a reminder after 0:29:00: {DISK}"),
        ([post(0, new=DISK), post(30, lasts=DISK), post(45, lasts=DISK)], f"a reminder after 0:15:00: {DISK}"),
        ([post(0, worse=DISK)], f"worse and was never told: {DISK}"),
        ([post(0, lasts=DISK)], f"lasts and was never told: {DISK}"),
        ([post(0, new=DISK), post(1, over=DISK), post(2, over=DISK)], f"over and was never told: {DISK}"),
        ([post(8 * n, n, new=f"project P{n} waits") for n in range(7)], "more than 6 messages in an hour"),
        ([post(0, new=DISK), post(0, new=HELD)], "two messages of one ID: s"),
        ([post(0, new="project Quokka waits")], "a patient in a message: Quokka"),
    ],
)
def test_the_judge_sees_what_people_must_not_be_told(posts: list[dict[str, str]], wrong: str) -> None:
    assert told_by(posts).wrong == [wrong]


# -- the judge of counters ---------------------------------------------------------------------------------


def test_a_counter_that_goes_back_or_is_lost_is_seen(tmp_path: Path) -> None:
    reader, file = MetricsReader(tmp_path / "x.prom"), tmp_path / "x.prom"

    def look(*values: int) -> list[str]:
        lines = [f'a_total{{project="P{n}"}} {value}' for n, value in enumerate(values)]
        file.write_text("# TYPE a_total counter\n" + "\n".join(lines) + "\n# TYPE b gauge\nb 1\n")
        return reader.look()

    assert reader.look() == []
    assert look(1, 5) == look(1, 6) == look(2, 6, 1) == []
    assert look(2, 5, 1) == ["a counter went back: a_total [('project', 'P1')]"]
    assert look(2, 5) == ["a counter went back: a_total [('project', 'P2')]"]
    file.unlink()
    assert reader.look() == ["the metrics are gone"]
