"""A ledger that is removed, replaced or cut while we work with it is noticed, and nothing more is concluded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.errors import LedgerUnusable, Refusal

NOW = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)


def removed(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.replace(path)


def cut(path: Path) -> None:
    path.write_bytes(b"")


def without_its_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.parametrize("harm", [removed, replaced, cut, without_its_log])
def test_nothing_is_written_to_a_ledger_that_is_lost(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(open_database(path))
    ledger.pauses.begin(Activity.WORK, "why", "advice", NOW)
    ledger.changed()
    harm(path)
    with pytest.raises(LedgerUnusable) as caught:
        ledger.pauses.end(NOW)
    assert not caught.value.passes
    with pytest.raises(LedgerUnusable):
        ledger.changed()
    ledger.close()


def test_a_ledger_that_others_open_and_close_meanwhile_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(open_database(path))
    for _ in range(3):
        other = Ledger(open_database(path))
        other.pauses.begin(Activity.WORK, "why", "advice", NOW)
        other.close()
        Ledger(open_database(path, read_only=True)).close()
        ledger.changed()
        ledger.pauses.end(NOW)
    ledger.close()


def test_a_ledger_is_read_whole_only_where_that_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(open_database(path))
    ledger.pauses.begin(Activity.WORK, "why", "advice", NOW)
    database = ledger.messages._db
    page = database.row("SELECT rootpage FROM sqlite_master WHERE name = 'messages_due'")  # opening does not need it
    size = database.row("PRAGMA page_size")
    ledger.close()
    assert page
    assert size
    with path.open("r+b") as file:
        file.seek((page[0] - 1) * size[0])
        file.write(b"\xff" * size[0])
    open_database(path, upgrade=False).close()
    with pytest.raises(Refusal, match="cannot be used"):
        open_database(path, whole=True)
