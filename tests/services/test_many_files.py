"""What a sweep of a drop folder costs where nothing has changed, and that it still sees whatever changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.services.desk import scan
from tests.station import QUIET, Station, Time
from xnat_watchd.adapters.files.disk import Disk
from xnat_watchd.core.loose_files import NO_ZIP, PACK_IT
from xnat_watchd.studies import drop_folder
from xnat_watchd.studies.drop_folder import IntakeRules

MANY = 20_000


class ReadHeads:
    """A disk that counts the files whose first bytes are read."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.read: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._disk, name)

    def head(self, path: Path, size: int) -> bytes:
        self.read.append(path.name)
        return self._disk.head(path, size)


@pytest.fixture
def heads() -> ReadHeads:
    return ReadHeads(Disk())


@pytest.fixture
def station(tmp_path: Path, heads: ReadHeads) -> Iterator[Station]:
    time = Time()
    one = Station(
        tmp_path, FakeGateway(FakeXnat(time), time), time,
        around=lambda part, thing: heads if part == "disk" else thing,
    )  # fmt: skip
    yield one
    one.close()


def told(station: Station) -> dict[str, str]:
    station.intake.sweep()
    return {one["name"]: one["why"] for one in station.ledger.views.ignored()}


def rules(**others: object) -> IntakeRules:
    known = {"quiet_for": QUIET, "incomplete_after": 1800, "ignore": ("*.part",), "project": "P1", "projects": ()}
    return IntakeRules(**{**known, **others})  # type: ignore[arg-type]


def test_files_that_have_not_changed_are_neither_read_nor_looked_up_in_the_ledger(
    station: Station, heads: ReadHeads, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.drop("notes.txt", b"some words")
    station.drop("a.part", b"PK")
    station.drop(".hidden", b"PK")
    station.intake.sweep()
    assert heads.read == ["notes.txt"]
    asked: list[object] = []
    ignore = station.ledger.deliveries.ignore

    def counted(*given: Any) -> datetime | None:
        asked.append(given)
        return ignore(*given)

    monkeypatch.setattr(station.ledger.deliveries, "ignore", counted)
    for _ in range(3):
        station.time.pass_(hours=1)
        station.intake.sweep()
    assert (heads.read, asked) == (["notes.txt"], [])
    station.drop("b.part", b"PK")
    station.intake.sweep()
    assert len(asked) == 1


@pytest.mark.parametrize("how", ["mtime", "replaced"])
def test_a_file_that_became_another_of_the_same_size_is_judged_anew(station: Station, how: str) -> None:
    words = b"words".ljust(len(instance()))
    path = station.drop("exam", words)
    assert told(station) == {"exam": NO_ZIP[0]}
    before = path.stat()
    if how == "mtime":
        path.write_bytes(instance())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    else:
        other = station.drop("other.part", instance())
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(path)
    assert told(station) == {"exam": "DICOM without a ZIP (1 file)"}


def test_a_name_that_vanished_is_forgotten(station: Station) -> None:
    path = station.drop("S1/notes.txt", b"some words")
    station.drop("S1/more.txt", b"some words")
    assert set(told(station)) == {"S1/notes.txt", "S1/more.txt"}
    path.unlink()
    assert set(told(station)) == {"S1/more.txt"}


def test_other_rules_judge_the_files_that_lie_there_already(station: Station) -> None:
    station.drop("scan.zip", scan())
    station.drop("notes.txt", b"some words")
    assert set(told(station)) == {"notes.txt"}
    station.intake.configure(rules(ignore=("*.txt",), project=""), station.time)
    assert told(station) == {"scan.zip": "no project", "notes.txt": "a temporary name"}


def test_a_file_that_could_not_be_read_is_read_again_until_it_can_be(
    station: Station, heads: ReadHeads, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.drop("IM1", instance())
    with monkeypatch.context() as unreadable:
        unreadable.setattr(Disk, "head", lambda *_: b"")
        assert told(station) == {"IM1": NO_ZIP[0]}
    assert told(station) == {"IM1": "DICOM without a ZIP (1 file)"}
    assert heads.read == ["IM1", "IM1"]


def test_the_advice_for_a_file_comes_when_it_is_due_though_no_file_has_changed(station: Station) -> None:
    station.drop("IM1", instance())
    station.intake.sweep()
    for minutes, advice in ((29, ""), (2, PACK_IT)):
        station.time.pass_(minutes=minutes)
        station.intake.sweep()
        assert [one["advice"] for one in station.ledger.views.ignored()] == [advice]


def test_what_is_remembered_is_bounded_and_what_is_beyond_that_is_listed_all_the_same(
    station: Station, heads: ReadHeads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_folder, "MOST_REMEMBERED", 5)
    for number in range(8):
        station.drop(f"{number}.txt", b"some words")
    assert len(told(station)) == 8
    heads.read.clear()
    assert len(told(station)) == 8
    assert len(heads.read) == 3


def test_a_sweep_of_very_many_names_costs_little_more_than_asking_the_file_system_about_each(station: Station) -> None:
    for number in range(MANY):
        (station.folders.drop / f"{number}.part").touch()
    station.intake.sweep()
    ours = min(_cpu(station.intake.sweep) for _ in range(3))
    plain = min(_cpu(lambda: _ask_about_each(station.folders.drop)) for _ in range(3))
    assert ours < 4 * plain  # 1.5 was measured


def _cpu(call: object) -> float:
    began = process_time()
    call()  # type: ignore[operator]
    return process_time() - began


def _ask_about_each(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries)


def test_while_a_sweep_takes_many_only_those_are_arriving_whose_turn_has_not_come(tmp_path: Path) -> None:
    counts: list[int] = []

    def around(part: str, thing: Any) -> Any:
        def opened(path: Path, *observer: Any) -> Any:
            counts.append(one.intake.settling)
            return thing(path, *observer)

        return opened if part == "zip.open" else thing

    time = Time()
    one = Station(tmp_path, FakeGateway(FakeXnat(time), time), time, around=around)
    for number in (1, 2, 3):
        one.drop(f"{number}.zip", scan(number))
    one.take_in()
    assert (counts, one.intake.settling) == ([3, 2, 1], 0)
    one.close()
