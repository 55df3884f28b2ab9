"""What a command costs where it must be quick, and what it leaves behind: nothing."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ledgers import fill
from xnat_watchd.adapters.ledger import Ledger, open_database


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
