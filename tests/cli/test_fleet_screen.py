"""All stations on one screen, as text and as JSON; of a ledger that is a file, why there is no such screen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.cli.test_json_schemas import validate
from tests.cli.test_status_screens import compare
from tests.services.test_fleet import DOWN, FULL, hold
from tests.stations import SharedLedger
from xnat_watchd.adapters.ledger.fleet import RootContents
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.core.errors import Refusal
from xnat_watchd.core.station_report import StationReport
from xnat_watchd.interfaces.cli import commands, terminal
from xnat_watchd.interfaces.cli.fleet import fleet_screen, look_at_fleet
from xnat_watchd.interfaces.cli.options import CommandOptions
from xnat_watchd.interfaces.cli.user_commands import UserCommand
from xnat_watchd.operator.fleet import fleet_status
from xnat_watchd.operator.status import Exit

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Stations:
    """Rows of stations with times that stand still, for screens that are files."""

    shared = True

    def __init__(self, count: int = 0) -> None:
        self._rows = [
            row("ct-1", report=StationReport(free=812_000_000_000)),
            row("ct-2", heard=7500, report=DOWN),
            row("mr-1", report=DOWN),
            row("mr-2", report=FULL),
            row("mr-3", version="0.1.9", report=StationReport(free=90_000_000_000)),
            row("pet-1", heard=40, ended=35),
            row("us-1", report=StationReport(free=90_000_000_000)),
            *(row(f"xa-{n:02}", report=StationReport(free=7_000_000_000)) for n in range(1, count + 1)),
        ]

    def stations(self) -> list[dict[str, Any]]:
        return self._rows

    def contents(self) -> dict[str, RootContents]:
        return {
            "root-of-ct-1": RootContents(3, 0, 0, AT - timedelta(minutes=4)),
            "root-of-ct-2": RootContents(1, 0, 0, AT - timedelta(hours=5)),
            "root-of-us-1": RootContents(0, 2, 1, AT - timedelta(days=3)),
            "4f1c": RootContents(2, 0, 0, AT - timedelta(days=9)),
        }


def row(
    name: str,
    *,
    heard: int = 4,
    ended: int | None = None,
    version: str = "0.2.0",
    report: StationReport = StationReport(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    seen, gone = AT - timedelta(seconds=heard), None if ended is None else AT - timedelta(seconds=ended)
    return {
        "id": 1, "name": name, "root": f"root-of-{name}", "version": version, "seen": seen.isoformat(),
        "gone": gone and gone.isoformat(), "report": report.as_text(), "now": AT,
    }  # fmt: skip


@pytest.mark.parametrize("columns", [80, 120, 40])
@pytest.mark.parametrize("count", [0, 60])
def test_the_screen_is_the_one_that_was_looked_at(count: int, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "columns", lambda: columns)
    text = fleet_screen(fleet_status(Stations(count), AT))  # type: ignore[arg-type]
    compare(f"fleet-{count + 7}-{columns}", text)
    assert max(map(len, text.splitlines())) <= columns


# -- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedLedger]:
    """Yield a ledger that several stations share."""
    made = SharedLedger(tmp_path)
    yield made
    made.close()


def typed(root: Path, *words: str, url: str = "") -> Result:
    config = root / "config.toml"
    ledger = f'[ledger]\nurl = "{url}"\n' if url else ""
    config.write_text(f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{root}"\n{ledger}', "utf-8")
    return CliRunner().invoke(commands, ["--config", str(config), *words])


def test_the_command_shows_every_station_and_its_code_says_whether_all_are_well(
    shared: SharedLedger, tmp_path: Path
) -> None:
    shared.be("ct-1")
    shared.be("mr-2")
    told = typed(tmp_path, "status", "--fleet", url=shared.url)
    assert (told.exit_code, told.output.splitlines()[0]) == (Exit.FINE, "2 stations, all well.")
    hold(shared.be("mr-2"))
    told = typed(tmp_path, "status", "--fleet", "--json", url=shared.url)
    assert told.exit_code == Exit.ATTENTION
    validate("status-fleet", told.output)
    assert [one["name"] for one in json.loads(told.output)["stations"]] == ["mr-2", "ct-1"]


def test_no_station_at_all_is_said(shared: SharedLedger, tmp_path: Path) -> None:
    told = typed(tmp_path, "status", "--fleet", url=shared.url)
    assert (told.exit_code, told.output.splitlines()[0]) == (0, "No station has worked with this ledger yet.")
    validate("status-fleet", typed(tmp_path, "status", "--fleet", "--json", url=shared.url).output)


def test_a_ledger_that_is_a_file_has_one_station_and_says_how_more_would_share_one(tmp_path: Path) -> None:
    Ledger(open_database(tmp_path / "ledger.sqlite")).close()
    told = typed(tmp_path, "status", "--fleet")
    assert isinstance(told.exception, Refusal)
    assert "has one station, which is this one" in str(told.exception)
    assert "`url` in [ledger]" in told.exception.advice


def test_the_list_tells_the_station_where_the_ledger_is_shared(shared: SharedLedger, tmp_path: Path) -> None:
    shared.be("ct-1").receive()
    shared.be("mr-2").receive()
    told = typed(tmp_path, "deliveries", url=shared.url).output.splitlines()
    assert told[0].split()[-1] == "STATION"
    assert [line.split()[-1] for line in told[1:]] == ["mr-2", "ct-1"]
    found = json.loads(typed(tmp_path, "deliveries", "--station", "ct-1", "--json", url=shared.url).output)
    assert [one["station"] for one in found] == ["ct-1"]
    assert "station" in typed(tmp_path, "deliveries", "--csv", url=shared.url).output.splitlines()[0]


def test_a_station_that_is_none_is_told_with_the_one_that_may_be_meant(shared: SharedLedger, tmp_path: Path) -> None:
    shared.be("mri-1").receive()
    told = typed(tmp_path, "deliveries", "--station", "mri-2", url=shared.url)
    assert (told.exit_code, told.output.strip()) == (
        1, "no delivery fits; no station has this name; the nearest is mri-1",
    )  # fmt: skip


def test_a_watch_of_the_fleet_fits_the_terminal_and_a_change_is_another_state(
    shared: SharedLedger, tmp_path: Path
) -> None:
    for number in range(30):
        shared.be(f"xa-{number:02}")
    typed(tmp_path, "status", url=shared.url)  # writes the settings
    options = CommandOptions(config=tmp_path / "config.toml")
    first, again = (look_at_fleet(options, 10) for _ in range(2))
    assert len(first.text.splitlines()) == 10
    assert first.state == again.state
    shared.be("xa-07", heard=300)
    changed = look_at_fleet(options, 10)
    assert changed.state != first.state
    assert "xa-07" in changed.text.splitlines()[4]


def test_who_may_look_at_the_status_may_look_at_the_fleet() -> None:
    for words in (["status", "--fleet"], ["status", "--fleet", "--json"], ["deliveries", "--station", "ct-1"]):
        assert UserCommand.of(words).words()[0] == words[0]
