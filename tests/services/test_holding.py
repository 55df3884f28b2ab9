"""What the archive holds is believed when it adds up with what lies there, never because a number is equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import instance, sop_uid
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.others import beside_others
from tests.station import Station, Time, as_is, zipped
from xnat_watchd.core.delivery import Place
from xnat_watchd.core.errors import InDoubt
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.sandbox import Sandbox

DONE = [("1.1", "complete", "done")]


def part(*numbers: int) -> bytes:
    """Return a ZIP with these instances of the one series."""
    return zipped([(f"{n}.dcm", instance(1, 1, n)) for n in numbers])


@dataclass
class Stand:
    """One XNAT, and workstations that know nothing of each other."""

    folder: Path
    xnat: Sandbox
    first: Station
    gateway: Any

    def another(self) -> Station:
        """Return a workstation on the same XNAT that has lost its ledger."""
        return Station(self.folder / "another", self.gateway, self.first.time)

    def archived(self) -> Counter[str]:
        assert {one.where for one in self.xnat.instances()} <= {"archive"}
        return Counter(one.sop_uid for one in self.xnat.instances())

    def imports(self) -> int:
        return sum(method == "POST" and "services/import" in path for method, path, _, _ in self.xnat.requests)


@pytest.fixture(params=["1.8", "1.6"])
def stand(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stand]:
    with beside_others(tmp_path, request.param, ProjectRules) as (xnat, gateway, station):
        yield Stand(tmp_path, xnat, station, gateway)
        xnat.faults.check()


def carried(station: Station, *zips: bytes) -> Station:
    for number, content in enumerate(zips):
        station.drop(f"{number}.zip", content)
        station.run()
    return station


@pytest.mark.parametrize("second", [(3, 4), (2, 3), (1, 3)])
def test_the_other_half_of_a_series_is_not_taken_for_the_first_though_it_counts_the_same(
    stand: Stand, second: tuple[int, int]
) -> None:
    carried(stand.first, part(1, 2))
    other = carried(stand.another(), part(*second))
    assert other.standings() == DONE
    assert stand.archived() == Counter(sop_uid(1, 1, n) for n in {1, 2, *second})
    other.close()


def test_with_a_ledger_that_was_lost_xnat_is_asked_before_anything_is_sent(stand: Stand) -> None:
    carried(stand.first, part(1, 2))
    other = carried(stand.another(), part(1, 2))
    assert other.standings() == DONE
    assert stand.imports() == 1
    assert other.files() == stand.first.files()
    other.close()


def test_a_zip_that_was_under_way_when_the_ledger_was_lost_is_sent_once_when_it_is_dropped_again(stand: Stand) -> None:
    stand.first.drop("scan.zip", part(1, 2))
    stand.first.start()
    stand.first.take_in()
    for _ in range(2):  # uploaded and archived
        assert stand.first.pipeline.step()
    other = stand.another()
    content = stand.first.folders.zip_of(1).read_bytes()
    other.folders.zip_of(7).write_bytes(content)
    other.run()
    assert other.standings() == []  # nothing says for which project it was
    other.drop("again.zip", content)
    other.run()
    assert [standing[1:] for standing in other.standings()] == [("complete", "done")]
    assert stand.imports() == 1
    assert stand.archived() == Counter(sop_uid(1, 1, n) for n in (1, 2))
    other.close()


def test_what_is_known_to_lie_there_is_counted_and_no_file_is_asked_for(stand: Stand) -> None:
    carried(stand.first, part(1, 2), part(1, 2, 3), part(1, 2, 3))
    assert {standing for _, _, standing in stand.first.standings()} == {"done"}
    assert stand.archived() == Counter(sop_uid(1, 1, n) for n in (1, 2, 3))
    assert stand.imports() == 2
    assert not [path for _, path, _, _ in stand.xnat.requests if "/files/" in path]


@pytest.mark.parametrize("known", [True, False])
def test_when_the_answer_to_adding_is_lost_it_is_asked_file_by_file_and_sent_once(stand: Stand, known: bool) -> None:  # noqa: FBT001
    carried(stand.first, part(1, 2))
    one = stand.first if known else stand.another()
    stand.xnat.faults.on("POST", "/services/archive").lose_answer()
    carried(one, part(3, 4))
    assert one.standings()[-1][1:] == ("complete", "done")
    assert stand.archived() == Counter(sop_uid(1, 1, n) for n in (1, 2, 3, 4))
    assert stand.imports() == 2
    if not known:
        one.close()


def test_what_was_added_to_a_session_is_found_there_also_where_the_server_does_not_note_from_which_place(
    tmp_path: Path,
) -> None:
    time = Time()
    xnat = FakeXnat(time)
    station = carried(Station(tmp_path, FakeGateway(xnat, time), time), part(1, 2))
    xnat.after["archive"] = [InDoubt("the answer was lost")]
    carried(station, part(3, 4))
    assert [standing for _, _, standing in station.standings()] == ["done", "done"]
    assert sorted(sop for _, _, _, sop in xnat.instances()) == [sop_uid(1, 1, n) for n in (1, 2, 3, 4)]
    station.close()


class Forgetful:
    """A gateway to an XNAT that says that it added a row to a session, and has not."""

    def __init__(self, gateway: FakeGateway, *, keeps: int = 0, loses_answer: bool = False) -> None:
        self._gateway, self._keeps, self._loses_answer = gateway, keeps, loses_answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    def archive(self, place: Place, *args: Any, **named: Any) -> None:
        row = self._gateway.xnat.rows[place]
        row.files = row.files[: self._keeps]
        if row.files:
            self._gateway.archive(place, *args, **named)
        else:
            del self._gateway.xnat.rows[place]
        if self._loses_answer:
            (session,) = self._gateway.xnat.sessions.values()
            session.origin = f"/data/xnat/prearchive{place.tail}"
            raise InDoubt("the answer was lost")


@pytest.mark.parametrize(
    ("ledger", "how"), [("the same", {}), ("lost", {"keeps": 1}), ("lost", {"loses_answer": True})]
)
def test_an_xnat_that_says_that_it_added_them_and_has_not_is_not_believed(
    tmp_path: Path, ledger: str, how: dict[str, Any]
) -> None:
    time = Time()
    xnat = FakeXnat(time)
    gateway = FakeGateway(xnat, time)
    first = carried(Station(tmp_path / "first", gateway, time), part(1, 2))
    first.close()
    root = tmp_path / ("first" if ledger == "the same" else "second")
    around = lambda name, thing: Forgetful(thing, **how) if name == "gateway" else as_is(name, thing)  # noqa: E731
    station = Station(root, gateway, time, around=around)
    carried(station, part(3, 4))
    ((_, progress, standing),) = [one for one in station.standings() if one[2] != "done"]
    assert (progress, standing) == ("uploaded", "held")
    assert any(name.startswith("work/") for name in station.files())
    station.close()


def remapping(tmp_path: Path, rename: str = "") -> tuple[FakeXnat, Station]:
    """Return an XNAT that assigns its own UIDs to images, and on request its own names to their files."""
    time = Time()
    xnat = FakeXnat(time)
    xnat.remap = lambda uid: f"9.{uid}"
    xnat.rename = lambda name: f"{rename}{name}"
    return xnat, Station(tmp_path, FakeGateway(xnat, time), time)


def test_where_the_site_gives_uids_of_its_own_what_is_missing_is_known_by_name_and_sent(tmp_path: Path) -> None:
    xnat, station = remapping(tmp_path)
    carried(station, part(1, 2))
    (session,) = xnat.sessions.values()
    session.batches[0][1].pop()
    carried(station, part(1, 2, 3))
    assert [standing for _, _, standing in station.standings()] == ["done", "done"]
    assert sorted(sop for *_, sop in xnat.instances()) == [f"9.{sop_uid(1, 1, n)}" for n in (1, 2, 3)]
    station.close()


def test_where_the_site_gives_uids_of_its_own_a_study_is_proved_by_names_and_lies_there_once(tmp_path: Path) -> None:
    xnat, station = remapping(tmp_path)
    carried(station, part(1, 2))
    assert station.standings() == DONE
    assert Counter(where for where, *_ in xnat.instances()) == {"archive": 2}
    assert station.ledger.views.attention() == []
    carried(station, zipped([("new.dcm", instance(2, 1, 1, date="20240301"))]))  # from now on at the first go
    assert sum(one.startswith("upload") for one in xnat.requests) == 3
    station.close()


def test_what_can_be_proved_neither_by_uids_nor_by_names_is_held_and_not_archived(tmp_path: Path) -> None:
    xnat, station = remapping(tmp_path, rename="site-")
    carried(station, part(1, 2))
    assert station.standings() == [("1.1", "received", "held")]
    assert "nothing proves whose they are" in station.why("1.1")
    assert {where for where, *_ in xnat.instances()} == {"prearchive"}
    station.ledger.decisions.retry(1, station.time.now())
    station.work()
    assert sum(one.startswith("upload") for one in xnat.requests) == 2  # and not a third row of it
    assert station.standings() == [("1.1", "received", "held")]
    station.close()


def test_where_an_older_version_has_sent_it_under_other_names_another_number_is_a_persons_matter(
    tmp_path: Path,
) -> None:
    xnat, station = remapping(tmp_path)
    carried(station, part(1, 2))
    (session,) = xnat.sessions.values()
    session.batches[0][1][:] = [replace(session.batches[0][1][0], name="IM1")]
    carried(station, part(1, 2, 3))
    assert station.why("2.1") == (
        "XNAT holds a different number of images of this study than was sent, under UIDs and names of its own"
    )
    assert len(xnat.instances()) == 1
    station.close()


@pytest.mark.parametrize(("subject", "goes_on"), [("Quokka_Zenobia", True), ("Somebody_Else", False)])
def test_of_a_site_that_shows_its_labels_for_patients_a_person_may_say_whose_the_session_is(
    tmp_path: Path, *, subject: str, goes_on: bool
) -> None:
    time = Time()
    xnat = FakeXnat(time)

    class Anonymised(FakeGateway):
        def patient(self, accession: str) -> tuple[str, str]:
            session = self.session(accession)
            assert session is not None
            return session.subject, session.label

    gateway = Anonymised(xnat, time)
    carried(Station(tmp_path / "first", gateway, time), part(1, 2)).close()
    station = Station(tmp_path / "second", gateway, time)  # whose ledger knows nothing of the first
    carried(station, part(3, 4))
    assert [standing for _, _, standing in station.standings()] == ["held"]
    station.ledger.decisions.retry(1, time.now(), subject=subject)
    station.run()
    assert [standing for _, _, standing in station.standings()] == ["done" if goes_on else "held"]
    assert len(xnat.instances()) == (4 if goes_on else 2)
    station.close()
