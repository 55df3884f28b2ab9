"""How far the work has come, as those are told who look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time, zipped
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.core.states import Progress
from xnat_watchd.interfaces.cli.progress import event_line


def scan(study: int, **about: str) -> bytes:
    return zipped([(f"{study}.dcm", instance(study, 1, 1, **about))])


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    time = Time()
    one = Station(tmp_path, FakeGateway(FakeXnat(time), time), time)
    yield one
    one.close()


def test_studies_and_bytes_are_counted_from_when_one_began_to_look(station: Station) -> None:
    throughput = station.ledger.throughput
    station.drop("before.zip", scan(1))
    station.run()
    began = throughput.latest_event()
    assert throughput.since(began).studies == 0
    first, second = scan(2, date="20240301"), scan(3, date="20240302")
    station.drop("a.zip", first)
    station.drop("b.zip", second)
    station.take_in()
    one = throughput.since(began)
    assert (one.studies_done, one.studies, one.bytes_sent, one.bytes) == (0, 2, 0, len(first) + len(second))
    assert station.pipeline.step()
    assert throughput.since(began).bytes_sent == len(first)
    station.work()
    one = throughput.since(began)
    assert (one.studies_done, one.studies, one.bytes_sent, one.bytes) == (2, 2, one.bytes, len(first) + len(second))


def test_what_is_held_before_it_was_sent_is_no_longer_to_be_sent(station: Station) -> None:
    station.drop("a.zip", scan(1, date=""))
    station.run()
    one = station.ledger.throughput.since(0)
    assert (one.studies_done, one.studies, one.bytes) == (1, 1, 0)


def test_each_step_is_told_once_and_names_nobody(station: Station) -> None:
    station.drop("Quokka.zip", scan(1))
    station.run()
    events = station.ledger.throughput.events(0)
    assert [line for line in map(event_line, events) if line] == [
        "1.1 received", "1.1 uploaded", "1.1 archived", "1.1 complete",
    ]  # fmt: skip
    assert station.ledger.throughput.events(events[-1]["id"]) == []


def test_what_goes_wrong_is_told_with_its_reason(station: Station) -> None:
    station.drop("a.zip", scan(1, date=""))
    station.drop("b.zip", zipped([("notes.txt", b"no image here")]))
    station.run()
    lines = [event_line(event) for event in station.ledger.throughput.events(0)]
    assert "1.1 held: the study date is missing or not a date" in lines
    assert any(line.startswith("2 no study came of it: ") for line in lines)


def test_a_study_that_waits_for_until_rests(tmp_path: Path) -> None:
    time = Time()
    rules = ProjectRules(until=Progress.UPLOADED)
    station = Station(tmp_path, FakeGateway(FakeXnat(time), time), time, rules=lambda _: rules)
    station.drop("a.zip", scan(1))
    station.run()
    assert station.ledger.throughput.since(0).studies_done == 1
    station.close()
