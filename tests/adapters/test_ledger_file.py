"""The ledger's file on a real disk: who may read it, and what a disk in trouble makes of it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xnat_watchd.adapters.ledger import Ledger, open_database
from xnat_watchd.core.errors import Refusal, Transient
from xnat_watchd.core.gate import Gate


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture(params=[0o000, 0o002, 0o027])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(ledger: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in ledger.parent.glob("ledger.sqlite*")}


PRIVATE = {"ledger.sqlite": 0o600, "ledger.sqlite-wal": 0o600, "ledger.sqlite-shm": 0o600}


@pytest.mark.usefixtures("mask")
def test_nobody_else_may_read_it_or_what_lies_beside_it_whatever_the_umask(ledger: Path) -> None:
    database = open_database(ledger)
    Ledger(database).gates.set("", Gate(why="something was written"))
    assert modes(ledger) == PRIVATE
    database.close()


@pytest.mark.usefixtures("mask")
def test_one_that_an_earlier_version_left_open_to_others_is_closed(ledger: Path) -> None:
    first = open_database(ledger)
    for file in ledger.parent.glob("ledger.sqlite*"):
        file.chmod(0o664)
    second = open_database(ledger)
    assert modes(ledger) == PRIVATE
    second.close()
    first.close()


def test_to_close_it_to_others_lets_go_of_nothing_that_this_process_has_locked(ledger: Path) -> None:
    database = open_database(ledger)
    with database.change():
        ledger.chmod(0o644)
        with pytest.raises(Transient):
            open_database_at_once(ledger)
        code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        other = subprocess.run([sys.executable, "-c", code, ledger], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert "database is locked" in other.stderr
    assert modes(ledger) == PRIVATE
    database.close()


def open_database_at_once(ledger: Path) -> None:
    """Open it without the ten seconds in which somebody else may finish."""
    with pytest.MonkeyPatch.context() as patch:
        connect = sqlite3.connect
        patch.setattr(sqlite3, "connect", lambda *words, **more: connect(*words, **{**more, "timeout": 0}))
        open_database(ledger)


def test_one_that_another_program_holds_can_be_opened_later(ledger: Path) -> None:
    open_database(ledger).close()
    other = sqlite3.connect(ledger)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Transient, match="just now"):
        open_database_at_once(ledger)
    other.close()
    open_database(ledger).close()


def test_one_that_is_none_stays_refused(ledger: Path) -> None:
    ledger.write_bytes(b"no database" * 100)
    with pytest.raises(Refusal):
        open_database(ledger)


def test_a_folder_that_takes_no_ledger_is_refused_by_its_reason(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="No such file or directory"):
        open_database(tmp_path / "gone" / "ledger.sqlite")
