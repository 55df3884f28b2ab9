"""How much a study asks of the ledger: with a database across the network, each statement is a way there and back."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path
from typing import Literal

import pytest

from benchmarks.inside.counted import count_into
from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time, zipped

MOST = 57  #: statements for a study, from its ZIP to its end; the aim of goal 6b in the benchmarks is 60


def dropped(station: Station, number: int, images: int) -> None:
    who = {"time": f"10{number:02}00", "name": f"Quoll^Zenobia{number}", "patient": f"ZQ-{number}"}
    members = [(f"{one}.dcm", instance(number, 1, one, **who)) for one in range(1, images + 1)]
    station.drop(f"{number}.zip", zipped(members))


def carried(station: Station) -> None:
    """Take in what was dropped and carry it to its end, as a worker does."""
    station.take_in()
    while any((station.pipeline.step(), station.pipeline.retire())):
        station.time.pass_(milliseconds=200)


def asked(counts: Path) -> tuple[int, int]:
    """Return the numbers of statements and of commits so far."""
    statements, _, commits, _ = struct.unpack("4q", counts.read_bytes())
    return statements, commits


@pytest.mark.parametrize("dialect", ["1.6", "1.8"])
@pytest.mark.parametrize("images", [1, 50])
def test_a_study_asks_few_statements_however_many_images_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: Literal["1.6", "1.8"], images: int
) -> None:
    monkeypatch.setattr(sqlite3, "connect", sqlite3.connect)  # is put back afterwards
    count_into(counts := tmp_path / "counts")
    time = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(time, dialect=dialect), time), time)
    station.start()
    station.takes_ahead = True
    dropped(station, 1, images)
    carried(station)
    before = asked(counts)
    for number in range(2, 7):
        dropped(station, number, images)
    carried(station)
    statements, commits = (now - then for now, then in zip(asked(counts), before, strict=True))
    assert {standing for *_, standing in station.standings()} == {"done"}
    assert (statements / 5 <= MOST, commits / 5 <= 9.5) == (True, True), (statements / 5, commits / 5)
    station.close()


def test_a_zip_of_several_studies_ends_with_the_last_of_them_though_nobody_asks_for_it(tmp_path: Path) -> None:
    time = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(time), time), time)
    station.start()
    station.takes_ahead = True
    dropped(station, 1, 1)
    carried(station)
    station.drop(
        "two.zip", zipped([(f"{n}.dcm", instance(n, 1, 1, name=f"Two^{n}", patient=f"T-{n}")) for n in (2, 3)])
    )
    carried(station)
    assert station.ledger.views.deliveries() == {"finished": 2}
    station.drop("skipped.zip", zipped([("1.dcm", instance(4, 1, 1, name="Four", patient="F-4"))]))
    station.take_in()
    station.ledger.decisions.skip(station.ledger.views.keys(3, 1)["3.1"], "sent by mistake", time.now())
    carried(station)
    assert station.ledger.views.deliveries() == {"finished": 3}
    station.close()
