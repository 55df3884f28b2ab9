"""A ledger that has forgotten something: an older copy of it was put back, or it is a new one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.engine import asked, copy_beside, location_of, lose
from tests.services.desk import Desk, scan, states, whole
from tests.station import QUIET, Station
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.studies.forgotten_zips import NOT_KNOWN


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Yield a workstation with the folders of two projects."""
    made = Desk(tmp_path / "watchd")
    yield made
    made.close()


class Backup:
    """A copy of the ledger of a desk, as it is when this is made."""

    def __init__(self, desk: Desk) -> None:
        self._root, self._copy = desk.root, desk.root.with_name("copy")
        self._copy.mkdir()
        desk.close()
        self._carry(self._root, self._copy)

    def restore(self, desk: Desk) -> None:
        """Put it in the place of the ledger."""
        desk.close()
        lose(self._root)
        self._carry(self._copy, self._root)

    def _carry(self, one: Path, other: Path) -> None:
        for file in one.glob("ledger.sqlite*"):
            (other / file.name).write_bytes(file.read_bytes())
        copy_beside(one, other)


class Killed(BaseException):
    """The power is cut."""


def killed(*_: object) -> None:
    """Do nothing any more."""
    raise Killed


def begin(desk: Desk) -> Station:
    """Begin the service, which knows a folder for P2 and takes everything else for P1."""
    return desk.station(projects=["P2"])


def projects_of(desk: Desk, study: int = 1) -> set[str]:
    """Return in which projects images of a study are."""
    return {project for _, project, _, sop in desk.xnat.instances() if sop in whole(study)}


def only_file(station: Station, folder: str) -> Path:
    """Return the only ZIP in a folder, with what lies beside it left out."""
    (found,) = (station.folders.drop.parent / folder).glob("**/*.zip")
    return found


@pytest.mark.parametrize("how", ["older", "new"])
def test_a_zip_that_the_ledger_has_forgotten_is_sent_to_no_project_until_a_person_names_it(
    desk: Desk, how: str
) -> None:
    station = begin(desk)
    backup = Backup(desk)
    station = begin(desk)
    station.drop("P2/anna.zip", scan())
    station.take_in()
    if how == "older":
        backup.restore(desk)
    else:
        desk.close()
        lose(desk.root)
    station = begin(desk)
    station.take_in()
    station.work()
    assert desk.archived() == {}
    assert only_file(station, "failed").read_bytes() == scan()
    assert states(station) == {"rejected": 1}
    assert station.ledger.pauses.lasts(Activity.RETENTION)
    assert "ledger.has_forgotten" in station.log.events()
    (row,) = [one for one in station.ledger.views.attention() if one["why"] == str(NOT_KNOWN)]
    assert row["advice"].startswith(NOT_KNOWN.advice)
    (note,) = station.folders.failed.glob("*.txt")
    assert str(NOT_KNOWN) in note.read_text("utf-8")
    assert "nothing of it was sent" not in note.read_text("utf-8")
    station = begin(desk)  # it is found once
    assert states(station) == {"rejected": 1}
    station.drop("P2/again.zip", scan())
    station.take_in()
    station.work()
    assert desk.archived() == whole()
    assert projects_of(desk) == {"P2"}
    assert asked(location_of(desk.root), "SELECT count(*) FROM deliveries WHERE settled IS NOT NULL") == [(1,)]


def test_a_number_that_was_lost_is_given_to_no_other_zip(desk: Desk) -> None:
    begin(desk)
    backup = Backup(desk)
    station = begin(desk)
    for number in range(1, 4):
        station.drop(f"{number}.zip", scan(number))
    station.take_in()
    (station.folders.work / "1.zip").unlink()  # it was finished
    backup.restore(desk)
    station = begin(desk)
    station.drop("P2/new.zip", scan(4))
    station.take_in()
    assert [int(path.stem) > 3 for path in station.folders.work.glob("*.zip")] == [True]
    assert len([*station.folders.failed.glob("*.zip")]) == 2


@pytest.mark.parametrize("state", ["withdrawn", "arriving"])
def test_what_lies_under_the_number_of_another_zip_is_not_taken_for_it(desk: Desk, state: str) -> None:
    def full(part: str, thing: Any) -> Any:
        if part == "disk" and state == "arriving":
            thing.take = killed
        return thing

    station = desk.station(full, projects=["P2"])
    station.drop("P2/new.zip", scan(2))
    station.intake.sweep()
    (station.folders.work / "1.zip").write_bytes(scan(1))  # of a ledger that is lost; it was dropped for P1
    station.time.pass_(seconds=QUIET)
    with suppress(Killed):
        station.intake.sweep()
    assert states(station) == {state: 1}
    station = begin(desk)
    assert only_file(station, "failed").read_bytes() == scan(1)
    station.take_in()
    station.work()
    assert desk.archived() == whole(2)
    assert projects_of(desk, 2) == {"P2"}


def test_what_the_ledger_has_forgotten_stays_in_failed_when_it_is_written_to(desk: Desk) -> None:
    station = begin(desk)
    (station.folders.work / "2.zip").write_bytes(scan())
    station = begin(desk)
    with only_file(station, "failed").open("ab") as file:
        file.write(b"more")
    station.take_in()
    station.work()
    assert desk.archived() == {}
    assert only_file(station, "failed").exists()


@pytest.mark.parametrize("after", ["its number was given", "it was moved"])
def test_a_start_that_is_killed_loses_none_that_the_ledger_has_forgotten(desk: Desk, after: str) -> None:
    station = begin(desk)
    (station.folders.work / "2.zip").write_bytes(scan())

    def dies(part: str, thing: Any) -> Any:
        if part == "disk":
            move = thing.move

            def moved(*given: Any) -> None:
                if after == "it was moved":
                    move(*given)
                raise Killed

            thing.move = moved
        return thing

    with suppress(Killed):
        desk.station(dies, projects=["P2"])
    station = begin(desk)
    assert only_file(station, "failed").read_bytes() == scan()
    assert states(station)["rejected"] == 1
    assert not [*station.folders.work.glob("*.zip")]


def test_what_is_unfinished_is_in_doubt_when_the_ledger_has_forgotten_something(desk: Desk) -> None:
    station = begin(desk)
    station.drop("1.zip", scan())
    station.take_in()
    (station.folders.work / "9.zip").write_bytes(scan(2))
    station = begin(desk)
    (key,) = station.ledger.views.keys(1, None).values()
    assert station.ledger.studies.get(key).in_doubt
    station.work()
    assert desk.archived() == whole()
