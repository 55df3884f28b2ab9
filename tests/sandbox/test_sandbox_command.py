"""`python -m xnat_watchd.sandbox`: what it prints, what its options do, and that it ends when told to."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from xnat_watchd.sandbox import Options
from xnat_watchd.sandbox.__main__ import OPTION_HELP, _build_sandbox, _options, main
from xnat_watchd.sandbox.faults import Faults

COMMAND = [sys.executable, "-m", "xnat_watchd.sandbox", "--port", "0"]
PAGE = Path(__file__).parents[2] / "docs" / "practising.md"
Process = subprocess.Popen[str]


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[Process, list[str]]]]:
    """Yield a function that starts the command and returns the process and the first lines that it prints."""
    with ExitStack() as stack:

        def started(*options: str, lines: int) -> tuple[Process, list[str]]:
            process = stack.enter_context(
                subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            return process, [process.stdout.readline() for _ in range(lines)]

        yield started


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_a_signal_and_says_what_there_is(
    start: Callable[..., tuple[Process, list[str]]], number: signal.Signals, tmp_path: Path
) -> None:
    options = ["--dialect", "1.6", "--user", "ann:pass", "--project", "LAB", "--data", str(tmp_path)]
    process, lines = start(*options, lines=5)
    url = lines[0].split()[-1]
    answer = requests.get(f"{url}/data/projects", params={"format": "json"}, auth=("ann", "pass"), timeout=10)
    assert [row["ID"] for row in answer.json()["ResultSet"]["Result"]] == ["LAB"]
    process.send_signal(number)
    assert process.wait(10) == 0
    assert "ann:pass" in lines[1]


def test_a_fault_of_the_control_address_that_never_came_to_pass_is_said_at_the_end(
    start: Callable[..., tuple[Process, list[str]]],
) -> None:
    process, lines = start("--control", "0", lines=6)
    plan = {"method": "GET", "path": "/nowhere", "fault": "refuse"}
    requests.post(f"{lines[4].split()[-1]}/faults", json=plan, timeout=10)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (1, "Error: faults that never came to pass: GET /nowhere: refuse (1 left)\n")


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = CliRunner().invoke(main, ["--port", str(taken.getsockname()[1])])
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "Address already in use" in done.output


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--user", "ann", "NAME:PASSWORD"),
        ("--left-out-series", "(", "no regular expression"),
        ("--default-importer", "XAR", "'SI'"),
        ("--session-timeout", "-1", "x>=0"),
    ],
)
def test_what_cannot_be_understood_is_a_usage_error(option: str, value: str, words: str) -> None:
    done = CliRunner().invoke(main, [option, value])
    assert done.exit_code == 2
    assert words in done.output


def _given(*words: str) -> dict[str, object]:
    return main.make_context("sandbox", list(words)).params


def test_every_habit_has_its_option_and_is_gentle_without_it() -> None:
    assert OPTION_HELP.keys() == {one.name for one in fields(Options)}
    assert _options(_given()) == Options()


def test_the_options_give_it_its_habits() -> None:
    given = _given("--session-timeout", "30", "--remaps-uids", "--xnat-version", "1.9.0", "--left-out-series", "scout")
    expected = Options(
        session_timeout=timedelta(seconds=30), remaps_uids=True, version="1.9.0", left_out_series="scout"
    )
    assert _options(given) == expected


def test_the_options_say_who_may_do_what_and_what_projects_do(tmp_path: Path) -> None:
    words = ("--admin", "root:pw", "--role", "owner", "--auto-archive", "4", "--project", "A", "--project", "B")
    site = _build_sandbox(tmp_path, _given(*words))._site
    assert (site.admins, site.role("tech", "B")) == ({"root"}, "owner")
    assert [one.prearchive_code for one in site.store.projects.values()] == [4, 4]


def test_the_help_explains_every_option_in_words() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    assert not re.search(r"\bF\d", shown)  # sources are for whoever reads the code
    assert all(one.help for one in main.params if hasattr(one, "help"))


def test_what_its_page_says_can_be_typed() -> None:
    told = PAGE.read_text(encoding="utf-8")
    known = {name for option in main.params for name in option.opts} | {"--help", "--json"}
    assert {"--dialect", "--control"} <= set(re.findall(r"--[a-z-]+", told)) <= known
    (plan,) = re.findall(r"'(\{.*\})'", told)
    Faults().plan_from(json.loads(plan))
