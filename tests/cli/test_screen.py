"""What is printed for people fits their terminal, and no word of a stranger orders it about."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from xnat_watchd.core.printable import plain
from xnat_watchd.interfaces.cli import commands, status, terminal
from xnat_watchd.interfaces.cli.options import CommandOptions
from xnat_watchd.interfaces.cli.show import _tell
from xnat_watchd.interfaces.cli.status_screen import screen as status_screen

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\nfine\u202e\u2028"
PERSIAN = "Müller 王 \u06a9\u062a\u0627\u0628\u200c\u0647\u0627"
CONTEXT = click.Context(commands)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print as on a terminal of 80 columns."""
    monkeypatch.setattr(terminal, "columns", lambda: 80)


def obeyed(text: str) -> list[str]:
    """Return the control characters that a terminal would obey."""
    return [c for c in text if not c.isprintable() and c != "\n"]


def test_a_text_loses_what_a_terminal_would_obey_and_no_letter() -> None:
    assert obeyed(plain(HOSTILE)) == []
    assert plain(HOSTILE).split() == ["]0;owned", "[2J", "31m", "fine"]
    assert plain(PERSIAN) == PERSIAN


def test_programs_get_every_letter_and_the_terminal_none_that_it_would_obey(capsys: pytest.CaptureFixture[str]) -> None:
    thing = {"label": HOSTILE, "name": "王\ud800\U000e0041"}
    terminal.as_json(thing)
    printed = capsys.readouterr().out
    assert obeyed(printed) == []
    assert json.loads(printed) == thing
    assert "王" in printed


def test_a_command_stays_on_one_line_so_that_it_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "columns", lambda: 40)
    lines = terminal.paragraph(
        "If this one is not wanted, type `xnat-watchd skip 1.1 --why TEXT`. Else wait.", first="-> "
    )
    assert lines == ["-> If this one is not wanted, type", "   `xnat-watchd skip 1.1 --why TEXT`.", "   Else wait."]
    wide = terminal.paragraph(f"type `xnat-watchd {'word ' * 20}`")
    assert max(map(len, wide)) <= 40  # no line holds it


@pytest.mark.usefixtures("narrow")
def test_a_paragraph_fits_and_hangs_behind_its_lead() -> None:
    lines = terminal.paragraph("word " * 40, first="  12.1  ")
    assert len(lines) == 3
    assert all(line.startswith(("  12.1  word", "        word")) and len(line) <= 80 for line in lines)
    assert terminal.paragraph("王" * 100, first="- ") == ["- " + "王" * 100]  # a word is never broken
    assert terminal.paragraph("", first="  lead  ") == ["  lead"]


def test_nothing_is_broken_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say("word " * 100)
    assert len(capsys.readouterr().out.splitlines()) == 1


def a_snapshot(**about: Any) -> dict[str, Any]:
    row = {
        "item": "1.1",
        "about": "item",
        "project": "P1",
        "why": "it is " + "long " * 20,
        "advice": "Type `xnat-watchd retry 1.1`.",
    }
    return {
        "at": "2026-01-01T00:00:00+00:00", "age": 0, "daemon": {"running": True, "settling": 1, "uploads": []},
        "xnat": {"server": "https://xnat.example.org"}, "gate": {"open": True}, "projects_shut": {}, "shares": [],
        "deliveries": {"taken": 1, "finished": 12}, "studies": {"received": {"held": 1}, "complete": {"done": 30}},
        "under_way": [{**row, "item": "12.1", "progress": "uploaded", "standing": "waiting"}],
        "ignored": [{"name": HOSTILE, "why": "not complete yet: its list of files is missing", "advice": ""}],
        "attention": [row, {**row, "item": HOSTILE, "about": "file"}], **about,
    }  # fmt: skip


@pytest.mark.usefixtures("narrow")
def test_the_status_is_one_screen_of_plain_words() -> None:
    said = status_screen(a_snapshot())
    assert obeyed(said) == []
    assert max(map(len, said.splitlines())) <= 80
    assert len(said.splitlines()) <= 24
    for line in ("  ZIPs        1 under way, 12 finished; 1 still arriving", "  studies     1 held, 30 complete"):
        assert line in said.splitlines()
    assert "-> Type `xnat-watchd retry 1.1`." in said
    assert "type `xnat-watchd show 1.1`" in said


@pytest.mark.usefixtures("narrow")
def test_a_server_that_is_down_is_said_with_what_to_do() -> None:
    gate = {
        "open": False, "why": f"refused {HOSTILE}", "advice": "Check that it is up.",
        "since": "2025-12-31T20:00:00+00:00", "until": "2026-01-01T00:00:30+00:00",
    }  # fmt: skip
    said = status_screen(a_snapshot(gate=gate, attention=[]))
    assert obeyed(said) == []
    told = r"^Waiting for XNAT since [^:]+:\d\d:\d\d: refused (?:.*\n){1,3} +-> Check that it is up\.$"
    assert re.search(told, said, re.MULTILINE)
    assert "Nothing needs attention" not in said


@pytest.mark.usefixtures("narrow")
def test_a_story_is_told_in_plain_words_whatever_the_server_said(capsys: pytest.CaptureFixture[str]) -> None:
    study = {
        "number": 1, "progress": "received", "standing": "held", "subject": HOSTILE, "label": HOSTILE, "session": None,
        "study_uid": "1.2", "instances": 2, "why": "no date", "detail": HOSTILE * 9, "advice": "retry 12.1",
        "series": [{"number": 1, "modality": HOSTILE, "instances": 2, "left_out": 1, "accepted": 0}],
        "places": [{"timestamp": "2026", "folder": "f", "mixed": 0, "ended": "x"}], "images": 3, "left_behind": 1,
        "findings": [{"why": "1 of 3 images is damaged", "members": [HOSTILE] * 22, "by": HOSTILE, "reason": HOSTILE,
                      "settled": "2026-01-02T00:00:00+00:00"}],
    }  # fmt: skip
    event = {
        "at": "2026-01-01T00:00:00+00:00", "number": 1, "event": "held", "progress": "received", "why": "w " * 60,
        "detail": HOSTILE, "who": HOSTILE,
    }  # fmt: skip
    _tell({"id": 12, "name": HOSTILE, "project": "P1", "kind": "zip", "state": "taken", "why": None, "detail": None,
           "station": "", "advice": None, "resting": None, "deleted": None, "clutter": {"text": 2}, "same_as": None,
           "studies": [study], "events": [event]})  # fmt: skip
    said = capsys.readouterr().out
    assert obeyed(said) == []
    assert max(map(len, said.splitlines())) <= 80
    assert "  what to do   retry 12.1" in said
    assert "  places       2026/f, given up" in said
    assert "  images       2 of 3; 1 left behind in the ZIP" in said
    assert "  clutter      2 text" in said
    assert "and 2 more" in said
    assert "  found        1 of 3 images is damaged" in said


@pytest.mark.parametrize("name", commands.list_commands(CONTEXT))
def test_every_command_shows_by_example_how_it_is_used(name: str) -> None:
    command = commands.get_command(CONTEXT, name)
    assert command is not None
    assert re.search(rf"\bxnat-watchd\b[^\n]* {name}\b", command.epilog or "")
    assert (command.short_help or command.get_short_help_str(60)).endswith(".")
    assert not command.get_short_help_str(60).endswith("...")


# -- times -------------------------------------------------------------------------------------------------


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the clock on the wall be that of Berlin: by a rule, which needs no table of zones."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2026-01-01T23:30:05.250000+00:00", "2026-01-02 00:30:05 CET"),
        ("2026-07-01T10:00:00+00:00", "2026-07-01 12:00:00 CEST"),
        ("2026-07-01T10:00:00", "2026-07-01 12:00:00 CEST"),  # as the ledger's are cut
        (datetime(2026, 1, 1, 12, tzinfo=UTC), "2026-01-01 13:00:00 CET"),
    ],
)
def test_a_time_is_that_of_the_clock_on_the_wall_with_its_zone(moment: str | datetime, shown: str) -> None:
    assert terminal.local(moment) == shown


@pytest.mark.usefixtures("berlin")
def test_status_and_story_tell_local_times_and_a_story_its_local_days(capsys: pytest.CaptureFixture[str]) -> None:
    pause = {"of": "work", "since": "2026-07-01T22:00:00", "why": "w", "advice": "a"}
    told = status_screen(a_snapshot(at="2026-07-01T22:30:00+00:00", paused=[pause]))
    assert "as of 2026-07-02 00:30:00 CEST" in told
    assert "PAUSED: work, since 2026-07-02 00:00:00 CEST: w" in told
    times = ("2026-10-24T22:30:00+00:00", "2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00")
    event = {"number": None, "event": "taken", "progress": None, "why": None, "detail": None, "who": None}
    nothing = dict.fromkeys(("why", "detail", "advice", "resting", "deleted", "same_as"))
    _tell({"id": 1, "name": "a.zip", "project": "P1", "kind": "zip", "state": "taken", **nothing, "clutter": {},
           "station": "", "studies": [], "events": [{**event, "at": at} for at in times]})  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    days = [line.split()[:2] for line in lines[lines.index("What happened") + 1 :]]
    assert days == [
        ["2026-10-25,", "CEST"], ["00:30:00", "1"], ["02:30:00", "1"], ["2026-10-25,", "CET"], ["02:30:00", "1"],
    ]  # fmt: skip


@pytest.mark.usefixtures("narrow")
def test_a_service_that_does_not_run_is_told_with_what_to_type() -> None:
    stands = a_snapshot(daemon={"running": False, "uploads": []})
    head = status_screen(stands, start="Start it: `systemctl start xnat-watchd`.").splitlines()
    assert "NOT RUNNING" in head[0]
    assert head[1] == "-> Start it: `systemctl start xnat-watchd`."
    assert "-> Start it" not in status_screen(stands, start="Start it: `x`.", of_folder=True)
    assert "-> Start it" not in status_screen(a_snapshot(), start="Start it: `x`.")


def test_how_to_start_it_is_told_as_it_works_for_who_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unit = tmp_path / "unit"
    monkeypatch.setattr("xnat_watchd.adapters.systemd.service_files.UNIT", unit)
    assert status._how_to_start(CommandOptions()) == "Start it: `xnat-watchd run`."
    unit.touch()
    assert status._how_to_start(CommandOptions(drop=tmp_path)) == "Start it: `xnat-watchd run`."
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert status._how_to_start(CommandOptions()) == "Start it: `systemctl start xnat-watchd`."
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "`sudo systemctl start xnat-watchd`, or ask somebody who may" in status._how_to_start(CommandOptions())
