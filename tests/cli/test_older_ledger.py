"""A ledger of an older version, and a command beside a service of that version: it is left as it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.ledgers import of_version_1
from xnat_watchd.adapters.files.lock import Lock, lock_of
from xnat_watchd.adapters.ledger import opening
from xnat_watchd.adapters.ledger.database import VERSION, OlderSchema
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.core.errors import Refusal
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.sandbox import Sandbox

TABLE = "subject,source,destination\nnobody,P1,P2\n"
WRITES = {"share": ("share", "{table}"), "pause": ("pause",)}


class Desk:
    """A ledger of version 1 and a terminal."""

    def __init__(self, folder: Path, server: str) -> None:
        root = folder / "watchd"
        root.mkdir()
        self.path, self._table, self._config = root / "ledger.sqlite", folder / "t.csv", folder / "config.toml"
        self._config.write_text(f'[xnat]\nserver = "{server}"\nproject = "P1"\n[folders]\nroot = "{root}"\n')
        self._table.write_text(TABLE)
        of_version_1(self.path)

    def type(self, command: str) -> Any:
        words = [word.format(table=self._table) for word in WRITES[command]]
        return CliRunner().invoke(commands, words, env={"XNAT_WATCHD_CONFIG": str(self._config)})

    def version(self) -> int:
        with closing(sqlite3.connect(self.path)) as db:
            return int(db.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("XNAT_WATCHD_XNAT__USER", "tech")
    monkeypatch.setenv("XNAT_WATCHD_XNAT__PASSWORD", "secret")
    with Sandbox(tmp_path / "xnat", "1.8", users={"tech": "secret"}, projects=["P1", "P2"]) as xnat:
        yield Desk(tmp_path, xnat.url)


@pytest.mark.parametrize("command", WRITES)
def test_beside_an_older_service_a_command_leaves_the_ledger_as_it_is(desk: Desk, command: str) -> None:
    with Lock(lock_of(desk.path)):
        refused = desk.type(command).exception
    assert isinstance(refused, Refusal)
    assert "of an older xnat-watchd" in str(refused)
    assert desk.version() == 1


@pytest.mark.parametrize("command", WRITES)
def test_an_older_service_that_begins_just_then_keeps_its_ledger(
    desk: Desk, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Callable[..., Any] = opening.open_database
    with ExitStack() as service:

        def watched(where: Location, **how: Any) -> Any:
            try:
                return opened(where, **how)
            except OlderSchema:
                service.enter_context(Lock(lock_of(where.path)))  # between the look and the upgrade
                raise

        monkeypatch.setattr(opening, "open_database", watched)
        refused = desk.type(command).exception
    assert isinstance(refused, Refusal)
    assert "of an older xnat-watchd" in str(refused)
    assert desk.version() == 1


@pytest.mark.parametrize("command", WRITES)
def test_where_no_service_runs_a_command_brings_it_up_to_date(desk: Desk, command: str) -> None:
    desk.type(command)
    assert desk.version() == VERSION
