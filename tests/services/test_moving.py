"""A ledger is moved from a file into a database that stations share, and back: whole, once, and by nobody unseen."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.ledger_conformance.engines import Engine, Recorder, study
from tests.ledgers import of_version_1
from tests.postgres.databases import cluster
from tests.station import Notes
from xnat_watchd.adapters.credentials import Credential, Secret
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.files.lock import Lock, lock_of
from xnat_watchd.adapters.files.renumbering import renumbering
from xnat_watchd.adapters.files.root_id import root_id
from xnat_watchd.adapters.ledger.importing import offset_for
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.listing import DeliveryQuery
from xnat_watchd.adapters.ledger.moved_tables import MOVED, OURS, STAY
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.core.delivery import Person
from xnat_watchd.core.errors import LedgerUnusable, Occupied, Refusal
from xnat_watchd.core.sharing.plan import ShareSession
from xnat_watchd.core.sharing.state import ShareState
from xnat_watchd.daemon.composition import build
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.operator.moving import cancel_export, export_ledger, import_ledger
from xnat_watchd.settings import Settings, load

NOW = datetime(2026, 2, 1, tzinfo=UTC)
SHARE = ShareSession(source="P1", destination="P2", id="E1", name="L1", label="L1", subject="S1", subject_id="X1")
SERVER = "https://xnat.example.org"
CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "cut at a line": lambda whole: whole[: whole.rindex(b"\n", 0, -1) + 1],
    "cut in a line": lambda whole: whole[:-7],
    "without one line": lambda whole: b"".join(
        whole.splitlines(keepends=True)[:3] + whole.splitlines(keepends=True)[4:]
    ),
    "with one letter changed": lambda whole: whole.replace(b"P1", b"P2", 1),
    "empty": lambda _: b"",
    "no ledger": lambda _: b"{}\n",
    "of another schema": lambda whole: resealed(whole, '"schema":3', '"schema":2'),
    "of another server": lambda whole: resealed(whole, SERVER, "https://other.example.org"),
    "of columns that are none": lambda whole: resealed(whole, '"kind"', '"kind; DROP TABLE studies"'),
    "of a table that is none": lambda whole: resealed(whole, '"table":"events"', '"table":"stations"'),
    "of a state that is none": lambda whole: resealed(whole, '"taken"', '"stolen"'),
}


class Workstation:
    """A root with its folders, and the settings by which its ledger is in a file or in a database."""

    def __init__(self, folder: Path, name: str = "ct-1") -> None:
        self.root, self.name = folder / name, name
        (self.root / "work").mkdir(parents=True)

    def said(self, url: str = "", ledger: str = "ledger.sqlite") -> dict[str, str]:
        said = {"XNAT__SERVER": SERVER, "FOLDERS__ROOT": str(self.root), "LEDGER__STATION": self.name,
                "LEDGER__PATH": str(self.root / ledger), "LEDGER__URL": url}  # fmt: skip
        return {f"XNAT_WATCHD_{key}": value for key, value in said.items() if value}

    def settings(self, url: str = "", ledger: str = "ledger.sqlite") -> Settings:
        return load(None, self.said(url, ledger))

    def ledger(self, url: str = "", ledger: str = "ledger.sqlite") -> Ledger:
        return Ledger(open_database(self.settings(url, ledger).ledger.location))

    def recorder(self) -> Recorder:
        return Recorder(Engine("file", lambda _: self.ledger()), self.root)

    def export(self, to: str = "a.jsonl", **where: str) -> Path:
        export_ledger(self.settings(**where), self.root / to, NOW)
        return self.root / to

    def type(self, *words: str, **where: str) -> Result:
        return CliRunner(env={**dict.fromkeys(self.said("x")), **self.said(**where)}).invoke(commands, words)


@pytest.fixture
def station(tmp_path: Path) -> Workstation:
    return Workstation(tmp_path)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return cluster().database_of(tmp_path)


def resealed(whole: bytes, old: str, new: str) -> bytes:
    """Return a file in which something was replaced by who knows how its last line is made."""
    *lines, _ = whole.decode().replace(old, new, 1).encode().splitlines(keepends=True)
    seal = {"lines": len(lines), "sha256": sha256(b"".join(lines)).hexdigest()}
    return b"".join(lines) + json.dumps(seal).encode() + b"\n"


def rows(file: Path) -> list[Any]:
    """Return all that a file holds of a ledger: neither its first line nor its last."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()[1:-1]]


def seen(ledger: Ledger) -> dict[str, Any]:
    """Return what people and the service see of a ledger."""
    views, listed = ledger.views, ledger.listing.rows(DeliveryQuery())
    numbers = sorted({int(row["item"].partition(".")[0]) for row in listed if row["item"]})
    items = [ledger.studies.get(key) for number in numbers for key in views.keys(number, None).values()]
    found = {
        "listed": listed, "shown": [views.delivery(number) for number in numbers],
        "clutter": [views.clutter(number) for number in numbers],
        "contents": [sorted(ledger.contents.known(item).items()) for item in items],
        "series": [ledger.contents.series(item) for item in items],
        "places": [ledger.places.former(item.key) for item in items],
        "findings": [ledger.findings.open(item.key) for item in items],
        "deliveries": {state: count for state, count in views.deliveries().items() if count},
        "studies": {one: {so: n for so, n in many.items() if n} for one, many in views.studies().items()},
        "attention": views.attention(), "under way": views.under_way(), "fates": views.fates(100),
        "left behind": views.left_behind(), "ignored": views.ignored(), "shares": views.share_tables(),
        "held": views.held(), "stuck": views.stuck(), "kept": ledger.kept_zips.kept(),
        "totals": ledger.totals.all(), "times": ledger.totals.archive_times(), "pauses": ledger.pauses.open(),
        "gate": ledger.gates.get(), "incidents": ledger.messages.incidents(),
    }  # fmt: skip
    ledger.close()
    return {name: without_station(one) for name, one in found.items()}


def without_station(value: Any) -> Any:
    """Return what was seen, without whose it is: a ledger that is a file tells nothing of that."""
    if isinstance(value, dict):
        return {key: without_station(one) for key, one in value.items() if key not in {"station", "root", "taken_by"}}
    return [without_station(one) for one in value] if isinstance(value, list) else value


def bytes_of(station: Workstation, number: int) -> str:
    """Return the digest of a ZIP that only this station has."""
    return sha256(f"{station.name} {number}".encode()).hexdigest()


def filled(station: Workstation, *, zips: int = 3) -> Recorder:
    """Fill the ledger of a station: a study that is complete, one of which XNAT has the images, and ones to be sent."""
    recorder, own = station.recorder(), station.name.removeprefix("ct-")
    project = f"P{own}"
    recorder.receive(study(f"1.{own}.1"), project=project, sha256=bytes_of(station, 1))
    recorder.complete()
    recorder.retire("done/1.zip")
    recorder.receive(study(f"1.{own}.2", images=3), project=project, sha256=bytes_of(station, 2))
    recorder.upload(recorder.take())
    for number in range(3, zips + 1):
        recorder.receive(study(f"1.{own}.{number}"), project=project, sha256=bytes_of(station, number))
    recorder.ledger.close()
    return recorder


# -- there and back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", [lambda one: of_version_1(one.root / "ledger.sqlite"), filled], ids=["old", "new"])
def test_a_ledger_goes_into_a_database_and_comes_back_as_it_was(
    station: Workstation, url: str, fill: Callable[[Workstation], object]
) -> None:
    fill(station)
    there = station.export("1.jsonl")
    before = seen(station.ledger())
    import_ledger(station.settings(url), there, NOW)
    assert seen(station.ledger(url)) == before
    back = station.export("2.jsonl", url=url)
    import_ledger(station.settings(ledger="back.sqlite"), back, NOW)
    assert seen(station.ledger(ledger="back.sqlite")) == before
    again = station.export("3.jsonl", ledger="back.sqlite")
    assert len(rows(there)) > 30
    assert rows(there) == rows(back) == rows(again)


def test_work_goes_on_where_it_was_and_numbers_go_on_after_the_last(station: Workstation, url: str) -> None:
    filled(station)
    import_ledger(station.settings(url), station.export(), NOW)
    shared = Recorder(Engine("database", lambda _: station.ledger(url)), station.root)
    assert shared.receive(study("1.2.9")) > 3
    shared.ledger.close()


def test_each_table_is_moved_or_stays_and_each_reference_moves(station: Workstation) -> None:
    station.ledger().close()
    with closing(sqlite3.connect(station.root / "ledger.sqlite")) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        assert {one.name for one in MOVED} | STAY == {name for name in tables if not name.startswith("sqlite_")}
        for table in MOVED:
            found = db.execute(f"PRAGMA foreign_key_list({table.name})").fetchall()
            refers = {column: other for _, _, other, column, *_ in found if other != "share_tables"}
            assert {column: other for column, other in refers.items() if column not in OURS} == dict(table.refers)


# -- beside others -----------------------------------------------------------------------------------------


def test_where_others_have_the_numbers_they_move_in_every_reference_and_text(tmp_path: Path, url: str) -> None:
    first, second = Workstation(tmp_path, "ct-1"), Workstation(tmp_path, "ct-2")
    filled(first, zips=12)
    import_ledger(first.settings(url), first.export(), NOW)
    recorder = second.recorder()
    recorder.receive(study("1.2.50"), sha256="a" * 64)
    recorder.receive(study("1.2.50"), sha256="a" * 64)  # the same as delivery 1
    recorder.ledger.close()
    before = seen(second.ledger())
    move, taken = import_ledger(second.settings(url), second.export(), NOW)
    assert (move.first, move.last, taken.offset) == (1, 2, 20)
    ledger = second.ledger(url)
    shown = ledger.views.delivery(22)
    assert shown is not None
    assert shown["why"] == "the same as delivery 21, which is under way"
    assert [one["item"] for one in before["under way"]] == ["1.1"]
    after = seen(second.ledger(url))
    assert {"21.1"} <= {one["item"] for one in after["under way"]}
    assert after["contents"][-1] == before["contents"][0]
    ledger.close()


def test_what_was_counted_is_added_and_not_counted_again(tmp_path: Path, url: str) -> None:
    stations, counted = [Workstation(tmp_path, name) for name in ("ct-1", "ct-2")], 0
    for one in stations:
        filled(one)
        counted += sum(total.count for total in seen(one.ledger())["totals"])
        import_ledger(one.settings(url), one.export(), NOW)
    found = [total for one in stations for total in seen(one.ledger(url))["totals"]]
    assert sum(total.count for total in found) == counted


def test_a_zip_in_the_work_folder_gets_the_name_of_its_new_number(tmp_path: Path, url: str) -> None:
    first, second = Workstation(tmp_path, "ct-1"), Workstation(tmp_path, "ct-2")
    filled(first)
    import_ledger(first.settings(url), first.export(), NOW)
    filled(second)
    (second.root / "work" / "2.zip").write_bytes(b"images")
    (second.root / "work" / "77.zip").write_bytes(b"of another life")
    import_ledger(second.settings(url), second.export(), NOW)
    names = sorted(path.name for path in (second.root / "work").glob("*.zip"))
    assert names == ["12.zip", "77.zip"]


@pytest.mark.parametrize(
    ("error", "left"),
    [(Refusal("no"), ["2.zip"]), (LedgerUnusable("lost", advice="", passes=True), ["12.zip", "2.zip"])],
    ids=["nothing was written", "nobody knows what was written"],
)
def test_a_zip_keeps_its_name_as_long_as_its_old_number_may_count(
    station: Workstation, error: Exception, left: list[str]
) -> None:
    work = station.root / "work"
    (work / "2.zip").write_bytes(b"images")
    folders = Folders(**dict.fromkeys(("drop", "shares", "done", "failed"), station.root), work=work)

    def fail() -> None:
        with renumbering(folders) as renumber:
            renumber(range(1, 4), 10)
            assert sorted(path.name for path in work.iterdir()) == ["12.zip", "2.zip"]
            raise error

    with pytest.raises(type(error)):
        fail()
    assert sorted(path.name for path in work.iterdir()) == left


def test_a_share_that_both_know_is_what_was_known_last_and_asked_for_by_both(tmp_path: Path, url: str) -> None:
    first, second = Workstation(tmp_path, "ct-1"), Workstation(tmp_path, "ct-2")
    for day, one in enumerate((first, second)):
        ledger = one.ledger()
        ledger.shares.intend([(SHARE, frozenset({f"row of {one.name}"}))], NOW + timedelta(days=day))
        if one is second:
            ledger.shares.settle([(SHARE.destination, SHARE.id)], NOW + timedelta(days=2))
        ledger.close()
        import_ledger(one.settings(url), one.export(), NOW)
    ledger = first.ledger(url)
    (share,) = ledger.shares.all([SHARE.destination]).values()
    ledger.close()
    assert (share.fate, share.rows) == (ShareState.MADE, frozenset({"row of ct-1", "row of ct-2"}))


def test_a_text_that_a_database_cannot_hold_is_written_otherwise(station: Workstation, url: str) -> None:
    recorder = station.recorder()
    recorder.receive(study("1.2.1", person=Person(name="Quoll^Zenobia\0", id="1")))
    recorder.ledger.close()
    import_ledger(station.settings(url), station.export(), NOW)
    assert len(seen(station.ledger(url))["listed"]) == 1


def test_two_people_under_one_label_are_named_and_the_first_stays(tmp_path: Path, url: str) -> None:
    first, second = Workstation(tmp_path, "ct-1"), Workstation(tmp_path, "ct-2")
    named = []
    for one, person in ((first, Person(name="Quoll^Zenobia", id="1")), (second, Person(name="Wombat^Otto", id="2"))):
        recorder = one.recorder()
        if one is second:  # the place has the number in its name, and in this test nothing by chance
            recorder.receive(study("1.2.6"), project="P2", sha256=bytes_of(one, 6))
            recorder.complete()
        recorder.receive(study("1.2.7", person=person), sha256=bytes_of(one, 7))
        recorder.upload(recorder.take(), subject="S9")
        recorder.archive(recorder.take(), subject="S9")
        recorder.complete()
        recorder.ledger.close()
        _, taken = import_ledger(one.settings(url), one.export(), NOW)
        named += taken.two_people
    assert named == [("1.1", "12.1")]
    file = second.export("back.jsonl", url=url)
    assert [row for row in rows(file) if isinstance(row, list) and row[:2] == ["P1", "s9"]] == [
        ["P1", "s9", "Quoll^Zenobia", "1", ""]
    ]


@pytest.mark.parametrize(
    ("here", "last", "offset"), [(0, 87, 0), (4321, 87, 4400), (1, 9, 10), (10, 9, 10), (5, 10, 100)]
)
def test_numbers_keep_their_last_digits(here: int, last: int, offset: int) -> None:
    assert offset_for(here, last) == offset


# -- all or nothing, and once ------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_not_whole_or_not_for_this_ledger_is_refused(
    station: Workstation, url: str, change: str
) -> None:
    filled(station)
    file = station.export()
    file.write_bytes(CHANGES[change](file.read_bytes()))
    with pytest.raises(Refusal):
        import_ledger(station.settings(url), file, NOW)
    assert seen(station.ledger(url))["listed"] == []


def test_a_file_of_other_folders_is_refused(tmp_path: Path, url: str) -> None:
    first, second = Workstation(tmp_path, "ct-1"), Workstation(tmp_path, "ct-2")
    filled(first)
    with pytest.raises(Refusal, match="other folders"):
        import_ledger(second.settings(url), first.export(), NOW)


KILLED = """
import os, sys
from datetime import datetime, UTC
from pathlib import Path
from xnat_watchd.adapters.ledger.importing import Importer
from xnat_watchd.operator.moving import import_ledger
from xnat_watchd.settings import load
take = Importer._take_rows
def killed(self, table, columns, expected, rows):
    take(self, table, columns, expected, rows)
    if table.name == sys.argv[2]:
        os.kill(os.getpid(), 9)
Importer._take_rows = killed
import_ledger(load(None, os.environ), Path(sys.argv[1]), datetime.now(UTC))
"""


@pytest.mark.parametrize("into", ["database", "file"])
@pytest.mark.parametrize("table", ["deliveries", "instances", "archive_times"])
def test_a_kill_in_the_middle_of_an_import_leaves_nothing(
    station: Workstation, url: str, table: str, into: str
) -> None:
    filled(station)
    file = station.export()
    where = {"url": url} if into == "database" else {"ledger": "other.sqlite"}
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", KILLED, file, table], env=station.said(**where), check=False, timeout=60
    )
    assert done.returncode == -9
    assert seen(station.ledger(**where))["listed"] == []
    import_ledger(station.settings(**where), file, NOW)
    assert len(seen(station.ledger(**where))["listed"]) == 3


def test_the_same_file_is_taken_once(station: Workstation, url: str) -> None:
    filled(station)
    file = station.export()
    import_ledger(station.settings(url), file, NOW)
    before = seen(station.ledger(url))
    with pytest.raises(Refusal, match="imported into this ledger already"):
        import_ledger(station.settings(url), file, NOW)
    assert seen(station.ledger(url)) == before


def test_an_empty_ledger_is_taken_once_too(station: Workstation, url: str) -> None:
    station.ledger().close()
    file = station.export()
    import_ledger(station.settings(url), file, NOW)
    with pytest.raises(Refusal, match="imported into this ledger already"):
        import_ledger(station.settings(url), file, NOW)


def test_a_second_file_of_the_same_folders_is_refused(station: Workstation, url: str) -> None:
    filled(station)
    import_ledger(station.settings(url), station.export("1.jsonl"), NOW)
    cancel_export(station.settings(), NOW)
    with pytest.raises(Refusal, match="has deliveries of these folders already"):
        import_ledger(station.settings(url), station.export("2.jsonl"), NOW)


def test_a_file_whose_ledger_was_used_since_is_refused(station: Workstation, url: str) -> None:
    filled(station)
    file = station.export()
    cancel_export(station.settings(), NOW)
    with pytest.raises(Refusal, match="was used since"):
        import_ledger(station.settings(url), file, NOW)


# -- the ledger that was moved away ------------------------------------------------------------------------


def test_a_ledger_that_was_moved_away_is_written_to_no_more_until_that_is_cancelled(station: Workstation) -> None:
    filled(station)
    station.export()
    for words in (["pause"], ["ledger", "export", str(station.root / "b.jsonl")]):
        refused = station.type(*words)
        assert isinstance(refused.exception, Refusal)
        assert "was moved away" in str(refused.exception)
    assert station.type("ledger", "export", "--cancel", "--yes").exit_code == 0
    assert station.type("pause").exit_code == 0


@pytest.mark.parametrize("shared", [False, True], ids=["file", "database"])
def test_a_ledger_that_was_moved_away_is_not_served(station: Workstation, url: str, *, shared: bool) -> None:
    filled(station)
    file = station.export()
    if shared:
        import_ledger(station.settings(url), file, NOW)
        station.export("back.jsonl", url=url)
    settings = station.settings(url if shared else "")
    with pytest.raises(Refusal, match="was moved away"):
        build(settings, Credential("tech", Secret("secret"), "a test"), Notes(), whole=True)


def test_no_other_host_of_the_root_takes_what_was_moved_away(station: Workstation, url: str) -> None:
    filled(station)
    import_ledger(station.settings(url), station.export(), NOW)
    other = station.ledger(url)
    other.stations.enroll(StationProcess("ct-9", "0.2.0", "its lock"))
    other.stations.serve(root_id(station.root / "work"))
    other.stations.leave()  # for the others: it is cut off, and does not know
    station.export("back.jsonl", url=url)
    assert other.studies.take(NOW + timedelta(days=9)) is None
    assert other.stations.renew(timedelta(0)) is None
    other.close()


def test_an_export_that_fails_leaves_the_ledger_in_use_and_no_file(
    station: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(station)
    root_id(station.root / "work")
    before = sorted(station.root.iterdir())

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("xnat_watchd.adapters.files.export_file.os.fsync", full)
        with pytest.raises(Refusal, match="cannot be written"):
            station.export()
    assert sorted(station.root.glob("*.jsonl*")) == [path for path in before if ".jsonl" in path.name]
    station.export()


def test_an_export_overwrites_nothing_and_is_for_its_user_alone(station: Workstation) -> None:
    filled(station)
    file = station.root / "a.jsonl"
    file.write_text("mine", "utf-8")
    with pytest.raises(Refusal, match="is there already"):
        station.export()
    assert file.read_text("utf-8") == "mine"
    assert station.export("b.jsonl").stat().st_mode & 0o777 == 0o600
    assert not list(station.root.glob(".*.part"))


def test_both_are_refused_while_the_service_runs(station: Workstation, url: str) -> None:
    filled(station)
    with Lock(lock_of(station.root / "ledger.sqlite")), pytest.raises(Occupied, match="runs"):
        station.export()
    file = station.export()
    with Lock(lock_of(station.root / "ledger.sqlite")), pytest.raises(Occupied, match="runs"):
        import_ledger(station.settings(url), file, NOW)


def test_what_a_kill_has_left_busy_is_in_doubt_in_the_other_ledger(station: Workstation, url: str) -> None:
    recorder = station.recorder()
    recorder.receive(study("1.2.1"))
    recorder.take()
    recorder.ledger.close()
    import_ledger(station.settings(url), station.export(), NOW)
    (one,) = seen(station.ledger(url))["under way"]
    assert one["standing"] == "ready"


def test_the_command_says_what_was_moved(station: Workstation, url: str) -> None:
    filled(station)
    file = str(station.root / "a.jsonl")
    said = station.type("ledger", "export", file)
    assert "exported 3 deliveries, 3 studies, 7 images to" in " ".join(said.output.split())
    said = station.type("ledger", "import", file, url=url)
    assert said.output.splitlines() == [
        "imported 3 deliveries, 3 studies, 7 images",
        "Start the service. Then delete the file.",
    ]


def test_a_ledger_that_is_a_file_has_no_station_to_forget(station: Workstation, url: str) -> None:
    filled(station)
    refused = station.type("ledger", "forget", "mr-1").exception
    assert isinstance(refused, Refusal)
    assert "has one station" in str(refused)
    import_ledger(station.settings(url), station.export(), NOW)
    refused = station.type("ledger", "forget", "mr-1", url=url).exception
    assert isinstance(refused, Refusal)
    assert "no station mr-1" in str(refused)
