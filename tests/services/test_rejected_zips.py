"""What lies in `failed` is over once a later ZIP holds all of it, by its bytes. Whatever proves less, it stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.dicom import instance
from tests.engine import asked, location_of
from tests.services.desk import Desk
from tests.station import Station, zipped
from xnat_watchd.adapters.ledger.listing import DeliveryQuery
from xnat_watchd.core.errors import Stopped

TWO_STUDIES = [("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2)), ("3.dcm", instance(2, 1, 1))]
NOTE = "failed/1_scan.zip.txt"


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    desk = Desk(tmp_path)
    yield desk.station()
    desk.close()


def reject(station: Station, data: bytes, name: str = "scan.zip") -> None:
    """Drop a ZIP whose copy was broken off, and wait until it is put aside."""
    station.drop(name, data)
    station.take_in()
    station.time.pass_(minutes=31)
    station.intake.sweep()


def attention(station: Station) -> list[str]:
    return [row["item"] for row in station.ledger.views.attention()]


def note(station: Station) -> str:
    return (station.folders.drop.parent / NOTE).read_text("utf-8")


@pytest.mark.parametrize("cut", [5, 700], ids=["without its end", "without its second study"])
@pytest.mark.parametrize("name", ["scan.zip", "another name.zip"])
def test_a_copy_that_was_broken_off_needs_nobody_once_the_whole_zip_has_come(
    station: Station, name: str, cut: int
) -> None:
    whole = zipped(TWO_STUDIES)
    reject(station, whole[:-cut])
    assert attention(station) == ["1"]
    station.drop(name, whole)
    station.take_in()
    assert attention(station) == []
    assert "replaced by delivery 2 on 2026-" in note(station)
    assert "skip" not in note(station)
    assert "failed/1_scan.zip" in station.files()
    told = station.ledger.views.delivery(1)
    assert told is not None
    assert (told["state"], told["events"][-1]["why"]) == ("rejected", "replaced by delivery 2")
    (row,) = [one for one in station.ledger.listing.rows(DeliveryQuery(), 9) if one["item"] == "1"]
    assert not row["advice"]


def test_each_of_several_broken_copies_is_over(station: Station) -> None:
    whole = zipped(TWO_STUDIES)
    reject(station, whole[:-700])
    reject(station, whole[:-5])
    station.drop("scan.zip", whole)
    station.take_in()
    assert attention(station) == []


@pytest.mark.parametrize(
    "later",
    [
        zipped([(f"{number}.dcm", instance(5, 1, number)) for number in range(1, 5)]),
        zipped([*reversed(TWO_STUDIES)]),
        zipped(TWO_STUDIES[:1]),
    ],
    ids=["of another study", "of the same studies, exported anew", "of one of its studies"],
)
def test_another_zip_of_the_same_name_leaves_it_as_it_is(station: Station, later: bytes) -> None:
    reject(station, zipped(TWO_STUDIES)[:-5])
    before = note(station)
    station.drop("scan.zip", later)
    station.take_in()
    assert "1" in attention(station)
    assert note(station) == before


def test_a_copy_that_ends_before_its_first_whole_image_may_be_of_any_exam(station: Station) -> None:
    """A scanner may write the same viewer first into every ZIP."""
    whole = zipped([("viewer.exe", b"MZ" * 3000), *TWO_STUDIES])
    reject(station, whole[: whole.index(b"1.dcm") + 300])
    station.drop("scan.zip", whole)
    station.take_in()
    assert attention(station) == ["1"]


def test_the_same_zip_for_another_project_leaves_it_as_it_is(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    station = desk.station(project="")
    whole = zipped(TWO_STUDIES)
    reject(station, whole[:-5], "P2/scan.zip")
    assert attention(station) == ["1"]
    station.drop("P1/scan.zip", whole)
    station.take_in()
    assert attention(station) == ["1"]
    desk.close()


def test_of_a_file_that_was_taken_away_nothing_is_concluded(station: Station) -> None:
    whole = zipped(TWO_STUDIES)
    reject(station, whole[:-5])
    lying = station.folders.failed / "1_scan.zip"
    lying.unlink()
    (station.folders.drop.parent / "elsewhere.zip").write_bytes(whole[:-5])
    lying.symlink_to(station.folders.drop.parent / "elsewhere.zip")
    station.drop("scan.zip", whole)
    station.take_in()
    assert attention(station) == ["1"]


def test_a_stop_while_it_is_compared_is_no_death_while_the_zip_was_opened(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = zipped(TWO_STUDIES)
    reject(station, whole[:-5])

    def stopped(*_: object) -> bool:
        raise Stopped("told to stop")

    station.drop("again.zip", whole)
    with monkeypatch.context() as patch:
        patch.setattr(station.intake._disk, "begins_with", stopped)
        with pytest.raises(Stopped):
            station.take_in()
    assert station.ledger.views.delivery(2) is not None
    assert openings(station) == [0]


def test_what_a_person_has_settled_meanwhile_is_not_told_as_replaced(station: Station) -> None:
    whole = zipped(TWO_STUDIES)
    reject(station, whole[:-5])
    within = station.intake._rejected.within
    settled = {"why": "by ada: nobody needs it"}

    def meanwhile(*about: Any) -> dict[int, str]:
        found = within(*about)
        station.ledger.decisions.settle(1, settled["why"], station.time.now())
        return found

    rejected = SimpleNamespace(within=meanwhile, note_replaced=never, look=station.intake._rejected.look)
    object.__setattr__(station.intake, "_rejected", rejected)
    station.drop("again.zip", whole)
    station.take_in()
    story = station.ledger.views.delivery(1)
    assert story is not None
    assert [event["detail"] for event in story["events"] if event["event"] == "settled"] == [settled["why"]]


def never(*_: object) -> None:
    pytest.fail("nothing was replaced")


def openings(station: Station) -> list[int]:
    rows = asked(location_of(station.folders.drop.parent), "SELECT openings FROM deliveries WHERE id = 2")
    return [count for (count,) in rows]
