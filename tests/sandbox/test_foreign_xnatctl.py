"""The command `xnatctl`, unmodified, logs in, lists, uploads and shares; it knows 1.8 and later only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sandbox.foreign import client
from tests.sandbox.kit import series_of, zipped
from xnat_watchd.sandbox import Sandbox

client("xnatctl")
pytestmark = pytest.mark.foreign
Run = Callable[..., str]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "xnat", users={"tech": "secret"}, projects=["P1", "P2"]) as running:
        yield running


@pytest.fixture
def run(server: Sandbox, tmp_path: Path) -> Run:
    """Return a terminal at which somebody has logged in."""
    login = {"XNAT_URL": server.url, "XNAT_USER": "tech", "XNAT_PASS": "secret"}
    environment = {**os.environ, **login, "HOME": str(tmp_path), "NO_COLOR": "1"}
    command = str(Path(sys.executable).with_name("xnatctl"))

    def once(*words: str) -> str:
        done = subprocess.run([command, *words], env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - its own words
        assert done.returncode == 0, done.stderr
        return done.stdout

    once("config", "init", "--url", server.url, "--no-login")
    once("auth", "login")
    return once


def test_it_logs_in_lists_uploads_archives_and_shares(server: Sandbox, run: Run, tmp_path: Path) -> None:
    assert run("project", "list", "-q").split() == ["P1", "P2"]
    (tmp_path / "a.zip").write_bytes(zipped(series_of(2)))
    labels = ("-P", "P1", "-S", "S1", "-E", "E1")
    run("session", "upload", str(tmp_path / "a.zip"), *labels, "--mode", "zip", "--prearchive")
    (row,) = server.rows("P1")
    assert (row["status"], row["subject"], row["files"]) == ("READY", "S1", 2)
    run("prearchive", "archive", "P1", row["timestamp"], row["folder"])
    assert run("subject", "list", "-P", "P1", "-q").split() == ["S1"]
    assert run("session", "list", "-P", "P1", "-q").split() == ["XNAT_E00001"]
    run("subject", "share", "S1", "-P", "P1", "--into", "P2", "--label", "L", "--yes")
    run("session", "share", "-E", "E1", "-P", "P1", "--into", "P2", "--label", "EL", "--yes")
    assert [one["label"] for one in server.sessions("P2")] == ["EL"]
    assert server.subject("P2", "L") is not None
    run("auth", "logout")
