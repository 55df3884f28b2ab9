"""A command that begins with everything imported is told from one that starts cold by nothing but its speed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm
from tests.whole.conftest import DEADLINE

BARE = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}


@pytest.mark.parametrize(
    "words",
    [("--version",), ("status", "--help"), ("status",), ("no-such-command",), ("--config", "/nowhere", "status")],
)
def test_it_prints_says_and_ends_as_one_that_starts_cold(words: tuple[str, ...]) -> None:
    cold = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "xnat_watchd", *words],
        env=BARE, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=DEADLINE,
    )  # fmt: skip
    again = warm.run(words, BARE, timeout=DEADLINE)
    assert (again.returncode, again.stdout, again.stderr) == (cold.returncode, cold.stdout, cold.stderr)


def test_it_knows_the_environment_and_the_folder_of_whoever_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.toml").touch()
    monkeypatch.chdir(tmp_path)
    named = warm.run(["status"], {**BARE, "XNAT_WATCHD_CONFIG": "here.toml"}, timeout=DEADLINE)
    assert "no folder is set, in here.toml" in named.stderr
    assert "here.toml" not in warm.run(["status"], BARE, timeout=DEADLINE).stderr


def test_it_reads_what_is_typed(tmp_path: Path) -> None:
    words = ["--server", "http://127.0.0.1:9", "--user", "me", "--password-stdin", "list"]
    done = warm.run(words, {**BARE, "HOME": str(tmp_path)}, typed="secret\n", timeout=DEADLINE)
    assert done.returncode == 69, done.stderr


def test_one_that_does_not_end_is_ended_and_the_next_one_runs(tmp_path: Path) -> None:
    words = ["--config", str(tmp_path / "config.toml"), "run"]
    (tmp_path / "config.toml").write_text(f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{tmp_path}"\n')
    login = {"XNAT_WATCHD_XNAT__USER": "tech", "XNAT_WATCHD_XNAT__PASSWORD": "secret"}
    with pytest.raises(subprocess.TimeoutExpired):
        warm.run(words, {**BARE, **login}, timeout=0.5)
    assert warm.run(["--version"], BARE, timeout=DEADLINE).returncode == 0
