"""A verdict on the content of a study: a fact that no retry, second copy, resend or restart forgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import instance, sop_uid
from tests.services.desk import Desk, states
from tests.station import Station, zipped
from xnat_watchd.core.errors import Impossible, Undecided
from xnat_watchd.core.findings import Finding, FindingKind, must_not_hold
from xnat_watchd.core.retention import RetentionRules
from xnat_watchd.operator.status import Exit, take_snapshot, verdict, without_names


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.close()


def cut(number: int) -> bytes:
    return instance(1, 1, number)[:-100]


TROUBLES = {
    "damaged": zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2)), ("3.dcm", cut(3))]),
    "two people": zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2, name="A^B", patient="AB-1"))]),
    "two contents": zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 1, pixels=b"\x02" * 512)),
                            ("3.dcm", instance(1, 1, 2))]),
    "no study": zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(2, 1, 2)), ("3.dcm", b"")]),
}  # fmt: skip


@pytest.fixture(params=["damaged", "two people", "two contents"])
def trouble(request: pytest.FixtureRequest) -> bytes:
    return TROUBLES[request.param]


def held(desk: Desk, content: bytes) -> Station:
    """Return a station at which this ZIP was dropped and is held."""
    station = desk.station()
    station.drop("scan.zip", content)
    station.take_in()
    station.work()
    assert station.standings() == [("1.1", "received", "held")]
    return station


def make_ready(station: Station) -> None:
    """Make a study ready as nothing in the program does: a rule of ours that is forgotten, or a hand in the ledger."""
    with station.ledger.studies._db.change() as db:
        db.execute("UPDATE studies SET standing = 'ready' WHERE key = 1")


def kinds(station: Station, key: int = 1) -> list[str]:
    return [str(one.kind) for one in station.ledger.findings.open(key)]


def is_untouched(desk: Desk, station: Station) -> None:
    assert {standing for _, _, standing in station.standings()} == {"held"}
    assert desk.xnat.instances() == []
    assert len([name for name in station.files() if name.startswith("work/")]) == len(station.standings())


def test_what_was_found_when_the_zip_was_opened_stands_beside_the_study(desk: Desk) -> None:
    for number, (kind, content) in enumerate(list(TROUBLES.items())[:3], 1):
        station = desk.station()
        station.drop(f"{number}.zip", content)
        station.take_in()
        assert kinds(station, number) == [kind]
        assert station.ledger.studies.get(number).findings == station.ledger.findings.open(number)


@pytest.mark.parametrize("copies", [1, 3])
def test_the_same_bytes_dropped_again_are_the_same_verdict(desk: Desk, trouble: bytes, copies: int) -> None:
    station = held(desk, trouble)
    for number in range(copies):
        station.drop(f"again-{number}.zip", trouble)
        station.take_in()
        station.work()
        is_untouched(desk, station)
    assert [event["event"] for event in (station.ledger.views.delivery(1) or {})["events"]] == [
        "arriving",
        "taken",
        "held",
    ]
    story = station.ledger.views.delivery(2) or {}
    assert (story["state"], story["why"]) == ("duplicate", "the same as delivery 1, which is still held")


def test_two_copies_at_once_are_one_verdict(desk: Desk, trouble: bytes) -> None:
    station = desk.station()
    for name in ("scan.zip", "scan (1).zip"):
        station.drop(name, trouble)
    station.take_in()
    station.work()
    assert station.standings() == [("1.1", "received", "held")]
    is_untouched(desk, station)
    assert states(station) == {"taken": 1, "duplicate": 1}
    assert [one["same_as"] for one in station.ledger.views.fates(9)] == [None, "1"]


def test_whatever_makes_it_ready_again_it_is_held_before_any_step(desk: Desk, trouble: bytes) -> None:
    station = held(desk, trouble)
    make_ready(station)
    station.work()
    is_untouched(desk, station)
    assert desk.xnat.requests == []


def test_a_restart_forgets_no_verdict(desk: Desk, trouble: bytes) -> None:
    station = held(desk, trouble)
    make_ready(station)
    station = desk.station()
    station.work()
    is_untouched(desk, station)


def test_of_what_was_skipped_the_same_bytes_are_held_again(desk: Desk, trouble: bytes) -> None:
    station = held(desk, trouble)
    station.ledger.decisions.skip(1, "no", station.time.now())
    station.work()
    station.drop("again.zip", trouble)
    station.take_in()
    station.work()
    assert station.standings() == [("1.1", "received", "skipped"), ("2.1", "received", "held")]
    assert desk.xnat.instances() == []


def test_dropped_again_while_it_is_being_skipped_it_is_wanted_and_held(desk: Desk, trouble: bytes) -> None:
    station = held(desk, trouble)
    station.ledger.decisions.skip(1, "no", station.time.now())
    item = station.ledger.studies.take(station.time.now())
    assert item is not None
    station.drop("again.zip", trouble)
    station.take_in()
    station.pipeline._carry(item)
    station.work()
    is_untouched(desk, station)


def test_dropped_again_while_its_withdrawal_is_under_way_a_sound_one_is_sent(desk: Desk) -> None:
    sound = zipped([("1.dcm", instance(1, 1, 1))])
    station = desk.station()
    station.drop("a.zip", sound)
    station.take_in()
    station.ledger.decisions.skip(1, "no", station.time.now())
    item = station.ledger.studies.take(station.time.now())
    assert item is not None
    station.drop("b.zip", sound)
    station.take_in()
    station.pipeline._carry(item)
    station.work()
    assert station.standings() == [("1.1", "complete", "done")]
    assert desk.archived() == Counter([sop_uid(1, 1, 1)])


def test_sent_again_while_the_same_bytes_are_being_opened_they_are_its_duplicate(desk: Desk) -> None:
    sound = zipped([("1.dcm", instance(1, 1, 1))])

    def around(part: str, thing: Any) -> Any:
        def opened(path: Path, *observer: Any) -> Any:
            contents = thing(path, *observer)
            station.ledger.decisions.resend(1, "an old backup", station.time.now())  # typed by a person just now
            return contents

        return opened if part == "zip.open" else thing

    carried_one(desk, sound)
    station = desk.station(around=around)
    station.drop("again.zip", sound)
    station.take_in()
    station.work()
    assert states(station) == {"finished": 1, "duplicate": 1}
    assert desk.archived() == Counter([sop_uid(1, 1, 1)])


def carried_one(desk: Desk, content: bytes) -> Station:
    """Return a station that has carried a ZIP to its end."""
    station = desk.station()
    station.drop("scan.zip", content)
    station.take_in()
    station.work()
    assert states(station) == {"finished": 1}
    return station


# -- findings that are made on the way ---------------------------------------------------------------------


FOREIGN = Finding(kind=FindingKind.FOREIGN, count=1, why="XNAT's session holds 1 other image", members=("b", "a"))


def test_the_same_finding_is_written_once(desk: Desk) -> None:
    station = held(desk, TROUBLES["damaged"])
    item, now = station.ledger.studies.get(1), station.time.now()
    for members in (("b", "a"), ("a", "b")):
        station.ledger.findings.add(item, Finding(kind=FOREIGN.kind, count=1, why="x", members=members), now)
    assert kinds(station) == ["damaged", "foreign images"]
    station.ledger.findings.add(item, Finding(kind=FOREIGN.kind, count=1, why="x", members=("c",)), now)
    assert kinds(station) == ["damaged", "foreign images", "foreign images"]
    story = station.ledger.views.delivery(1) or {}
    assert [event["event"] for event in story["events"]].count("finding") == 2


def test_a_finding_stops_the_step_that_makes_it() -> None:
    with pytest.raises(Undecided, match="1 other image") as stopped:
        must_not_hold([FOREIGN])
    assert "`xnat-watchd accept ITEM --why TEXT`" in stopped.value.advice
    must_not_hold([Finding(kind=FindingKind.ABSENT, count=2, why="2 images are listed and did not come")])


# -- what a person decides ---------------------------------------------------------------------------------

WHY = "Zenobia's scanner has deleted it"  #: as people write it: with a name


def accept(station: Station, key: int = 1) -> str:
    return station.ledger.decisions.accept(key, WHY, "ada", station.time.now())


def told(station: Station, number: int = 1) -> dict[str, Any]:
    story = station.ledger.views.delivery(number)
    assert story is not None
    return story


def test_retry_settles_nothing_and_says_what_to_type(desk: Desk, trouble: bytes) -> None:
    station = held(desk, trouble)
    with pytest.raises(Impossible) as refused:
        station.ledger.decisions.retry(1, station.time.now())
    assert "`xnat-watchd" in refused.value.advice
    assert station.standings() == [("1.1", "received", "held")]


def test_resend_goes_round_no_finding_of_what_is_held_or_skipped(desk: Desk, trouble: bytes) -> None:
    station = held(desk, trouble)
    with pytest.raises(Impossible, match=r"`|patients|image"):
        station.ledger.decisions.resend(1, "", station.time.now())
    station.ledger.decisions.skip(1, "no", station.time.now())
    station.work()
    with pytest.raises(Impossible) as refused:
        station.ledger.decisions.resend(1, "", station.time.now())
    assert "Drop its ZIP again" in refused.value.advice
    assert station.standings() == [("1.1", "received", "skipped")]


def test_two_people_in_one_study_are_accepted_by_nobody(desk: Desk) -> None:
    station = held(desk, TROUBLES["two people"])
    with pytest.raises(Impossible, match="two patients in one study") as refused:
        accept(station)
    assert "`xnat-watchd skip ITEM --why TEXT`" in refused.value.advice
    assert kinds(station) == ["two people"]
    station.ledger.decisions.skip(1, "no", station.time.now())
    station.work()
    assert station.files() == ["done/skipped/1_scan.zip"]
    assert desk.xnat.instances() == []


def test_what_is_accepted_goes_on_without_the_damaged_and_this_is_told_for_good(desk: Desk) -> None:
    station = held(desk, TROUBLES["damaged"])
    assert accept(station) == "1 of 3 images is damaged (cut short)"
    station.work()
    assert station.standings() == [("1.1", "complete", "done")]
    assert desk.archived() == Counter(sop_uid(1, 1, n) for n in (1, 2))
    (study,) = told(station)["studies"]
    (finding,) = study["findings"]
    assert (finding["by"], finding["reason"], finding["settled"][:10]) == ("ada", WHY, "2026-01-01")
    assert (study["images"], study["left_behind"]) == (3, 1)
    (row,) = station.ledger.views.left_behind()
    assert (row["item"], row["images"], row["of"], row["why"]) == ("1.1", 2, 3, "1 of 3 images is damaged (cut short)")


def test_what_was_accepted_holds_for_what_was_found_until_then_only(desk: Desk) -> None:
    station = held(desk, TROUBLES["damaged"])
    accept(station)
    station.ledger.findings.add(station.ledger.studies.get(1), FOREIGN, station.time.now())
    station.work()
    assert station.standings() == [("1.1", "received", "held")]
    assert desk.xnat.instances() == []


def test_what_is_not_held_any_more_cannot_be_accepted(desk: Desk) -> None:
    station = held(desk, TROUBLES["damaged"])
    accept(station)
    for decide in (accept, lambda one: one.ledger.decisions.retry(1, one.time.now())):
        with pytest.raises(Impossible, match="it is not held"):
            decide(station)


def test_the_same_bytes_of_what_was_accepted_are_the_same_verdict(desk: Desk) -> None:
    station = held(desk, TROUBLES["damaged"])
    accept(station)
    station.work()
    station.drop("again.zip", TROUBLES["damaged"])
    station.take_in()
    station.work()
    assert station.standings() == [("1.1", "complete", "done"), ("2.1", "received", "held")]
    assert station.ledger.views.attention()[0]["item"] == "2.1"


def test_of_what_belongs_to_no_study_nothing_is_sent_once_it_is_accepted(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(2, 1, 1, time="113000")),
                                     ("3.dcm", b"")]))  # fmt: skip
    station.take_in()
    station.work()
    assert station.standings()[2] == ("1.3", "received", "held")
    assert accept(station, 3).endswith(": nothing of it is sent")
    station.work()
    assert [standing for _, _, standing in station.standings()] == ["done", "done", "skipped"]
    assert told(station)["studies"][2]["why"] == "nothing of it is sent, as a person has accepted"
    assert station.files() == ["done/skipped/1_scan.zip"]


def scan(*numbers: int, comment: str = "", **about: Any) -> bytes:
    members = [(f"{n}.dcm", instance(1, 1, n, **about)) for n in numbers]
    return zipped([*members, *([("readme.txt", comment.encode())] if comment else [])])


def carried(station: Station, *contents: bytes) -> None:
    for content in contents:
        number = sum(station.ledger.views.deliveries().values()) + 1
        station.drop(f"{number}.zip", content)
        station.take_in()
        station.work()


def test_another_content_under_a_uid_that_xnat_has_is_a_finding_and_accepted_it_stays_behind(desk: Desk) -> None:
    station = desk.station()
    carried(station, scan(1, 2), zipped([("1.dcm", instance(1, 1, 1, pixels=b"\x02" * 512)),
                                               ("3.dcm", instance(1, 1, 3))]))  # fmt: skip
    assert [(str(one.kind), one.members) for one in station.ledger.findings.open(2)] == [
        ("two contents", (sop_uid(1, 1, 1),))
    ]
    accept(station, 2)
    station.work()
    assert station.standings() == [("1.1", "complete", "done"), ("2.1", "complete", "done")]
    assert desk.archived() == Counter(sop_uid(1, 1, n) for n in (1, 2, 3))
    (row,) = station.ledger.views.left_behind()
    assert (row["item"], row["images"], row["of"]) == ("2.1", 1, 2)
    assert [(one["sent"], one["left_behind"]) for one in station.ledger.views.fates(9)] == [(2, 0), (1, 1)]
    carried(station, scan(1, comment="what XNAT has under that UID, once more"))
    assert station.standings()[2] == ("3.1", "complete", "done")


def test_equal_size_and_checksum_are_not_equal_bytes_where_the_digest_is_known(desk: Desk) -> None:
    station = desk.station()
    carried(station, scan(1))
    with station.ledger.studies._db.change() as db:
        db.execute("UPDATE instances SET digest = ?", (b"\x01",))
    station.drop("again.zip", scan(1, comment="another ZIP"))
    station.take_in()
    with station.ledger.studies._db.change() as db:
        db.execute("UPDATE instances SET digest = ? WHERE study = 2", (b"\x02",))
    station.work()
    assert kinds(station, 2) == ["two contents"]
    with station.ledger.studies._db.change() as db:  # of what an older version recorded, size and checksum must do
        db.execute("UPDATE instances SET digest = ? WHERE study = 1", (b"",))
    station.drop("more.zip", scan(1, comment="a third ZIP"))
    station.take_in()
    station.work()
    assert station.standings()[2] == ("3.1", "complete", "done")


# -- a new export that heals the study ---------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["damaged", "two people", "two contents"])
def test_a_sound_export_goes_on_and_settles_the_one_that_is_held(desk: Desk, bad: str) -> None:
    station = held(desk, TROUBLES[bad])
    carried(station, scan(1, 2, 3))
    assert station.standings() == [("1.1", "received", "skipped"), ("2.1", "complete", "done")]
    assert desk.archived() == Counter(sop_uid(1, 1, n) for n in (1, 2, 3))
    (study,) = told(station)["studies"]
    (finding,) = study["findings"]
    assert (study["unwanted"], study["why"]) == ("replaced by delivery 2", "replaced by delivery 2")
    assert (finding["by"], finding["reason"]) == ("delivery 2", "replaced by delivery 2")
    assert station.files() == ["done/2026-01/2_2.zip", "done/skipped/1_scan.zip"]
    assert station.ledger.views.attention() == []
    assert station.ledger.views.left_behind() == []


@pytest.mark.parametrize("bad", ["damaged", "two people", "two contents"])
def test_resend_does_not_send_what_a_sound_export_has_replaced(desk: Desk, bad: str) -> None:
    station = held(desk, TROUBLES[bad])
    carried(station, scan(1, 2, 3))
    desk.xnat.sessions.clear()
    with pytest.raises(Impossible) as refused:
        station.ledger.decisions.resend(1, "XNAT has lost it", station.time.now())
    assert "Drop its ZIP again" in refused.value.advice
    station.ledger.decisions.resend(2, "XNAT has lost it", station.time.now())
    station.work()
    assert station.standings() == [("1.1", "received", "skipped"), ("2.1", "complete", "done")]
    assert desk.archived() == Counter(sop_uid(1, 1, n) for n in (1, 2, 3))


def test_the_same_zip_dropped_again_while_it_is_replaced_does_not_begin_anew(desk: Desk) -> None:
    station = held(desk, TROUBLES["two people"])
    station.drop("sound.zip", scan(1, 2, 3))
    station.take_in()
    while station.ledger.studies.get(1).skip_reason is None:
        assert station.pipeline.step()
    station.drop("again.zip", TROUBLES["two people"])
    station.take_in()
    station.work()
    assert station.standings() == [("1.1", "received", "skipped"), ("2.1", "complete", "done")]


@pytest.mark.parametrize(
    "lacks",
    [
        pytest.param(scan(1, 2), id="the image that was damaged"),
        pytest.param(scan(1, 2, 4), id="the image that was damaged, with another in its place"),
        pytest.param(scan(1, 3, 4), id="an image that was whole"),
        pytest.param(zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2)), ("3.dcm", cut(3)),
                             ("4.dcm", cut(4))]), id="soundness"),
    ],
)  # fmt: skip
def test_an_export_that_does_not_heal_goes_its_own_way_and_the_old_one_stays_held(desk: Desk, lacks: bytes) -> None:
    station = held(desk, TROUBLES["damaged"])
    carried(station, lacks)
    assert station.standings()[0] == ("1.1", "received", "held")
    assert kinds(station) == ["damaged"]


def test_an_export_with_fewer_images_than_the_old_one_had_with_the_unreadable_heals_nothing(desk: Desk) -> None:
    zeros = ("3.dcm", bytes(len(instance(1, 1, 3))))
    station = held(desk, zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2)), zeros]))
    carried(station, scan(1, 2))
    assert station.standings() == [("1.1", "received", "held"), ("2.1", "complete", "done")]


def test_an_export_of_another_person_heals_nothing(desk: Desk) -> None:
    station = held(desk, TROUBLES["damaged"])
    station.drop("other.zip", zipped([(f"{n}.dcm", instance(1, 1, n, name="A^B", patient="AB-1")) for n in (1, 2, 3)]))
    station.take_in()
    station.work()

    assert station.standings() == [("1.1", "received", "held"), ("2.1", "complete", "done")]


def test_an_export_that_was_itself_accepted_heals_nothing(desk: Desk) -> None:
    station = held(desk, TROUBLES["damaged"])
    carried(station, zipped([*((f"{n}.dcm", instance(1, 1, n)) for n in (1, 2, 3)), ("4.dcm", cut(4))]))
    accept(station, 2)
    station.work()
    assert station.standings() == [("1.1", "received", "held"), ("2.1", "complete", "done")]


def test_until_xnat_holds_the_new_export_the_old_one_is_not_settled(desk: Desk) -> None:
    station = held(desk, TROUBLES["damaged"])
    station.drop("2.zip", scan(1, 2, 3))
    station.take_in()
    while station.standings()[1][1] != "archived":
        assert kinds(station) == ["damaged"]
        assert station.pipeline.step()
    assert kinds(station) == []


def test_of_two_zips_of_a_study_the_one_that_xnat_has_part_of_goes_first(desk: Desk) -> None:
    station = held(desk, TROUBLES["damaged"])
    station.drop("2.zip", scan(1, 2))
    station.take_in()
    assert station.pipeline.step()
    assert station.standings()[1] == ("2.1", "uploaded", "ready")
    accept(station)  # while the later one lies in the prearchive: never two rows of one study there
    why = {row["item"]: row["why"] for row in station.ledger.views.under_way()}
    assert why["1.1"] == "waits for 2.1, which has part of the same study and is ready"
    station.work()
    assert [one[1:] for one in station.standings()] == [("complete", "done")] * 2
    assert desk.archived() == Counter(sop_uid(1, 1, n) for n in (1, 2))


# -- what is kept, and what is told ------------------------------------------------------------------------


def test_a_zip_of_which_anything_was_left_behind_is_never_deleted_nor_a_copy_of_it(desk: Desk) -> None:
    station = desk.station(keep=lambda: RetentionRules(timedelta(days=10)))
    for name in ("scan.zip", "copy.zip"):
        station.drop(name, TROUBLES["damaged"])
    station.take_in()
    accept(station)
    station.work()
    station.drop("sound.zip", zipped([("1.dcm", instance(2, 1, 1, time="113000"))]))
    station.take_in()
    station.work()
    station.time.pass_(days=20)
    station.retention.sweep()
    assert station.files() == ["done/2026-01/1_copy.zip", "done/2026-01/2_scan.zip"]


def test_a_zip_whose_dicomdir_names_more_than_came_is_sent_and_never_deleted(desk: Desk) -> None:
    station = desk.station(keep=lambda: RetentionRules(timedelta(days=10)))
    station.drop("scan.zip", scan(1))
    station.take_in()
    absent = Finding(kind=FindingKind.ABSENT, count=2, why="2 images are listed and did not come")
    station.ledger.findings.add(station.ledger.studies.get(1), absent, station.time.now())
    station.work()
    assert station.standings() == [("1.1", "complete", "done")]
    assert station.ledger.views.fates(1)[0]["absent"] == 2
    station.time.pass_(days=20)
    station.retention.sweep()
    assert station.files() == ["done/2026-01/1_scan.zip"]


def a_zip(state: str, **images: int) -> dict[str, object]:
    return {"item": "1", "state": state, "same_as": None, "absent": 0, "clutter": {}, **images}


def test_status_counts_what_became_of_the_members_of_a_zip_and_names_none(desk: Desk) -> None:
    station = held(desk, TROUBLES["damaged"])
    snapshot = take_snapshot(station.ledger, "https://x", station.time.now(), running=True, daemon={})
    assert snapshot["zips"] == [a_zip("taken", sent=0, under_way=2, undecided=1, left_behind=0)]
    assert verdict(snapshot, finished=False) is Exit.ATTENTION
    accept(station)
    station.work()
    snapshot = without_names(
        take_snapshot(station.ledger, "https://x", station.time.now(), running=True, daemon={}), lambda _: True
    )
    assert snapshot["zips"] == [a_zip("finished", sent=2, under_way=0, undecided=0, left_behind=1)]
    assert [(one["item"], one["images"], one["of"]) for one in snapshot["left_behind"]] == [("1.1", 2, 3)]
    assert not any(word in str(snapshot) for word in ("Zenobia", "Quokka", "ada"))


def test_clutter_is_counted_by_kind(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", scan(1))
    station.take_in()
    with station.ledger.studies._db.change() as db:
        db.execute("INSERT INTO clutter VALUES (1, 'text', 2), (1, 'DICOMDIR', 1)")
    assert told(station)["clutter"] == {"DICOMDIR": 1, "text": 2}
    assert station.ledger.views.fates(1)[0]["clutter"] == {"DICOMDIR": 1, "text": 2}


@pytest.mark.parametrize("standing", ["ready", "waiting"])
def test_while_a_finding_is_open_all_is_never_said_to_be_well(desk: Desk, standing: str) -> None:
    station = held(desk, TROUBLES["damaged"])
    with station.ledger.studies._db.change() as db:
        db.execute("UPDATE studies SET standing = ?, why = NULL", (standing,))
    (row,) = station.ledger.views.attention()
    assert (row["item"], row["why"]) == ("1.1", "1 of 3 images is damaged (cut short)")
    assert "`xnat-watchd accept 1.1 --why TEXT`" in row["advice"]
