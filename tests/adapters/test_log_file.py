"""The log's file: it holds the lines, stays small, and nothing that happens to it stops the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from xnat_watchd.adapters import logs
from xnat_watchd.adapters.log_file import LogFile, opened
from xnat_watchd.core.errors import Refusal


def test_lines_are_appended(tmp_path: Path) -> None:
    for word in ("one\n", "two\n"):
        with LogFile(tmp_path / "log") as file:
            file.write(word)
    assert (tmp_path / "log").read_text("utf-8") == "one\ntwo\n"
    assert (tmp_path / "log").stat().st_mode & 0o007 == 0


def test_a_full_file_makes_room_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    with LogFile(tmp_path / "log", largest=10, kept=2) as file:
        for n in range(5):
            file.write(f"line {n}\n")
    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == {
        "log": "line 4\n",
        "log.1": "line 3\n",
        "log.2": "line 2\n",
    }


def test_a_line_that_is_longer_than_a_file_may_be_is_written_all_the_same(tmp_path: Path) -> None:
    with LogFile(tmp_path / "log", largest=10, kept=1) as file:
        file.write("0123456789 and more\n")
    assert (tmp_path / "log").read_text("utf-8").startswith("0123456789")


def test_a_file_that_another_program_has_moved_away_is_begun_anew(tmp_path: Path) -> None:
    with LogFile(tmp_path / "log") as file:
        file.write("before\n")
        (tmp_path / "log").rename(tmp_path / "log-20260101")
        file.write("after\n")
    assert (tmp_path / "log").read_text("utf-8") == "after\n"


def test_a_folder_that_cannot_be_made_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refusal, match="cannot be written"):
        LogFile(tmp_path / "file" / "log")


def test_the_log_writes_into_it_without_colours(tmp_path: Path) -> None:
    with opened(tmp_path / "log") as file:
        logs.configure(stream=file).info("daemon.ready")
    assert "level=info event=daemon.ready\n" in (tmp_path / "log").read_text("utf-8")


def test_the_folder_of_a_log_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "site" / "log"
    with LogFile(path) as file:
        file.write("one\n")
    assert path.read_text("utf-8") == "one\n"
