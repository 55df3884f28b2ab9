"""What a command costs where it must be quick, and what it leaves behind: nothing."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ledgers import fill
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database


def run(where: Path, *command: str) -> float:
    """Run a command and give the CPU seconds that it took."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XNAT_WATCHD_")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "xnat_watchd", *command], cwd=where, env={**kept, "HOME": str(where / "home")},
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.fixture
def config(tmp_path: Path) -> Path:
    Ledger(open_database(tmp_path / "ledger.sqlite")).close()
    (tmp_path / "config.toml").write_text(
        f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{tmp_path}"\n', "utf-8"
    )
    return tmp_path / "config.toml"


OTHERS = {"ijson", "pydantic", "pydicom", "requests", "rich", "structlog", "urllib3", "watchdog", "xnat"}


def modules(where: Path, *command: str) -> set[str]:
    """Return the modules that a command has imported when it ends."""
    told = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-X", "importtime", "-m", "xnat_watchd", *command], cwd=where,
        env={**os.environ, "HOME": str(where / "home")}, capture_output=True, check=False, text=True, timeout=60,
    ).stderr  # fmt: skip
    return {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}


def test_the_help_imports_no_command_and_nothing_of_the_world(tmp_path: Path) -> None:
    imported = modules(tmp_path, "--help")
    assert not imported & OTHERS
    ours = {name for name in imported if name.startswith("xnat_watchd.")}
    assert ours == {
        "xnat_watchd.core", "xnat_watchd.core.concealing", "xnat_watchd.core.errors", "xnat_watchd.core.printable",
        "xnat_watchd.core.refusals", "xnat_watchd.core.disk_errors", "xnat_watchd.core.place_names",
        "xnat_watchd.interfaces", "xnat_watchd.interfaces.cli", "xnat_watchd.interfaces.cli.options",
        "xnat_watchd.operator", "xnat_watchd.operator.status",
        # Who carries it out:
        "xnat_watchd.interfaces.cli.passing_on", "xnat_watchd.interfaces.cli.user_commands", "xnat_watchd.core.access",
    }  # fmt: skip


def test_the_status_imports_what_it_shows_of_the_ledger_and_no_more(tmp_path: Path, config: Path) -> None:
    imported = modules(tmp_path, "--config", str(config), "status")
    assert "xnat_watchd.adapters.ledger.views" in imported
    assert not imported & OTHERS
    assert not imported & {
        "xnat_watchd.adapters.ledger.ledger", "xnat_watchd.core.delivery", "xnat_watchd.core.labels",
        "xnat_watchd.core.sharing.plan", "xnat_watchd.settings",
    }  # fmt: skip


def test_help_and_status_cost_little(tmp_path: Path, config: Path) -> None:
    assert min(run(tmp_path, "--help") for _ in range(3)) < 0.20
    assert min(run(tmp_path, "--config", str(config), "status") for _ in range(3)) < 0.35


def test_status_is_quick_after_ten_thousand_studies_and_before_a_thousand(tmp_path: Path, config: Path) -> None:
    database = open_database(tmp_path / "ledger.sqlite")
    fill(database, finished=10_000, waiting=1_000)
    database.close()
    assert min(run(tmp_path, "--config", str(config), "status") for _ in range(3)) < 0.35


def test_no_command_leaves_anything_where_one_stands(tmp_path: Path) -> None:
    for command in (["--help"], ["--version"], ["status"], ["list", "--server", "http://127.0.0.1:9"], ["completion"]):
        run(tmp_path, *command)
    assert list(tmp_path.iterdir()) == []
