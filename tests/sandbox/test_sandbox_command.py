"""`python -m xnat_watchd.sandbox`: what it prints, and that it ends when told to."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

COMMAND = [sys.executable, "-m", "xnat_watchd.sandbox", "--port", "0"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_a_signal_and_says_what_there_is(number: signal.Signals, tmp_path: Path) -> None:
    options = ["--dialect", "1.6", "--user", "ann:pass", "--project", "LAB", "--data", str(tmp_path)]
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        url = lines[0].split()[-1]
        answer = requests.get(f"{url}/data/projects", params={"format": "json"}, auth=("ann", "pass"), timeout=10)
        assert [row["ID"] for row in answer.json()["ResultSet"]["Result"]] == ["LAB"]
        process.send_signal(number)
        assert process.wait(10) == 0
    assert "ann:pass" in lines[1]


def test_a_user_without_a_password_is_a_usage_error() -> None:
    command = [*COMMAND, "--user", "ann"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 - our own
    assert done.returncode == 2
    assert "NAME:PASSWORD" in done.stderr
