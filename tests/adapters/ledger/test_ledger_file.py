"""The ledger as a file: made, upgraded, refused where it cannot be trusted, and nobody else's."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.ledgers import connection_of, of_version_1
from tests.station import Notes, Station, Time, zipped
from xnat_watchd import __main__ as program
from xnat_watchd.adapters.credentials import Credential, Secret
from xnat_watchd.adapters.ledger import sqlite_database
from xnat_watchd.adapters.ledger.database import VERSION
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.core.errors import LedgerUnusable, Occupied, Refusal
from xnat_watchd.core.states import LINE, Progress
from xnat_watchd.daemon import composition
from xnat_watchd.operator.status import Exit
from xnat_watchd.settings import load

HERE = Path(__file__).parent
RENAMED = {("deliveries", "resting"): "kept_as", ("places", "spoke"): "last_sent"}  #: since version 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def made(path: Path) -> Path:
    open_database(path).close()
    return path


def raw(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False))


# -- making ------------------------------------------------------------------------------------------------


def test_it_is_nobody_elses_from_its_first_byte(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[tuple[str, int]] = set()
    statements = sqlite_database._statements

    def look() -> None:
        seen.update((one.name.removeprefix("."), one.stat().st_mode & 0o777) for one in path.parent.iterdir())

    def watched(script: str) -> Iterator[str]:
        for statement in statements(script):
            look()
            yield statement

    monkeypatch.setattr(sqlite_database, "_statements", watched)
    before = os.umask(0)
    try:
        with closing(open_database(path)) as db, db.change() as change:
            change.execute("INSERT INTO ignored (root, name, why, advice) VALUES ('', 'a', 'b', '')")
            look()
    finally:
        os.umask(before)
    assert {name for name, _ in seen} >= {"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"}
    assert any(name.endswith("-journal") for name, _ in seen)
    assert {mode for _, mode in seen} == {0o600}


def test_one_that_an_earlier_version_left_open_is_closed_to_others(path: Path) -> None:
    of_version_1(path)
    path.chmod(0o644)
    made(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_to_close_it_to_others_lets_go_of_no_lock_that_this_process_has(path: Path) -> None:
    """A process that closes any handle on a file lets go of all its locks on it (sqlite.org/howtocorrupt.html 2.2)."""
    with closing(open_database(path)) as db, db.change():
        path.chmod(0o644)
        open_database(path, patience=0).close()
        code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        other = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert "database is locked" in other.stderr
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_not_there_or_takes_nothing_is_refused(path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be made: No such file or directory"):
        open_database(path / "below")


def test_one_that_could_not_be_made_is_made_later_and_nothing_is_left_of_the_first_try(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_database, "APPLICATION", "no number")
    with pytest.raises(Refusal):
        open_database(path)
    assert not path.exists()
    monkeypatch.undo()
    made(path)
    assert list(path.parent.iterdir()) == [path]


# -- upgrading ---------------------------------------------------------------------------------------------


def shape(path: Path) -> dict[str, str]:
    """Return the SQL of every table, index and trigger, without comments and layout."""
    with raw(path) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: re.sub(r"[\s\"]+", "", re.sub(r"--[^\n]*", "", sql)) for name, sql in rows}


def contents(path: Path) -> dict[str, list[dict[str, object]]]:
    with raw(path) as db:
        db.row_factory = sqlite3.Row
        tables = [name for name, kind in db.execute("SELECT name, type FROM sqlite_master") if kind == "table"]
        return {name: [dict(row) for row in db.execute(f"SELECT * FROM {name} ORDER BY 1, 2")] for name in tables}  # noqa: S608


def test_one_of_version_1_becomes_what_is_made_anew_today(path: Path) -> None:
    of_version_1(path)
    made(path)
    assert shape(path) == shape(made(path.with_name("new.sqlite")))


def test_an_upgrade_keeps_every_row_and_every_value(path: Path) -> None:
    of_version_1(path)
    before = contents(path)
    assert all(before[name] for name in before)
    made(path)
    after = contents(path)
    for name, rows in before.items():
        kept = [{column: row[RENAMED.get((name, column), column)] for column in rows[0]} for row in after[name]]
        assert kept == rows, name
    assert {row["generation"] for row in after["studies"]} == {1}


def test_what_happened_before_an_upgrade_is_counted(path: Path) -> None:
    of_version_1(path)
    made(path)
    with raw(path) as db:
        counted = dict(db.execute("SELECT what, sum(count) FROM totals GROUP BY what").fetchall())
        reached = [LINE.index(Progress(progress)) for (progress,) in db.execute("SELECT progress FROM studies")]
        for number, progress in enumerate(LINE):
            assert counted.get(progress, 0) == sum(one >= number for one in reached)
        assert (
            counted["finished"]
            == db.execute("SELECT count(*) FROM events WHERE event = 'finished' AND study IS NULL").fetchone()[0]
        )


def test_what_happened_before_an_upgrade_is_counted_without_the_names_of_unknown_projects(path: Path) -> None:
    of_version_1(path)
    with raw(path) as db:
        new = "SELECT delivery FROM studies WHERE progress = 'received'"
        db.execute(f"UPDATE deliveries SET project = 'Quoll_Zenobia' WHERE id IN ({new})")  # noqa: S608
        db.execute("UPDATE studies SET project = 'Quoll_Zenobia' WHERE progress = 'received'")
    made(path)
    with raw(path) as db:
        named = {*db.execute("SELECT of, project FROM totals")}
    assert named == {(of, project) for of in ("deliveries", "studies") for project in ("", "P1")}


def test_an_upgraded_ledger_is_worked_on_where_it_stood(tmp_path: Path) -> None:
    of_version_1(tmp_path / "ledger.sqlite")
    time = Time()
    xnat = FakeXnat(time)
    station = Station(tmp_path, FakeGateway(xnat, time), time)
    for number, study in ((7, 6), (8, 7), (9, 8)):
        date = f"202403{study - 2:02}"
        members = [(f"{n}.dcm", instance(study, 1, n, date=date)) for n in (1, 2)]
        station.folders.zip_of(number).write_bytes(zipped(members))
    for _, rested in station.ledger.marks.expected("done"):  # or done is a mount point whose disk is not there
        (station.folders.done / rested).parent.mkdir(parents=True, exist_ok=True)
        (station.folders.done / rested).touch()
    station.run()
    standings = {item: (progress, standing) for item, progress, standing in station.standings()}
    station.close()
    assert [standings[item] for item in ("7.1", "8.1", "9.1")] == [("complete", "done")] * 3
    assert standings["5.1"] == ("received", "held")


def of_version_2(path: Path, *whys: str) -> None:
    """Make a ledger of version 2 whose studies were held for these reasons from the start; the last is sent since."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_database, "VERSION", 2)
        of_version_1(path)
        made(path)
    with raw(path) as db:
        for number, why in enumerate(whys, 1):
            db.execute(
                "INSERT INTO studies (key, delivery, number, project, study_uid, patient_name, patient_id, birth_date,"
                " age, sex, date, time, modalities, progress, standing, why, received, changed)"
                " VALUES (?1 + 100, 5, ?1 + 100, 'P1', '1.2.' || ?1, '', '', '', '', '', '', '', '[]', 'received',"
                " 'held', ?2, '2026-01-02', '2026-01-02')",
                (number, why),
            )
            db.execute(
                "INSERT INTO events (at, delivery, study, event, progress, standing, why)"
                " VALUES ('2026-01-02', 5, ?1 + 100, 'held', 'received', 'held', ?2)",
                (number, why),
            )


def test_what_version_2_held_for_its_content_has_findings_afterwards(path: Path) -> None:
    of_version_2(
        path,
        "2 of 5 images are damaged (cut short, wrong checksum)",
        "1 of 2 images is damaged (cut short); two patients in one study; 3 image UIDs with two different contents",
        "2 images are of no study (no study UID); 1 image is damaged beyond telling the study (empty)",
        "two patients in one study",
        "1 of 9 images is damaged (cut short); two patients in one study",
    )
    with raw(path) as db:  # a retry of version 2 had let this one go on
        db.execute("UPDATE studies SET progress = 'uploaded', standing = 'ready' WHERE key = 104")
        db.execute(
            "UPDATE studies SET progress = 'complete', standing = 'done', session = 'E1', changed = '2026-01-03'"
            " WHERE key = 105"
        )
    made(path)
    with raw(path) as db:
        found = db.execute("SELECT study, kind, count, why, found, settled FROM findings ORDER BY id").fetchall()
    assert found == [
        (101, "damaged", 2, "2 of 5 images are damaged (cut short, wrong checksum)", "2026-01-02", None),
        (102, "damaged", 1, "1 of 2 images is damaged (cut short)", "2026-01-02", None),
        (102, "two people", 1, "two patients in one study", "2026-01-02", None),
        (102, "two contents", 3, "3 image UIDs with two different contents", "2026-01-02", None),
        (103, "no study", 2, "2 images are of no study (no study UID)", "2026-01-02", None),
        (103, "damaged", 1, "1 image is damaged beyond telling the study (empty)", "2026-01-02", None),
        (104, "two people", 1, "two patients in one study", "2026-01-02", None),
        (105, "damaged", 1, "1 of 9 images is damaged (cut short)", "2026-01-02", "2026-01-03"),
    ]


def test_the_database_lets_no_study_go_on_while_a_finding_holds(path: Path) -> None:
    of_version_2(path, "two patients in one study")
    made(path)
    with raw(path) as db:
        with pytest.raises(sqlite3.IntegrityError, match="a finding is open"):
            db.execute("UPDATE studies SET progress = 'uploaded' WHERE key = 101")
        with pytest.raises(sqlite3.IntegrityError):  # nobody's word sends two people as one
            db.execute("UPDATE findings SET settled = 'now', by = 'ada', reason = 'I am sure'")
        db.execute("UPDATE findings SET kind = 'listed and absent'")
        db.execute("UPDATE studies SET progress = 'uploaded' WHERE key = 101")


def test_an_upgrade_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_version_1(path)
    before = contents(path), shape(path)
    statements = sqlite_database._statements

    def cut(script: str) -> Iterator[str]:
        yield from list(statements(script))[:-1]
        yield "SELECT * FROM nothing"

    monkeypatch.setattr(sqlite_database, "_statements", cut)
    with pytest.raises(Refusal):
        open_database(path)
    monkeypatch.undo()
    assert (contents(path), shape(path)) == before
    made(path)


def test_beside_a_service_an_older_ledger_is_left_as_it_is(path: Path) -> None:
    of_version_1(path)
    before = shape(path)
    for how in ({"read_only": True}, {"upgrade": False}):
        with pytest.raises(Refusal, match="of an older xnat-watchd") as refused:
            open_database(path, **how)
        assert "Restart the service" in refused.value.advice
    assert shape(path) == before


def test_the_database_forbids_what_must_never_happen(path: Path) -> None:
    of_version_1(path)
    made(path)
    with raw(path) as db:
        with pytest.raises(sqlite3.IntegrityError, match="never moves back"):
            db.execute("UPDATE studies SET progress = 'received' WHERE progress = 'uploaded'")
        db.execute("UPDATE studies SET progress = 'received', generation = 2 WHERE progress = 'uploaded'")
        for wrong in (
            "UPDATE series SET left_out = 1 WHERE image = 1",
            "UPDATE studies SET standing = 'skipped' WHERE standing = 'ready'",
            "UPDATE deliveries SET deleted = 'now' WHERE state = 'taken'",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(wrong)


# -- what is refused ---------------------------------------------------------------------------------------


def test_one_of_a_newer_program_is_refused_and_left_as_it_is(path: Path) -> None:
    with raw(made(path)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(Refusal, match="by a newer xnat-watchd") as refused:
        open_database(path)
    assert "newer version" in refused.value.advice
    with raw(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def noise(path: Path) -> None:
    path.write_bytes(b"no database at all " * 1000)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


@pytest.mark.parametrize("damage", [empty, noise, cut_in_half, overwritten])
def test_a_damaged_one_is_refused_and_no_new_one_is_begun(path: Path, damage: object) -> None:
    assert callable(damage)
    damage(made(path))
    before = path.read_bytes()
    for read_only in (True, False):
        with pytest.raises(Refusal) as refused:
            open_database(path, read_only=read_only, whole=True)
        assert "Restore it from a backup" in refused.value.advice
    assert path.read_bytes() == before


def test_another_programs_database_is_refused(path: Path) -> None:
    with raw(path) as db:
        db.execute("CREATE TABLE theirs (a)")
    with pytest.raises(Refusal, match="is no ledger"):
        open_database(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o755), (0o600, 0o755), (0o666, 0o555)])
def test_one_that_may_not_be_written_is_refused_with_the_right_that_is_missing(file: int, folder: int) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from xnat_watchd.adapters.ledger.opening import open_database\n"
        "from xnat_watchd.core.errors import Refusal\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: open_database(pathlib.Path(sys.argv[1]))\n"
        "except Refusal as error: print(error, '|', error.advice)\n"
    )
    with tempfile.TemporaryDirectory() as place:
        path = made(Path(place) / "ledger.sqlite")
        path.chmod(file)
        Path(place).chmod(folder)
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
    assert "cannot be written to" in done.stdout or "cannot be opened" in done.stdout
    assert "Give the service's user the right" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_ones_own_that_may_only_be_read_is_refused_at_the_start_and_not_in_the_middle_of_the_work() -> None:
    code = (
        "import os, sys, pathlib\n"
        "from xnat_watchd.adapters.ledger.opening import open_database\n"
        "from xnat_watchd.core.errors import LedgerUnusable\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: open_database(pathlib.Path(sys.argv[1])).must_take_writes()\n"
        "except LedgerUnusable as error: print(error, error.passes)\n"
    )
    with tempfile.TemporaryDirectory() as place:
        path = made(Path(place) / "ledger.sqlite")
        for one in (Path(place), *Path(place).iterdir()):
            os.chown(one, 65534, 65534)
        path.chmod(0o400)
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
    assert done.stdout.endswith("cannot be written to False\n")


# -- held by somebody else ---------------------------------------------------------------------------------


def test_one_that_another_program_holds_is_waited_for(path: Path) -> None:
    with closing(open_database(path)) as db, raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        free = threading.Timer(0.2, other.execute, ("COMMIT",))
        free.start()
        with db.change() as change:
            change.execute("INSERT INTO ignored (root, name, why, advice) VALUES ('', 'a', 'b', '')")
        free.join()
        assert db.row("SELECT count(*) FROM ignored")[0] == 1  # type: ignore[index]


def test_one_that_is_held_for_too_long_ends_the_work_and_a_start_may_be_tried_again(path: Path) -> None:
    with closing(open_database(path, patience=0.05)) as db, raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnusable, match="held by another program") as ended, db.change():
            pass
        assert ended.value.passes
        assert db.row("SELECT count(*) FROM studies")[0] == 0  # type: ignore[index]
        other.execute("COMMIT")
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
    with raw(path) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Occupied, match="held by another program"):
            open_database(path, patience=0.05)


def test_no_study_is_held_because_the_ledger_was(tmp_path: Path) -> None:
    time = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(time), time), time)
    station.drop("a.zip", zipped([("1.dcm", instance())]))
    station.start()
    station.take_in()
    choose = station.ledger.places.choose
    connection_of(station.ledger.studies._db).execute("PRAGMA busy_timeout = 20")
    with raw(tmp_path / "ledger.sqlite") as other:

        def held_meanwhile(*args: object, **named: object) -> None:
            other.execute("BEGIN IMMEDIATE")
            try:
                choose(*args, **named)  # type: ignore[arg-type]
            finally:
                other.execute("COMMIT")

        station.ledger.places.choose = held_meanwhile  # type: ignore[method-assign]
        with pytest.raises(LedgerUnusable):
            station.pipeline.step()
    station.close()
    again = Station(tmp_path, FakeGateway(FakeXnat(time), time), time)
    again.run()
    assert again.standings() == [("1.1", "complete", "done")]
    again.close()


def test_what_is_read_while_a_change_is_made_is_not_remembered_if_the_change_is_taken_back(path: Path) -> None:
    ledger, question = open_database(path), "SELECT count(*) FROM marks"

    def change_in_vain() -> None:
        with ledger.change() as db:
            db.execute("INSERT INTO marks VALUES (1, 'drop', '', '1:2', '/drop')")
            assert tuple(ledger.known_row(question) or ()) == (1,)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        change_in_vain()
    assert tuple(ledger.known_row(question) or ()) == (0,)
    ledger.close()


def test_what_breaks_a_rule_of_the_schema_is_a_fault_of_ours(path: Path) -> None:
    ledger = Ledger(open_database(path))
    with pytest.raises(sqlite3.IntegrityError), ledger.studies._db.change() as db:
        db.execute("INSERT INTO series (study, uid, number, modality, image) VALUES (99, 'x', '1', 'MR', 1)")
    ledger.close()


# -- what a start says -------------------------------------------------------------------------------------


def test_on_a_network_file_system_the_service_refuses_to_keep_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composition, "file_system", lambda _: "nfs4")
    environ = {"XNAT_WATCHD_XNAT__SERVER": "https://x.example.org", "XNAT_WATCHD_FOLDERS__ROOT": str(tmp_path)}
    settings = load(None, environ, tmp_path / "none")
    with pytest.raises(Refusal, match="lies on nfs4") as refused:
        composition.build(settings, Credential("tech", Secret("secret"), "a test"), Notes())
    assert "a disk of this machine" in refused.value.advice
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Occupied("held"), Exit.WAITING),  # systemd tries again
        (LedgerUnusable("held", advice="Wait.", passes=True), Exit.WAITING),
        (LedgerUnusable("damaged", advice="Restore it.", passes=False), Exit.CONFIGURATION),  # only a person can help
        (Refusal("damaged"), Exit.CONFIGURATION),
    ],
)
def test_only_what_passes_by_itself_is_tried_again_by_systemd(
    error: Exception, code: Exit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(program, "commands", fail)
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == code
    assert str(error) in capsys.readouterr().err
