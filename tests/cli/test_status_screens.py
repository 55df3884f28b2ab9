"""The status as people see it: each situation and each size of terminal is a text file beside this one.

`UPDATE_SCREENS=1 pytest tests/cli/test_status_screens.py` writes the files anew; read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click import Command, Context

from tests.dicom import CANARIES, instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.ledgers import fill
from tests.station import Station, Time, zipped
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.operator_socket import Requester
from xnat_watchd.core.access import UserAccess
from xnat_watchd.core.errors import Unavailable
from xnat_watchd.core.gate import Gate, shut_by
from xnat_watchd.interfaces.cli import status, terminal, watching
from xnat_watchd.interfaces.cli.options import CommandOptions
from xnat_watchd.interfaces.cli.run import _remaining
from xnat_watchd.interfaces.cli.status_screen import screen
from xnat_watchd.operator.status import attention_row, take_snapshot, without_names

SCREENS = Path(__file__).with_name("screens")
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SERVER = "https://xnat.example.org"
SCAN = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2))])
TWO_PEOPLE = zipped([("1.dcm", instance(2, 1, 1)), ("2.dcm", instance(2, 1, 2, name="Bilby^Theodora", patient="ZQ-9"))])
READERS = {"drop-group": UserAccess.LOOK, "admin-group": UserAccess.DECIDE, "root": None}
SIZES = {"80x24": (80, 24), "120x40": (120, 40), "40": (40, None)}


def a_station(folder: Path) -> Station:
    time = Time()
    return Station(folder, FakeGateway(FakeXnat(time), time), time)


def nothing(folder: Path) -> dict[str, Any]:
    return of(a_station(folder).ledger)


def one(folder: Path) -> dict[str, Any]:
    """One ZIP is being sent, and one was complete before."""
    station = a_station(folder)
    station.drop("mri_17.zip", SCAN)
    station.run()
    station.drop("mri_18.zip", zipped([("1.dcm", instance(3, 1, 1))]))
    station.take_in()
    station.ledger.studies.take(station.time.now())
    sending = [{"worker": "worker-1", "sent": 400, "size": 1358}]
    return of(station.ledger, uploads=sending, heard="2026-01-01T11:59:48+00:00")


def each_trouble(folder: Path) -> dict[str, Any]:
    """One of each kind: held, rejected, no project's name, growing, a share table, the disk."""
    station = a_station(folder)
    station.drop("both.zip", TWO_PEOPLE)
    station.drop("notes.zip", zipped([("notes.txt", b"nothing")]))
    station.run()
    station.drop("growing.zip", SCAN[:-30])
    station.drop("papers.7z", b"7z\xbc\xaf\x27\x1c" + bytes(600))
    station.take_in()
    full = attention_row("disk", "too little room is left, so nothing is taken", "Free some space.")
    ends = attention_row("login", "the token for XNAT ends in 2 days", "Type `xnat-watchd login`.")
    return of(station.ledger, attention=[full, ends])


def gate_shut(folder: Path) -> dict[str, Any]:
    station = a_station(folder)
    station.drop("mri_17.zip", SCAN)
    station.take_in()
    error = Unavailable("XNAT cannot be reached")
    station.ledger.gates.set("", shut_by(Gate(since=NOW - timedelta(hours=3)), error, NOW, 0.5))
    return of(station.ledger, heard="2026-01-01T09:00:00+00:00")


def of_many(count: int) -> Callable[[Path], dict[str, Any]]:
    """Return the situation of so many ZIPs that wait, with 15 rejected ones where there are many."""

    def situation(folder: Path) -> dict[str, Any]:
        database = open_database(folder / "ledger.sqlite")
        fill(database, finished=count, waiting=count, rejected=15 if count > 100 else 0)
        return of(Ledger(database), rate=35_000.0)

    return situation


def of(ledger: Ledger, attention: list[dict[str, Any]] | None = None, **daemon: Any) -> dict[str, Any]:
    told = {"settling": 0, "uploads": [], **daemon}
    snapshot = take_snapshot(ledger, SERVER, NOW, running=True, daemon=told, attention=attention or [])
    ledger.close()
    return {**snapshot, "age": 0}


SITUATIONS = {
    "nothing": nothing, "one": one, "12": of_many(12), "300": of_many(300), "each-trouble": each_trouble,
    "xnat-is-down": gate_shut,
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_screen_is_the_one_that_was_looked_at(
    situation: str, size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns, height = SIZES[size]
    monkeypatch.setattr(terminal, "columns", lambda: columns)
    monkeypatch.setenv("TZ", "UTC")
    text = screen(SITUATIONS[situation](tmp_path), height=height)
    compare(f"{situation}-{size}", text)
    lines = text.splitlines()
    assert max(map(len, lines)) <= max(columns, len(f"-> {SERVER}"))
    assert height is None or len(lines) <= height


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", READERS)
def test_each_reader_sees_what_is_for_them(
    name: str, size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drop group sees no names and whom to ask, the admin group where `sudo` is needed, root neither."""
    (columns, height), reader = SIZES[size], READERS[name]
    monkeypatch.setattr(terminal, "columns", lambda: columns)
    options = CommandOptions(requester=None if reader is None else Requester(1000, "quentin", reader))
    snapshot = each_trouble(tmp_path)
    if not options.sees_names:
        snapshot = without_names(snapshot, {"P1"}.__contains__)
    if reader is not None:
        snapshot = status._for_users(snapshot)
    with Context(Command("status"), obj=options):
        text = status._shown(snapshot, options, height)
    compare(f"each-trouble-{name}-{size}", text)
    assert ("both.zip" in text) is (reader is not UserAccess.LOOK)
    assert ("xnat-admin" in " ".join(text.split())) is (reader is UserAccess.LOOK)
    assert ("sudo xnat-watchd login" in " ".join(text.split())) is (reader is not None)
    assert max(map(len, text.splitlines())) <= max(columns, len(f"-> {SERVER}"))


@pytest.mark.parametrize("situation", ["one"])
def test_the_drop_group_sees_the_same_without_names(
    situation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "columns", lambda: 80)
    told = without_names(SITUATIONS[situation](tmp_path), {"P1"}.__contains__)
    text = screen(told, height=40)
    compare(f"{situation}-drop-group", text)
    names = ("mri_17", "mri_18", "both.zip", "notes.zip", "growing", "papers", *CANARIES)
    assert [name for name in names if name in text] == []


def test_every_row_that_needs_attention_comes_onto_the_screen_in_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "columns", lambda: 80)
    snapshot = SITUATIONS["300"](tmp_path)
    items = {row["item"] for row in snapshot["attention"]}
    seen = {
        line.split()[0] for page in range(20) for line in screen(snapshot, height=24, page=page).splitlines() if line
    }
    assert items <= seen


def compare(name: str, text: str) -> None:
    file = SCREENS / f"{name}.txt"
    if os.environ.get("UPDATE_SCREENS"):
        SCREENS.mkdir(exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")
    assert file.read_text(encoding="utf-8") == f"{text}\n"


def test_through_a_pipe_a_new_block_comes_whenever_something_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three looks: the second differs in its time only."""
    first, second = SITUATIONS["nothing"](tmp_path / "1"), SITUATIONS["one"](tmp_path / "2")
    looks = iter([first, {**first, "at": "2026-01-01T12:00:01+00:00", "age": 1}, second])

    def look(_: object, *, names: bool) -> dict[str, Any]:
        assert names
        try:
            return next(looks)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(status, "snapshot_of", look)
    monkeypatch.setattr("time.sleep", lambda _: None)
    options = CommandOptions()
    watching.watch(lambda height, page, _: status._look(options, height, page), 1)
    assert capsys.readouterr().out == f"{screen(first)}\n\n{screen(second)}\n\n"


def test_the_end_of_a_run_counts_the_studies_that_it_does_not_list(tmp_path: Path) -> None:
    told = [line for line in _remaining(SITUATIONS["300"](tmp_path)) if "needs attention" not in line]
    assert (len(told), told[-1]) == (101, "and 200 more are not complete")
