"""A fault of the program itself, in the main thread of the real process: its exit code, and what is said of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CANARY = "Quokka^Zenobia"
BROKEN = """
import sys
import xnat_watchd.{module} as broken
from xnat_watchd.__main__ import main

def fails(*what, **more):
    raise ValueError("".join({canary}))  # nowhere in the source, which newer Pythons show of such a program, too

assert broken.{name}
broken.{name} = fails
main()
"""
FULL = """
from xnat_watchd.__main__ import main
from xnat_watchd.adapters.ledger.studies import Studies
from xnat_watchd.core.errors import NoRoom

def fails(*_):
    raise NoRoom("the ledger's disk is full")

Studies.recover = fails
main()
"""


def broken(where: Path, module: str, name: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a program in which this function of this module fails."""
    return run(where, BROKEN.format(module=module, name=name, canary=[*CANARY]), *command)


def run(where: Path, script: str, *command: str) -> subprocess.CompletedProcess[str]:
    config = where / "config.toml"
    config.write_text(f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{where}"\n[logs]\nformat = "json"\n')
    login = {"XNAT_WATCHD_XNAT__USER": "tech", "XNAT_WATCHD_XNAT__PASSWORD": "secret"}
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", script, "--config", config, *command],
        env={**os.environ, **login}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_fault_of_the_service_ends_it_with_70_and_one_entry_without_the_faults_text(tmp_path: Path) -> None:
    done = broken(tmp_path, "daemon", "run", "run")
    (entry,) = (json.loads(line) for line in done.stderr.splitlines())
    assert (entry["event"], done.returncode) == ("daemon.failed", 70)
    assert re.search(r"in fails\n(    .*\n)*builtins\.ValueError$", entry["exception"])
    assert CANARY not in done.stderr


def test_a_fault_of_a_command_is_not_taken_for_a_study_that_needs_somebody(tmp_path: Path) -> None:
    done = broken(tmp_path, "interfaces.cli.status", "snapshot_of", "status")
    assert done.returncode == 70
    assert "Traceback" in done.stderr


def test_a_disk_that_is_full_at_the_start_ends_it_with_75(tmp_path: Path) -> None:
    done = run(tmp_path, FULL, "run")
    assert done.returncode == 75, done.stderr
    assert "the ledger's disk is full" in done.stderr
    assert "Free some space" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
@pytest.mark.parametrize(("command", "code"), [("check", 69), ("status", 78), ("deliveries", 78), ("show 1", 78)])
def test_closed_or_full_streams_change_no_exit_code_to_that_of_a_fault(
    tmp_path: Path, closed: str, command: str, code: int
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{tmp_path}/root"\n', "utf-8")
    words = f"{sys.executable} -m xnat_watchd --config {config} {command} {closed}"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603, S607
    assert "Traceback" not in done.stderr
    assert done.returncode == (75 if command == "check" and "full" in closed else code)


def test_a_full_disk_below_the_output_is_a_sentence_and_no_traceback() -> None:
    with Path("/dev/full").open("wb") as full:
        said = subprocess.run(
            [sys.executable, "-m", "xnat_watchd", "--help"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=30,
        )  # fmt: skip
    assert (said.returncode, said.stderr) == (75, "the output cannot be written: No space left on device\n")
