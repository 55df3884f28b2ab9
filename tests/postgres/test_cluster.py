"""What the tests of a ledger on PostgreSQL stand on: a server of their own, which leaves nothing behind."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tests.postgres.cluster import CHOSEN, NEEDED, programs
from tests.postgres.databases import cluster

ROOT = Path(__file__).parents[2]
KILLED = """
import os, signal, sys
from tests.postgres.databases import cluster
made = cluster()
print(made._process.pid, made.folder, flush=True)
if sys.argv[1:] == ["killed"]:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_each_folder_has_a_database_of_its_own_as_long_as_it_is_there(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    one, other = (cluster().database_of(folder) for folder in folders)
    assert cluster().database_of(folders[0]) == one
    with psycopg.connect(one, autocommit=True) as db:
        db.execute("CREATE TABLE t (x int)")
    with psycopg.connect(other) as db, pytest.raises(psycopg.errors.UndefinedTable):
        db.execute("SELECT * FROM t")
    folders[0].rmdir()
    assert cluster().database_of(folders[1]) == other
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(one)
    cluster().forget()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(other)


def test_a_database_is_copied_with_what_is_in_it() -> None:
    made = cluster().database("of_many")
    with psycopg.connect(made, autocommit=True) as db:
        db.execute("CREATE TABLE t AS SELECT 7 AS x")
    with psycopg.connect(cluster().database(of="of_many")) as db:
        assert db.execute("SELECT x FROM t").fetchall() == [(7,)]
    cluster().drop("of_many")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(made)


def test_what_was_committed_is_there_after_a_crash_of_the_server(tmp_path: Path) -> None:
    url = cluster().database_of(tmp_path)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE TABLE t AS SELECT 7 AS x")
        cluster().restart()
        with pytest.raises(psycopg.OperationalError):
            db.execute("SELECT 1")
    with psycopg.connect(url) as db:
        assert db.execute("SELECT x FROM t").fetchall() == [(7,)]
    assert "database system was not properly shut down" in cluster().log()


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_no_server_outlives_the_process_that_has_started_it(how: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", KILLED, how], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False, timeout=60
    )
    number, folder = done.stdout.split()
    assert done.returncode == (-signal.SIGKILL if how == "killed" else 0)
    assert has_ended(int(number))
    assert Path(folder).exists() is (how == "killed")
    shutil.rmtree(folder, ignore_errors=True)


def test_without_a_postgresql_tests_skip_unless_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    for name in (NEEDED, CHOSEN):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(pytest.skip.Exception):
        programs()
    monkeypatch.setenv(NEEDED, "1")
    with pytest.raises(pytest.fail.Exception):
        programs()


def has_ended(process: int) -> bool:
    """Return whether a process that is none of our children ends within ten seconds."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(process)
        try:
            return bool(select.select([handle], [], [], 10)[0])
        finally:
            os.close(handle)
    return True
