"""The table for people who come from XNAT_CLI_Toolkit: every example in it is understood by the program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tests.docs.pages import page
from xnat_watchd.interfaces.cli import commands

FOUND = re.search(r"<!-- toolkit -->\n(.*?)<!-- end -->", page("toolkit.md"), re.DOTALL)
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in (FOUND[1] if FOUND else "").splitlines()[2:]]
EXAMPLES = [cells[1].strip("`") for cells in ROWS]
FUNCTIONS = (
    *("xnat-authenticate", "xnat-list", "xnat-upload", "xnat-prearchive", "xnat-archive", "xnat-updatedemographics"),
    *("xnat-share --table", "xnat-share --shared_users", "new_subjects.json", "./logs", "xnat-toolkit", "-s URL"),
)


def test_every_function_of_the_toolkit_has_its_row() -> None:
    there = " ".join(cells[0] for cells in ROWS)
    assert [one for one in FUNCTIONS if one not in there] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_understood(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse it as the command line does; files and folders that it names are there."""
    monkeypatch.chdir(tmp_path)
    Path("DIR").mkdir(exist_ok=True)
    for name in ("new_subjects.json", "table.csv", "users.csv"):
        Path(name).touch()
    program, *words = shlex.split(example)
    assert program == "xnat-watchd"
    context = commands.make_context(program, words)
    called, command, rest = commands.resolve_command(context, [*context._protected_args, *context.args])
    assert command is not None
    try:
        command.make_context(called, rest, parent=context)
    except click.exceptions.Exit as ended:
        assert ended.exit_code == 0  # noqa: PT017 - `--help` ends so


@pytest.mark.parametrize("name", commands.list_commands(click.Context(commands)))
def test_the_examples_in_a_commands_help_are_understood(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    for example in re.findall(r"^  (xnat-watchd [^|>\n]*?)(?:  .*| [>|].*)?$", command.epilog or "", re.MULTILINE):
        test_an_example_is_understood(example.replace("scans", "DIR"), tmp_path, monkeypatch)
