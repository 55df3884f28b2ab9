"""ZIPs are deleted when they were kept for long enough and XNAT has shown again that it holds all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.dialects import NEWER_AND_THOROUGHLY_OLDER
from tests.dicom import instance, sop_uid
from tests.engine import lose
from tests.others import archived_by_others, beside_others, restored_without, sent_by_others
from tests.sandbox.kit import Visitor
from tests.station import Station, Time, zipped
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.errors import Stopped
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.core.retention import RetentionRules
from xnat_watchd.sandbox import Options, Sandbox

MONTH = RetentionRules(timedelta(days=30))


def scan(study: int = 1, images: int = 2, **about: Any) -> bytes:
    return zipped([(f"{study}-{n}.dcm", instance(study, 1, n, **about)) for n in range(1, images + 1)])


@dataclass
class Stand:
    """One XNAT, and one workstation that keeps its ZIPs for a month."""

    folder: Path
    xnat: Sandbox
    gateway: Any
    station: Station
    keep: RetentionRules

    def carry(self, content: bytes, name: str = "scan.zip") -> None:
        self.station.drop(name, content)
        self.station.run()

    def restarted(self) -> Station:
        self.station.close()
        self.station = Station(self.folder / "watchd", self.gateway, self.station.time, keep=lambda: self.keep)
        self.station.start()
        return self.station

    def after(self, **span: float) -> list[str]:
        """Let time pass, sweep, and give what is left."""
        self.station.time.pass_(**span)
        self.station.retention.sweep()
        return self.station.files()

    def events(self, item: int = 1) -> list[tuple[str, str | None]]:
        story = self.station.ledger.views.delivery(item) or {}
        known = ("kept", "proved", "deleted")
        return [(event["event"], event["why"]) for event in story["events"] if event["event"] in known]


@pytest.fixture
def options() -> Options:
    return Options()


@pytest.fixture(params=NEWER_AND_THOROUGHLY_OLDER)
def stand(tmp_path: Path, request: pytest.FixtureRequest, options: Options) -> Iterator[Stand]:
    kept: list[Stand] = []
    context = beside_others(tmp_path, request.param, ProjectRules, options, keep=lambda: kept[0].keep)
    with context as (xnat, gateway, station):
        one = Stand(tmp_path, xnat, gateway, station, MONTH)
        kept.append(one)
        yield one
        one.station.close()
        xnat.faults.check()


# -- when --------------------------------------------------------------------------------------------------


def test_a_zip_goes_once_its_time_has_come_and_xnat_was_asked_once_more(stand: Stand) -> None:
    stand.carry(scan())
    assert stand.after(days=29) == ["done/2026-01/1_scan.zip"]
    before = len(stand.xnat.requests)
    assert stand.after(days=2) == []
    assert any("/experiments/" in path for _, path, _, _ in stand.xnat.requests[before:])
    assert stand.events() == [("proved", "XNAT holds all of it"), ("deleted", "by the rules of [retention]")]
    assert stand.station.log.events()[-1] == "zip.deleted"


def test_without_a_setting_nothing_is_ever_deleted_and_nothing_asked(stand: Stand) -> None:
    stand.keep = RetentionRules()
    stand.carry(scan())
    before = len(stand.xnat.requests)
    assert stand.after(days=4000) == ["done/2026-01/1_scan.zip"]
    assert len(stand.xnat.requests) == before


def test_when_there_is_too_much_the_oldest_goes(stand: Stand) -> None:
    first, second = scan(1), scan(2, date="20240301")
    stand.keep = RetentionRules(size=len(first) + len(second))
    stand.carry(first, "a.zip")
    stand.carry(second, "b.zip")
    assert len(stand.after(hours=2)) == 2
    stand.keep = RetentionRules(size=len(first) + len(second) - 1)
    assert stand.after(hours=2) == ["done/2026-01/2_b.zip"]


def test_a_zip_that_was_dropped_twice_goes_twice(stand: Stand) -> None:
    stand.station.drop("a.zip", scan())
    stand.station.drop("b.zip", scan())
    stand.station.run()
    stand.carry(scan(), "c.zip")
    assert len(stand.station.files()) == 3
    assert stand.after(days=31) == []


def test_while_studies_wait_for_its_thread_one_zip_at_a_time_goes(stand: Stand) -> None:
    for study in (1, 2, 3):
        stand.carry(scan(study, date=f"2024030{study}"), f"{study}.zip")
    stand.station.drop("new.zip", scan(4, date="20240304"))
    stand.station.take_in()
    assert [len(stand.after(**span)) for span in ({"days": 31}, {}, {}, {})] == [3, 2, 1, 1]


def test_a_zip_that_is_being_asked_about_when_the_service_stops_is_asked_about_again(stand: Stand) -> None:
    stand.carry(scan())
    session = stand.gateway.session

    def stopped(_: str) -> None:
        raise Stopped("asked to stop")

    stand.gateway.session = stopped
    assert len(stand.after(days=31)) == 1
    assert stand.events() == []
    stand.gateway.session = session
    assert stand.after(hours=2) == []


def test_a_zip_that_is_wanted_again_while_xnat_is_asked_about_it_stays(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.carry(scan())
    disk = stand.station.tools.disk
    digest, (row,) = disk.digest, stand.station.ledger.views._db.rows("SELECT key FROM studies")

    def meanwhile(path: Path) -> str:
        stand.station.ledger.decisions.resend(row["key"], "a test", stand.station.time.now())
        return digest(path)

    monkeypatch.setattr(disk, "digest", meanwhile)
    assert stand.after(days=31) == ["done/2026-01/1_scan.zip"]
    stand.station.work()
    assert stand.station.standings() == [("1.1", "complete", "done")]


def test_what_is_deleted_cannot_be_sent_again_and_resend_says_why(stand: Stand) -> None:
    stand.carry(scan())
    stand.after(days=31)
    with pytest.raises(Exception, match=r"its ZIP was deleted on 2026-02-01, as \[retention\] says"):
        stand.station.ledger.decisions.resend(1, "", stand.station.time.now())


# -- only what XNAT holds ----------------------------------------------------------------------------------


def test_a_zip_of_which_xnat_has_lost_an_image_stays_and_the_journal_says_so(stand: Stand) -> None:
    stand.carry(scan())
    restored_without(stand.xnat, sop_uid(1, 1, 2))
    assert stand.after(days=31) == ["done/2026-01/1_scan.zip"]
    before = len(stand.xnat.requests)
    assert stand.after(hours=2) == ["done/2026-01/1_scan.zip"]
    assert len(stand.xnat.requests) == before
    assert stand.after(days=2) == ["done/2026-01/1_scan.zip"]
    assert len(stand.xnat.requests) > before
    assert stand.events() == [("kept", "XNAT does not hold all of it")]
    assert stand.station.log.lines[-1][0] == "zip.kept"
    stand.station.ledger.decisions.resend(1, "", stand.station.time.now())
    stand.station.work()
    assert stand.after(days=31) == []


def test_a_zip_whose_session_was_removed_stays(stand: Stand) -> None:
    stand.carry(scan())
    restored_without(stand.xnat, sop_uid(1, 1, 1), sop_uid(1, 1, 2))
    assert stand.after(days=31) == ["done/2026-01/1_scan.zip"]


def test_as_many_images_as_ours_that_are_others_do_not_count(stand: Stand) -> None:
    """An image was lost, and somebody has added another one to the series."""
    stand.carry(scan())
    restored_without(stand.xnat, sop_uid(1, 1, 2))
    session = next(iter(stand.xnat.sessions("P1")))
    address = sent_by_others(stand.xnat, "MORE", zipped([("x3.dcm", instance(1, 1, 3)), ("x4.dcm", instance(1, 1, 4))]))
    with Visitor(stand.xnat, "tech", "secret") as other:
        other.archived(address, subject=session["subject"], session=session["label"], overwrite="append")
    assert {one.sop_uid for one in stand.xnat.instances()} == {sop_uid(1, 1, n) for n in (1, 3, 4)}
    assert stand.after(days=31) == ["done/2026-01/1_scan.zip"]


class TestWhereTheSiteLeavesOutScouts:
    """A site whose filter drops a series of images."""

    @pytest.fixture
    def options(self) -> Options:
        return Options(left_out_series="scout")

    def test_what_a_person_has_accepted_as_left_out_keeps_every_zip_of_it(self, stand: Stand) -> None:
        both = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 2, 1, description="scout"))])
        stand.carry(both)
        stand.station.ledger.decisions.accept(1, "a scout", "ada", stand.station.time.now())
        stand.station.work()
        stand.carry(both, "again.zip")
        before = len(stand.xnat.requests)
        assert len(stand.after(days=400)) == 2
        assert len(stand.xnat.requests) == before


def test_a_zip_of_which_a_study_was_skipped_stays(stand: Stand) -> None:
    stand.carry(zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(2, 1, 1, date=""))]))
    stand.station.ledger.decisions.skip(2, "no date", stand.station.time.now())
    stand.station.work()
    assert stand.after(days=400) == ["done/skipped/1_scan.zip"]


def test_a_zip_stays_while_a_later_one_of_its_study_is_held_about_its_contents(stand: Stand) -> None:
    stand.carry(scan())
    stand.carry(scan(pixels=b"\x02" * 512), "other.zip")
    assert stand.station.standings()[-1][2] == "held"
    assert stand.after(days=400) == ["done/2026-01/1_scan.zip", "work/2.zip"]


def test_a_zip_stays_whose_images_xnat_has_from_elsewhere_since_nobody_has_seen_what_is_in_them(stand: Stand) -> None:
    archived_by_others(stand.xnat, "FIRST", scan(), "Somebody", "ELSE")
    stand.carry(scan(images=3))
    assert stand.after(days=31) == ["done/2026-01/1_scan.zip"]
    stand.carry(scan(2, date="20240301"), "ours.zip")
    assert stand.after(days=31) == ["done/2026-01/1_scan.zip"]
    stand.restarted()
    stand.after(hours=2)
    assert stand.events() == [("kept", "XNAT had images of it from elsewhere, and tells their UIDs only")]


def test_another_zip_of_the_same_images_goes_since_their_bytes_were_sent_from_the_first(stand: Stand) -> None:
    stand.carry(scan(images=3))
    stand.carry(scan(images=2), "part.zip")
    assert stand.after(days=31) == []


def test_another_file_that_lies_in_its_place_is_not_deleted(stand: Stand) -> None:
    stand.carry(scan())
    (path,) = stand.station.folders.done.glob("*/*.zip")
    path.write_bytes(scan(2))
    assert stand.after(days=31) == ["done/2026-01/1_scan.zip"]
    assert stand.events() == [("kept", "another file lies in its place")]


def test_a_zip_from_a_ledger_that_was_lost_is_not_taken_for_the_new_one_of_its_number(stand: Stand) -> None:
    stand.carry(scan(1))
    stand.station.close()
    lose(stand.folder / "watchd")
    stand.restarted()
    stand.carry(scan(2, date="20240301"))
    assert stand.station.files() == ["done/2026-01/1_scan-2.zip", "done/2026-01/1_scan.zip"]
    assert stand.after(days=31) == ["done/2026-01/1_scan.zip"]


def test_killed_before_it_was_written_down_the_deletion_is_written_down_later(stand: Stand) -> None:
    stand.carry(scan())
    (path,) = stand.station.folders.done.glob("*/*.zip")
    path.unlink()
    stand.after(days=31)
    assert [event for event, _ in stand.events()] == ["deleted"]


# -- XNAT and pauses ---------------------------------------------------------------------------------------


def test_a_server_that_is_down_keeps_every_zip_and_is_asked_something_cheap_before_anything_else(stand: Stand) -> None:
    stand.carry(scan(1), "a.zip")
    stand.carry(scan(2, date="20240301"), "b.zip")
    stand.xnat.faults.on("GET", "/experiments/").refuse(503)
    assert len(stand.after(days=31)) == 2
    assert stand.station.ledger.gates.get().shut
    stand.xnat.faults.on("GET", "/data/auth").refuse(503)
    before = len(stand.xnat.requests)
    assert len(stand.after(hours=2)) == 2
    assert [path for _, path, *_ in stand.xnat.requests[before:]] == ["/data/auth"]
    assert stand.after(hours=2) == []


def test_while_it_is_paused_nothing_is_deleted(stand: Stand) -> None:
    stand.carry(scan())
    stand.station.ledger.pauses.begin(Activity.WORK, "a person", "", stand.station.time.now())
    assert len(stand.after(days=31)) == 1
    stand.station.ledger.pauses.end(stand.station.time.now())
    assert stand.after(hours=2) == []


# -- the clock ---------------------------------------------------------------------------------------------


def ahead(time: Time, **span: float) -> None:
    """Set the clock without time passing."""
    time.at += timedelta(**span)


@pytest.mark.parametrize("days", [3653, -3653, 2])
def test_a_clock_that_is_set_by_days_stops_it_until_a_person_has_looked(stand: Stand, days: float) -> None:
    stand.carry(scan())
    ahead(stand.station.time, days=days)
    assert len(stand.after(hours=2)) == 1
    (pause,) = stand.station.ledger.pauses.open()
    assert (pause.of, pause.why) == (Activity.RETENTION, f"the clock was set by {abs(int(days))} days")
    assert "`xnat-watchd resume`" in pause.advice
    assert stand.station.log.events()[-1] == "retention.stopped"
    stand.restarted()
    assert len(stand.after(hours=2)) == 1
    ahead(stand.station.time, days=-days)
    stand.restarted()
    stand.station.ledger.pauses.end(stand.station.time.now())
    assert len(stand.after(hours=2)) == 1
    assert stand.after(days=31) == []


def test_a_start_with_a_clock_that_is_years_ahead_stops_it(stand: Stand) -> None:
    stand.carry(scan())
    ahead(stand.station.time, days=3653)
    stand.restarted()
    assert len(stand.after(hours=2)) == 1
    (pause,) = stand.station.ledger.pauses.open()
    assert pause.why == "the clock says that the last event was 3653 days ago"
    assert stand.restarted().ledger.pauses.lasts(Activity.RETENTION)


def test_after_a_person_has_looked_a_long_silence_is_believed(stand: Stand) -> None:
    stand.carry(scan())
    stand.station.time.pass_(days=60)
    stand.restarted()
    assert len(stand.after(hours=2)) == 1
    stand.station.ledger.pauses.end(stand.station.time.now())
    assert stand.after(hours=2) == []
    stand.restarted()
    stand.after(hours=2)
    assert stand.station.ledger.pauses.open() == []


def test_a_clock_that_is_put_right_by_hours_stops_nothing(stand: Stand) -> None:
    stand.carry(scan())
    ahead(stand.station.time, hours=5)
    assert stand.after(days=31) == []


# -- verify ------------------------------------------------------------------------------------------------


Verify = Callable[[int], str]


@pytest.fixture
def verified(stand: Stand) -> Verify:
    from xnat_watchd.studies.verification import verify

    def ask(key: int) -> str:
        return verify(
            stand.station.ledger.studies.get(key), stand.station.ledger, stand.gateway, stand.station.time.now()
        ).summary

    return ask


def test_what_is_whole_is_said_to_be_with_all_that_came_later(stand: Stand, verified: Verify) -> None:
    stand.carry(scan(images=1))
    stand.carry(scan(images=3), "more.zip")
    assert verified(1) == verified(2) == "XNAT holds all 3 images"


def test_what_is_missing_is_said_series_by_series(stand: Stand, verified: Verify) -> None:
    stand.carry(zipped([(f"{s}{n}.dcm", instance(1, s, n)) for s in (1, 2) for n in (1, 2)]))
    restored_without(stand.xnat, sop_uid(1, 2, 1))
    assert verified(1) == "XNAT lacks 1 of 4 images: series 2 (MR) has 1 of 2"
    restored_without(stand.xnat, sop_uid(1, 2, 2), sop_uid(1, 1, 1), sop_uid(1, 1, 2))
    assert verified(1) == "XNAT has no session of it: all 4 images are missing"


def test_a_session_that_was_made_anew_under_another_number_is_found_by_its_study(
    stand: Stand, verified: Verify
) -> None:
    stand.carry(scan())
    restored_without(stand.xnat, sop_uid(1, 1, 1), sop_uid(1, 1, 2))
    archived_by_others(stand.xnat, "BACK", scan(images=1), "Somebody", "ELSE")
    assert verified(1) == "XNAT lacks 1 of 2 images: series 1 (MR) has 1 of 2"
