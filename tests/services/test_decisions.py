"""What people decide: `skip`, `accept`, `resend`, `pause` and `resume`, and what becomes of it on XNAT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.dicom import instance, sop_uid
from tests.others import archived_by_others, beside_others, restored_without, sent_by_others
from tests.station import Station, zipped
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.delivery import Place
from xnat_watchd.core.errors import Impossible
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.core.states import Progress
from xnat_watchd.operator.prearchive import PrearchiveContext, plan
from xnat_watchd.operator.status import Exit, sentence, take_snapshot, verdict, without_names
from xnat_watchd.sandbox import Options, Sandbox
from xnat_watchd.studies.steps import retire

WHY = "Zenobia was scanned twice"  #: as people write it: with a name
LABEL = "Quokka_Zenobia_20240229T101530_MR"


def scan(study: int = 1, images: int = 2, **about: Any) -> bytes:
    return zipped([(f"{study}-{n}.dcm", instance(study, 1, n, **about)) for n in range(1, images + 1)])


def with_scout(study: int = 1, **about: Any) -> bytes:
    """Return a ZIP of two series of images; a site's filter drops the second."""
    scout = instance(study, 2, 1, description="scout", **about)
    return zipped([("1.dcm", instance(study, 1, 1, **about)), ("2.dcm", scout)])


@dataclass
class Stand:
    """One XNAT, and one workstation."""

    xnat: Sandbox
    gateway: Any
    station: Station
    rules: ProjectRules

    def carry(self, content: bytes, name: str = "scan.zip") -> None:
        self.station.drop(name, content)
        self.station.run()

    def held(self) -> Counter[str]:
        return Counter(one.sop_uid for one in self.xnat.instances())

    def where(self) -> set[str]:
        return {one.where for one in self.xnat.instances()}

    def skip(self, item: int = 1, number: int | None = None) -> None:
        for key in self.station.ledger.views.keys(item, number).values():
            self.station.ledger.decisions.skip(key, WHY, self.station.time.now())

    def accept(self, item: int = 1) -> None:
        for key in self.station.ledger.views.keys(item, None).values():
            self.station.ledger.decisions.accept(key, WHY, "ada", self.station.time.now())

    def resend(self, item: int = 1) -> None:
        for key in self.station.ledger.views.keys(item, None).values():
            self.station.ledger.decisions.resend(key, WHY, self.station.time.now())

    def imports(self) -> int:
        return sum(method == "POST" and "services/import" in path for method, path, _, _ in self.xnat.requests)

    def standings(self) -> dict[str, str]:
        return {item: standing for item, _, standing in self.station.standings()}

    def events(self, item: int = 1) -> list[str]:
        story = self.station.ledger.views.delivery(item) or {}
        return [event["event"] for event in story["events"]]

    def state(self, item: int = 1) -> tuple[str, str | None, str | None]:
        story = self.station.ledger.views.delivery(item) or {}
        return story["state"], story["why"], story["resting"]

    def advice(self) -> str:
        (row,) = self.station.ledger.views.attention()
        return str(row["advice"])


@pytest.fixture(params=["1.8", "1.6"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def options() -> Options:
    return Options()


@pytest.fixture
def stand(tmp_path: Path, dialect: str, options: Options) -> Iterator[Stand]:
    with ExitStack() as stack:
        context = beside_others(tmp_path, dialect, lambda: one.rules, options)
        xnat, gateway, station = stack.enter_context(context)
        one = Stand(xnat, gateway, station, ProjectRules())
        yield one
        xnat.faults.check()


# -- skip --------------------------------------------------------------------------------------------------


@pytest.fixture
def stuck(stand: Stand) -> Stand:
    """Return a stand whose first study cannot leave the prearchive. A row of somebody else lies beside it."""
    archived_by_others(stand.xnat, "THEIRS", scan(9), "Somebody", LABEL)
    sent_by_others(stand.xnat, "WAITING", scan(8))
    stand.carry(scan())
    assert stand.standings() == {"1.1": "held"}
    assert stand.held()[sop_uid(1, 1, 1)] == 1
    return stand


def test_what_lies_of_a_skipped_study_in_the_prearchive_is_removed_and_nothing_else_is(stuck: Stand) -> None:
    stuck.skip()
    stuck.station.work()
    assert stuck.standings() == {"1.1": "skipped"}
    assert set(stuck.held()) == {sop_uid(study, 1, n) for study in (8, 9) for n in (1, 2)}
    assert stuck.station.files() == ["done/skipped/1_scan.zip"]
    assert stuck.state() == ("finished", "1 of 1 studies skipped", "done/skipped/1_scan.zip")
    assert stuck.events()[-4:] == ["unwanted", "taken", "skipped", "finished"]


def test_what_a_person_wrote_is_kept_for_those_who_may_read_the_ledger_only(stuck: Stand) -> None:
    stuck.skip()
    snapshot = take_snapshot(stuck.station.ledger, "https://x", stuck.station.time.now(), running=True, daemon={})
    assert "Zenobia" not in str(without_names(snapshot, lambda _: True))
    stuck.station.work()
    story = stuck.station.ledger.views.delivery(1) or {}
    assert story["studies"][0]["unwanted"] == WHY
    assert "Zenobia" not in str(stuck.station.log.lines)


def test_a_row_is_seen_to_be_gone_before_its_study_is_skipped(stuck: Stand) -> None:
    stuck.xnat.faults.on("DELETE", "/prearchive/").lose_answer()
    stuck.xnat.faults.on("GET", "/prearchive/", skip=1).refuse(503)
    stuck.skip()
    stuck.station.work()
    assert stuck.standings() == {"1.1": "skipped"}
    assert sop_uid(1, 1, 1) not in stuck.held()


def test_while_xnat_cannot_be_asked_a_study_is_not_skipped_yet(stuck: Stand) -> None:
    stuck.xnat.faults.on("*", "/", times=4).refuse(503)
    stuck.skip()
    assert stuck.station.pipeline.step()
    assert stuck.standings() == {"1.1": "ready"}
    stuck.station.work()
    assert stuck.standings() == {"1.1": "skipped"}


def test_a_skipped_study_does_not_keep_the_others_of_its_zip_from_their_end(stand: Stand) -> None:
    stand.carry(zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(2, 1, 1, date=""))]))
    assert stand.standings() == {"1.1": "done", "1.2": "held"}
    stand.skip(1, 2)
    stand.station.work()
    assert stand.standings() == {"1.1": "done", "1.2": "skipped"}
    assert stand.state()[:2] == ("finished", "1 of 2 studies skipped")
    assert stand.imports() == 1


def test_the_same_zip_dropped_again_is_taken_anew(stuck: Stand) -> None:
    stuck.skip()
    stuck.station.work()
    restored_without(stuck.xnat, sop_uid(9, 1, 1), sop_uid(9, 1, 2))
    stuck.carry(scan(), "again.zip")
    assert stuck.standings() == {"1.1": "skipped", "2.1": "done"}
    assert stuck.held()[sop_uid(1, 1, 1)] == 1
    assert stuck.station.files() == ["done/2026-01/2_again.zip", "done/skipped/1_scan.zip"]


def test_dropped_again_before_it_was_skipped_it_is_wanted_again(stuck: Stand) -> None:
    stuck.skip()
    restored_without(stuck.xnat, sop_uid(9, 1, 1), sop_uid(9, 1, 2))
    stuck.carry(scan(), "again.zip")
    assert stuck.standings() == {"1.1": "done"}
    assert stuck.state(2)[0] == "duplicate"
    assert stuck.held()[sop_uid(1, 1, 1)] == 1
    assert stuck.where() == {"archive", "prearchive"}  # WAITING is somebody else's


def test_a_study_that_waits_behind_a_held_one_can_be_skipped(stuck: Stand) -> None:
    stuck.station.drop("more.zip", scan(images=3))
    stuck.station.take_in()
    assert not stuck.station.pipeline.step()
    assert stuck.standings() == {"1.1": "held", "2.1": "ready"}
    stuck.skip(2)
    stuck.station.work()
    assert stuck.standings() == {"1.1": "held", "2.1": "skipped"}
    assert stuck.held()[sop_uid(1, 1, 1)] == 1


def test_a_study_for_which_a_place_was_chosen_and_nothing_sent_is_skipped(stand: Stand) -> None:
    stand.station.drop("scan.zip", scan())
    stand.station.start()
    stand.station.take_in()
    item = stand.station.ledger.studies.take(stand.station.time.now())
    assert item is not None
    place = Place("P1", "20260101_000000000", "watchd-1-1-aaaaaaaaaa")
    stand.station.ledger.places.choose(item, place, [sop_uid(1, 1, 1)], stand.station.time.now())
    stand.station.start()
    stand.skip()
    stand.station.work()
    assert stand.standings() == {"1.1": "skipped"}
    assert stand.station.files() == ["done/skipped/1_scan.zip"]


def appears_late(stand: Stand) -> Callable[[], None]:
    """Begin an import whose answer is lost; gives what lets it come to its effect."""
    done = Event()
    stand.xnat.faults.on("POST", "services/import").late_effect(done)
    stand.station.drop("scan.zip", scan())
    stand.station.start()
    stand.station.take_in()
    stand.station.pipeline.step()
    assert stand.where() == set()

    def happen() -> None:
        answered = len(stand.xnat.requests)
        done.set()
        stand.xnat.wait_for_requests(answered + 1)

    return happen


def test_what_was_sent_and_may_still_appear_is_waited_for_and_removed(stand: Stand) -> None:
    happen = appears_late(stand)
    stand.skip()
    while stand.station.pipeline.step():
        pass
    stand.station.pipeline.retire()
    assert stand.standings() == {"1.1": "waiting"}
    happen()
    assert stand.where() == {"prearchive"}
    stand.station.work()
    assert stand.standings() == {"1.1": "skipped"}
    assert stand.held() == Counter()


def test_what_appears_after_it_was_sent_again_to_another_place_is_no_double(stand: Stand) -> None:
    happen = appears_late(stand)
    stand.station.time.pass_(hours=12)
    while not stand.where():
        assert stand.station.pipeline.step()
    happen()
    times = 1 if stand.station.tools.gateway.refuses_second_import() else 2  # there it was sent to the same place again
    assert stand.held() == Counter({sop_uid(1, 1, n): times for n in (1, 2)})
    stand.station.work()
    assert stand.standings() == {"1.1": "done"}
    assert stand.where() == {"archive"}
    assert stand.held() == Counter(sop_uid(1, 1, n) for n in (1, 2))


def test_what_is_being_worked_on_or_has_ended_cannot_be_skipped(stand: Stand) -> None:
    stand.station.drop("scan.zip", scan())
    stand.station.start()
    stand.station.take_in()
    stand.station.ledger.studies.take(stand.station.time.now())
    with pytest.raises(Impossible, match="being worked on"):
        stand.skip()
    stand.station.run()
    with pytest.raises(Impossible, match="it is done already"):
        stand.skip()
    assert stand.standings() == {"1.1": "done"}


def test_what_others_put_into_the_prearchive_stays_there_when_it_is_skipped_and_can_be_found_again(
    stand: Stand,
) -> None:
    sent_by_others(stand.xnat, "SENT", scan())

    def find() -> Any:
        hands = PrearchiveContext(gateway=stand.gateway, ledger=stand.station.ledger, rules=lambda _: stand.rules)
        (line,) = plan("P1", (), hands)
        assert line.existing is not None
        return line.existing

    stand.station.ledger.existing_sessions.admit(find(), stand.station.time.now())
    stand.skip()
    stand.station.work()
    assert stand.standings() == {"1.1": "skipped"}
    assert stand.where() == {"prearchive"}
    stand.station.ledger.existing_sessions.admit(find(), stand.station.time.now())
    stand.station.work()
    assert stand.standings() == {"1.1": "skipped", "2.1": "done"}
    assert stand.where() == {"archive"}


# -- accept ------------------------------------------------------------------------------------------------


class TestWhereTheSiteLeavesOutScouts:
    """A site whose filter drops a series of images."""

    @pytest.fixture
    def options(self) -> Options:
        return Options(left_out_series="scout")

    def test_status_says_what_to_type_with_the_item_in_it(self, stand: Stand) -> None:
        stand.carry(with_scout())
        assert stand.standings() == {"1.1": "held"}
        assert "`xnat-watchd accept 1.1 --why TEXT`" in stand.advice()
        assert "ITEM" not in stand.advice()

    def test_what_a_person_accepts_is_not_sent_again_and_the_study_is_complete(self, stand: Stand) -> None:
        stand.carry(with_scout())
        sent = stand.imports()
        stand.accept()
        stand.station.work()
        assert stand.standings() == {"1.1": "done"}
        assert stand.imports() == sent + 1
        assert stand.held() == Counter([sop_uid(1, 1, 1)])
        (study,) = (stand.station.ledger.views.delivery(1) or {})["studies"]
        assert [(one["left_out"], one["accepted"]) for one in study["series"]] == [(0, 0), (1, 1)]

    def test_what_was_accepted_once_is_not_asked_for_again_when_the_zip_is_dropped_again(self, stand: Stand) -> None:
        stand.carry(with_scout())
        stand.accept()
        stand.station.work()
        sent = stand.imports()
        stand.carry(with_scout(), "again.zip")
        assert stand.standings() == {"1.1": "done", "2.1": "done"}
        assert stand.imports() == sent

    def test_what_was_left_out_at_one_of_two_tries_only_cannot_be_accepted(self, stand: Stand) -> None:
        stand.carry(with_scout())
        with stand.station.ledger.studies._db.change() as db:
            db.execute("UPDATE places SET missing = '[]' WHERE id = (SELECT max(id) FROM places)")
        with pytest.raises(Impossible, match="twice"):
            stand.accept()

    def test_a_study_of_which_nothing_is_left_is_not_complete(self, stand: Stand) -> None:
        stand.carry(zipped([("1.dcm", instance(1, 1, 1, description="scout"))]))
        assert stand.standings() == {"1.1": "held"}
        stand.accept()
        stand.station.work()
        assert stand.standings() == {"1.1": "held"}
        assert "`xnat-watchd skip 1.1 --why TEXT`" in stand.advice()
        stand.skip()
        stand.station.work()
        assert stand.standings() == {"1.1": "skipped"}
        assert stand.held() == Counter()


def test_only_what_was_left_out_twice_can_be_accepted(stuck: Stand) -> None:
    with pytest.raises(Impossible, match="has not left out the same series of it twice"):
        stuck.accept()
    assert stuck.standings() == {"1.1": "held"}


# -- resend ------------------------------------------------------------------------------------------------


def test_only_what_the_server_has_lost_is_sent_again(stand: Stand) -> None:
    stand.carry(scan(images=3))
    restored_without(stand.xnat, sop_uid(1, 1, 2))
    stand.resend()
    stand.station.work()
    assert stand.standings() == {"1.1": "done"}
    assert stand.held() == Counter(sop_uid(1, 1, n) for n in (1, 2, 3))
    assert stand.where() == {"archive"}
    assert stand.imports() == 2
    (study,) = (stand.station.ledger.views.delivery(1) or {})["studies"]
    assert study["generation"] == 2
    assert stand.station.files() == [stand.state()[2]]
    assert "resent" in stand.events()


def test_a_session_that_the_server_has_lost_whole_is_made_again_under_its_label(stand: Stand) -> None:
    stand.carry(scan())
    restored_without(stand.xnat, sop_uid(1, 1, 1), sop_uid(1, 1, 2))
    stand.resend()
    stand.station.work()
    assert {(one.where, one.session) for one in stand.xnat.instances()} == {("archive", LABEL)}
    assert stand.held() == Counter(sop_uid(1, 1, n) for n in (1, 2))


def test_where_nothing_is_lost_nothing_is_sent_and_the_zip_is_not_touched(stand: Stand) -> None:
    stand.carry(scan())
    before = stand.station.folders.kept_path(stand.state()[2] or "").stat()
    stand.station.time.pass_(days=40)
    stand.resend()
    stand.station.work()
    assert stand.standings() == {"1.1": "done"}
    assert stand.imports() == 1
    assert stand.station.folders.kept_path(stand.state()[2] or "").stat() == before


def test_what_is_sent_again_while_its_zip_is_put_to_rest_is_not_put_to_rest(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    resting, resent = retire._kept_path, list[object]()

    def meanwhile(*args: Any) -> Any:
        if not resent:
            stand.resend()
            resent.append(stand.state()[0])
        return resting(*args)

    monkeypatch.setattr(retire, "_kept_path", meanwhile)
    two = [(f"{n}.dcm", instance(n, 1, 1, name=f"N{n}^N", patient=f"P{n}")) for n in (1, 2)]  # one ends with its study
    stand.station.drop("scan.zip", zipped(two))
    stand.station.start()
    stand.station.take_in()
    while stand.station.pipeline.step():
        pass
    stand.station.pipeline.retire()
    ready, done = dict.fromkeys(("1.1", "1.2"), "ready"), dict.fromkeys(("1.1", "1.2"), "done")
    assert (resent, stand.state()[0], stand.standings()) == (["taken"], "taken", ready)
    stand.station.work()
    assert (stand.state()[0], stand.standings()) == ("finished", done)
    assert stand.station.files() == [stand.state()[2]]


def test_a_delivery_of_one_study_ends_with_it_in_one_write(stand: Stand) -> None:
    stand.station.drop("scan.zip", scan())
    stand.station.start()
    stand.station.take_in()
    while stand.state()[0] == "taken":
        assert stand.standings() != {"1.1": "done"}
        stand.station.pipeline.step()
    assert (stand.state()[0], stand.standings()) == ("finished", {"1.1": "done"})
    assert stand.station.files() != [stand.state()[2]]  # moved after that; here after a kill
    stand.station.start()
    assert stand.station.files() == [stand.state()[2]]


def test_what_an_earlier_generation_has_proved_is_asked_anew_file_by_file(stand: Stand) -> None:
    """An old backup, and another ZIP of the series: as many files as were once known, and others."""
    stand.carry(scan(images=1))
    stand.carry(scan(images=2), "more.zip")
    restored_without(stand.xnat, sop_uid(1, 1, 1))
    stand.resend(2)
    stand.station.work()
    assert stand.held() == Counter(sop_uid(1, 1, n) for n in (1, 2))


def test_while_a_later_zip_of_the_study_is_being_sent_an_earlier_one_waits_to_be_sent_again(stand: Stand) -> None:
    stand.carry(scan(images=1))
    stand.station.drop("more.zip", scan(images=2))
    stand.station.take_in()
    later = stand.station.ledger.studies.take(stand.station.time.now())
    assert later is not None
    stand.resend(1)
    assert not stand.station.pipeline.step()
    stand.station.run()
    assert stand.standings() == {"1.1": "done", "2.1": "done"}
    assert stand.held() == Counter(sop_uid(1, 1, n) for n in (1, 2))


def test_an_old_row_of_ours_that_came_back_with_the_backup_is_no_double(stand: Stand) -> None:
    stand.rules = ProjectRules(until=Progress.UPLOADED)
    stand.carry(scan())
    assert stand.where() == {"prearchive"}
    stand.rules = ProjectRules()
    stand.resend()
    stand.station.work()
    assert stand.standings() == {"1.1": "done"}
    assert stand.held() == Counter(sop_uid(1, 1, n) for n in (1, 2))
    assert stand.where() == {"archive"}


def test_a_zip_that_lies_there_no_more_is_missed_before_anything_is_sent(stand: Stand) -> None:
    stand.carry(scan())
    restored_without(stand.xnat, sop_uid(1, 1, 1))
    rest = stand.station.folders.kept_path(stand.state()[2] or "")
    rest.write_bytes(scan(2))
    stand.resend()
    stand.station.work()
    assert stand.standings() == {"1.1": "held"}
    assert stand.station.why("1.1") == "its ZIP is no longer in the folder where it was kept"
    rest.write_bytes(scan())
    stand.station.ledger.decisions.retry(1, stand.station.time.now())
    stand.station.work()
    assert stand.held() == Counter(sop_uid(1, 1, n) for n in (1, 2))


def test_a_restart_while_it_is_sent_again_leaves_the_zip_in_the_work_folder(stand: Stand) -> None:
    stand.carry(scan())
    restored_without(stand.xnat, sop_uid(1, 1, 1))
    stand.resend()
    stand.xnat.faults.on("POST", "services/import").refuse(503)
    stand.station.pipeline.step()
    assert stand.station.files() == ["work/1.1.zip", "work/1.zip"]
    stand.station.start()
    assert "work/1.zip" in stand.station.files()
    stand.station.work()
    assert stand.standings() == {"1.1": "done"}


def test_what_is_on_its_way_or_came_in_no_zip_cannot_be_sent_again(stand: Stand) -> None:
    stand.station.drop("scan.zip", scan())
    stand.station.start()
    stand.station.take_in()
    with pytest.raises(Impossible, match="on its way"):
        stand.resend()
    stand.station.work()
    stand.carry(scan(date="20240301", study=2), "other.zip")
    assert stand.standings() == {"1.1": "done", "2.1": "done"}


# -- pause and resume --------------------------------------------------------------------------------------


def paused(station: Station) -> bool:
    return station.ledger.pauses.begin(Activity.WORK, "a person has paused it", "Type `resume`.", station.time.now())


def test_while_it_is_paused_zips_are_taken_and_nothing_is_asked_of_xnat_also_after_a_restart(stand: Stand) -> None:
    assert paused(stand.station)
    assert not paused(stand.station)
    before = len(stand.xnat.requests)
    stand.carry(scan())
    stand.station.start()
    assert not stand.station.pipeline.step()
    assert stand.standings() == {"1.1": "ready"}
    assert stand.station.files() == ["work/1.zip"]
    assert len(stand.xnat.requests) == before
    assert stand.station.ledger.pauses.end(stand.station.time.now()) == [Activity.WORK]
    stand.station.work()
    assert stand.standings() == {"1.1": "done"}


def test_status_says_that_it_is_paused_and_that_something_waits(stand: Stand) -> None:
    paused(stand.station)
    stand.station.drop("scan.zip", scan())
    stand.station.start()
    stand.station.take_in()
    snapshot = take_snapshot(stand.station.ledger, "https://x", stand.station.time.now(), running=True, daemon={})
    (one,) = without_names(snapshot, lambda _: True)["paused"]
    assert (one["of"], one["why"], one["advice"]) == ("work", "a person has paused it", "Type `resume`.")
    assert sentence(snapshot) == "1 under way, 0 held, 0 complete; work paused"
    assert verdict(snapshot, finished=True) is Exit.WAITING


def test_a_finished_zip_rests_only_when_it_goes_on(stand: Stand) -> None:
    stand.station.drop("scan.zip", scan())
    stand.station.start()
    stand.station.take_in()
    while stand.station.pipeline.step():
        stand.station.time.pass_(seconds=1)
    paused(stand.station)
    assert not stand.station.pipeline.retire()
    stand.station.ledger.pauses.end(stand.station.time.now() + timedelta(hours=1))
    assert stand.station.pipeline.retire()
