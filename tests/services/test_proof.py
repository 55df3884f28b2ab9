"""What is archived, deleted or called complete was proved image by image; what is not ours is told and left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.dicom import instance, sop_uid
from tests.others import beside_others, exchanged_by_others, mixed_by_others, sent_by_others
from tests.sandbox.kit import Visitor
from tests.station import Station, zipped
from xnat_watchd.core.findings import FindingKind
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.core.retention import RetentionRules
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.studies.steps.recent import ROW_STAYS_TRUE
from xnat_watchd.studies.verification import Verification, verify

IMPORT, ARCHIVE = "/data/services/import", "/data/services/archive"
KEEP = RetentionRules(timedelta(days=30))


class Two:
    """One XNAT, one account, and two workstations that know nothing of each other."""

    def __init__(self, folder: Path, xnat: Sandbox, gateway: Any, first: Station) -> None:
        self.xnat, self.gateway, self.first = xnat, gateway, first
        self.second = Station(folder / "second", gateway, first.time, seed=1)

    def both_uploaded(self, first: bytes, second: bytes) -> None:
        """Have both stations send before either archives."""
        for station, content in ((self.first, first), (self.second, second)):
            station.drop("scan.zip", content)
            station.start()
            station.take_in()
            assert station.pipeline.step()

    def held_there(self) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {}
        for one in self.xnat.instances():
            found.setdefault(one.where, Counter())[one.sop_uid] += 1
        return found

    def verified(self, key: int = 1) -> Verification:
        studies, now = self.first.ledger.studies, self.first.time.now()
        return verify(studies.get(key), self.first.ledger, self.gateway, now)


@pytest.fixture(params=["1.8", "1.6"])
def two(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Two]:
    with beside_others(tmp_path, request.param, ProjectRules, keep=lambda: KEEP) as (xnat, gateway, station):
        both = Two(tmp_path, xnat, gateway, station)
        yield both
        both.second.close()
        xnat.faults.check()


def part(*numbers: int, study: int = 1, **about: Any) -> bytes:
    return zipped([(f"{n}.dcm", instance(study, 1, n, **about)) for n in numbers])


def numbered(number: int) -> bytes:
    """Return an image with a SeriesNumber of its own."""
    data_set = dcmread(BytesIO(instance(1, 1, number)))
    data_set.SeriesNumber = number
    buffer = BytesIO()
    data_set.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def once(*numbers: int) -> Counter[str]:
    return Counter(sop_uid(1, 1, n) for n in numbers)


def carried(station: Station, content: bytes) -> None:
    station.drop("scan.zip", content)
    station.run()


def attention(station: Station) -> list[str]:
    return [row["why"] for row in station.ledger.views.attention()]


def uploads(two: Two) -> int:
    return sum(IMPORT in path and method == "POST" for method, path, _, _ in two.xnat.requests)


# -- the same study from elsewhere -------------------------------------------------------------------------


def test_the_same_study_of_two_stations_is_there_once_and_both_are_done(two: Two) -> None:  # F97
    two.both_uploaded(part(1, 2), part(1, 2))
    two.first.work()
    two.second.work()
    assert two.first.standings() == two.second.standings() == [("1.1", "complete", "done")]
    assert two.held_there() == {"archive": once(1, 2)}
    assert attention(two.second) == []


def test_of_the_same_study_in_two_parts_that_overlap_the_rest_is_sent_at_a_persons_word(two: Two) -> None:
    two.both_uploaded(part(1, 2), part(2, 3))
    two.first.work()
    two.second.work()
    (row,) = two.second.ledger.views.attention()
    assert row["why"].startswith("XNAT's archive has 1 of these 2 images already")
    assert "`xnat-watchd resend 1.1`" in row["advice"]
    two.second.ledger.decisions.resend(1, "as it says", two.second.time.now())
    two.second.work()
    assert two.second.standings() == [("1.1", "complete", "done")]
    assert two.held_there() == {"archive": once(1, 2, 3)}


# -- what lies in our place --------------------------------------------------------------------------------


def collided(two: Two) -> str:
    """Have another client's study come to lie at our place; return its address there."""
    two.xnat.faults.on("POST", IMPORT).collide(part(1, 2, study=7))
    carried(two.first, part(1, 2))
    delivery = two.first.ledger.views.delivery(1)
    assert delivery is not None
    (place,) = [one for one in delivery["studies"][0]["places"] if one["mixed"]]
    return f"/data/prearchive/projects/P1/{place['timestamp']}/{place['folder']}"


def test_a_foreign_study_at_our_place_is_neither_archived_nor_removed_and_told_until_it_is_gone(two: Two) -> None:
    place = collided(two)
    assert two.held_there() == {"archive": once(1, 2), "prearchive": Counter(sop_uid(7, 1, n) for n in (1, 2))}
    assert attention(two.first) == ["what lies at a place of ours in XNAT is not proved to be ours"]
    assert (
        two.verified().summary == f"XNAT holds all 2 images; not ours, and still there: {place.removeprefix('/data')}"
    )
    with Visitor(two.xnat, "tech", "secret") as other:
        assert other.ask("DELETE", place).ok
    assert two.verified().summary == "XNAT holds all 2 images"
    assert attention(two.first) == []


def test_a_row_to_which_others_have_added_since_it_was_proved_is_not_archived(two: Two) -> None:
    two.first.drop("scan.zip", part(1, 2))
    two.first.start()
    two.first.take_in()
    assert two.first.pipeline.step()
    (row,) = two.xnat._site.store.rows
    mixed_by_others(two.xnat, row, part(1, study=7))
    two.first.time.pass_(seconds=ROW_STAYS_TRUE + 1)
    two.first.work()
    mixed = once(1, 2) + Counter([sop_uid(7, 1, 1)])
    assert two.held_there() == {"prearchive": mixed}
    assert two.first.standings() == [("1.1", "uploaded", "held")]
    two.first.ledger.decisions.resend(1, "to a new place", two.first.time.now())
    two.first.work()
    assert two.held_there() == {"archive": once(1, 2), "prearchive": mixed}
    assert attention(two.first) == ["what lies at a place of ours in XNAT is not proved to be ours"]


def test_what_others_add_in_the_moment_before_archiving_is_found_behind_it(two: Two) -> None:
    two.first.drop("scan.zip", part(1, 2))
    two.first.start()
    two.first.take_in()
    assert two.first.pipeline.step()
    (row,) = two.xnat._site.store.rows
    mixed_by_others(two.xnat, row, part(3))
    two.first.work()
    assert two.held_there() == {"archive": once(1, 2, 3)}
    assert two.first.standings() == [("1.1", "uploaded", "held")]
    assert attention(two.first) == ["XNAT's session holds 1 image that nobody here knows of, in series 1"]


def test_a_place_whose_folder_may_be_a_patients_id_is_published_by_its_time_alone(two: Two) -> None:
    carried(two.first, part(1))
    now = two.first.time.now().isoformat()
    with two.first.ledger.studies._db.change() as db:  # as a server brings it back that died in mid-import
        db.execute(
            "INSERT INTO places (study, project, timestamp, folder, chosen, last_sent, ended, mixed)"
            " VALUES (1, 'P1', '20240101_000000000', 'ZQ-7731', ?, ?, ?, 1)",
            (now, now, now),
        )
    (row,) = two.first.ledger.views.attention()
    assert "/prearchive/projects/P1/20240101_000000000." in row["advice"]
    assert "ZQ-7731" not in row["advice"]


def test_what_appears_late_at_a_place_given_up_is_not_removed_where_it_is_anothers(two: Two) -> None:
    two.xnat.faults.on("POST", IMPORT).lose_row()
    two.first.drop("scan.zip", part(1, 2))
    two.first.start()
    two.first.take_in()
    while uploads(two) < 2:
        two.first.pipeline.step()
        two.first.time.pass_(minutes=30)
    delivery = two.first.ledger.views.delivery(1)
    assert delivery is not None
    late = delivery["studies"][0]["places"][0]
    if two.gateway.collides():  # it was sent to the same place again
        two.first.work()
    sent_by_others(two.xnat, late["folder"], part(1, 2, study=7), stamp=late["timestamp"])
    two.first.time.pass_(minutes=15)
    two.first.work()
    lying = two.held_there().get("prearchive", Counter())
    assert lying == Counter(sop_uid(7, 1, n) for n in (1, 2))
    assert attention(two.first) == ["what lies at a place of ours in XNAT is not proved to be ours"]


# -- after archiving ---------------------------------------------------------------------------------------


def added_by_others(two: Two, content: bytes) -> None:
    (session,) = two.xnat.sessions("P1")
    address = sent_by_others(two.xnat, "later", content)
    with Visitor(two.xnat, "tech", "secret") as other:
        how = {"overwrite": "append"} if other.is_old else {}
        other.archived(address, subject=session["subject"], session=session["label"], **how)


def beside_ours(two: Two, content: bytes) -> Callable[..., None]:
    """Return an archive function after which somebody at once adds this to the session."""
    archive = two.gateway.archive

    def archived(*args: Any, **named: Any) -> None:
        with ExitStack() as afterwards:  # also where the answer is lost
            afterwards.callback(added_by_others, two, content)
            archive(*args, **named)

    return archived


def test_an_image_in_the_session_that_nobody_here_knows_of_is_told_by_its_series_and_holds(two: Two) -> None:
    two.gateway.archive = beside_ours(two, part(3))
    carried(two.first, part(1, 2))
    assert two.first.standings() == [("1.1", "uploaded", "held")]
    (finding,) = two.first.ledger.findings.open(1)
    assert (finding.kind, finding.count, finding.members) == (FindingKind.FOREIGN, 1, ("series 1: 1",))
    assert attention(two.first) == ["XNAT's session holds 1 image that nobody here knows of, in series 1"]
    two.first.ledger.decisions.accept(1, "added by hand", "kim", two.first.time.now())
    two.first.work()
    assert two.first.standings() == [("1.1", "complete", "done")]


def test_after_a_lost_answer_to_an_archive_that_adds_foreign_images_are_told_all_the_same(two: Two) -> None:
    carried(two.first, part(1, 2))
    two.gateway.archive = beside_ours(two, part(4))
    two.xnat.faults.on("POST", ARCHIVE).lose_answer()
    carried(two.first, part(3))
    assert two.first.standings()[1] == ("2.1", "uploaded", "held")
    (finding,) = two.first.ledger.findings.open(2)
    assert (finding.kind, finding.count, finding.members) == (FindingKind.FOREIGN, 1, ("series 1: 1",))


def test_after_a_lost_answer_to_an_archive_that_adds_what_was_there_before_is_foreign_to_nobody(two: Two) -> None:
    carried(two.first, part(1, 2))
    two.xnat.faults.on("POST", ARCHIVE).lose_answer()
    carried(two.first, part(3))
    assert two.first.standings()[1] == ("2.1", "complete", "done")


def test_what_another_zip_of_ours_has_added_is_foreign_to_nobody(two: Two) -> None:
    carried(two.first, part(1, 2))
    carried(two.first, part(3))
    assert [standing for _, _, standing in two.first.standings()] == ["done", "done"]


def test_a_series_of_three_numbers_is_foreign_to_nobody(two: Two) -> None:
    carried(two.first, zipped([(f"{n}.dcm", numbered(n)) for n in (1, 2, 3)]))
    assert two.first.standings() == [("1.1", "complete", "done")]
    assert two.held_there() == {"archive": once(1, 2, 3)}
    assert two.verified().summary == "XNAT holds all 3 images"


# -- long afterwards ---------------------------------------------------------------------------------------


def exchanged(two: Two) -> None:
    carried(two.first, part(1, 2, 3))
    exchanged_by_others(two.xnat, sop_uid(1, 1, 2), instance(1, 1, 9))


def test_a_count_is_no_proof_where_one_image_was_exchanged_for_another(two: Two) -> None:
    exchanged(two)
    assert two.verified().summary == "XNAT lacks 1 of 3 images: series 1 (MR) has 2 of 3"


def test_the_only_copy_of_an_image_is_not_deleted_and_status_says_so_until_it_is_there_again(two: Two) -> None:
    exchanged(two)
    two.first.time.pass_(days=31)
    two.first.retention.sweep()
    assert two.first.files() == ["done/2026-01/1_scan.zip"]
    assert attention(two.first) == ["XNAT lacks 1 of its images, which it was seen to hold"]
    two.first.ledger.decisions.resend(1, "it was removed by mistake", two.first.time.now())
    assert attention(two.first) == []
    two.first.work()
    assert two.held_there()["archive"] == once(1, 2, 3) + Counter([sop_uid(1, 1, 9)])
    two.first.time.pass_(days=2)
    two.first.time.pass_(days=31)
    two.first.retention.sweep()
    assert two.first.files() == []


def test_verify_tells_status_what_is_lost_and_takes_it_back(two: Two) -> None:
    exchanged(two)
    two.verified()
    assert attention(two.first) == ["XNAT lacks 1 of its images, which it was seen to hold"]
    exchanged_by_others(two.xnat, sop_uid(1, 1, 9), instance(1, 1, 2))
    assert two.verified().summary == "XNAT holds all 3 images"
    assert attention(two.first) == []


def test_an_image_that_is_listed_and_cannot_be_had_is_not_there(two: Two) -> None:
    carried(two.first, part(1, 2))
    two.xnat.faults.on("GET", r"/files/[^?]*\.dcm").refuse(404, "The server has not found anything")
    assert two.verified().missing == 1


def test_what_a_person_says_is_rightly_gone_needs_nobodys_attention_and_its_zip_stays(two: Two) -> None:
    exchanged(two)
    two.verified()
    (row,) = two.first.ledger.views.attention()
    assert "`xnat-watchd accept 1.1 --why TEXT`" in row["advice"]
    two.first.ledger.decisions.accept(1, "the patient has withdrawn", "kim", two.first.time.now())
    two.first.time.pass_(days=31)
    two.first.retention.sweep()
    assert attention(two.first) == []
    assert two.first.files() == ["done/2026-01/1_scan.zip"]
    exchanged_by_others(two.xnat, sop_uid(1, 1, 3), instance(1, 1, 8))
    two.verified()
    assert attention(two.first) == ["XNAT lacks 2 of its images, which it was seen to hold"]
