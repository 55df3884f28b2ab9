"""The README says what is true: tables and diagrams in it are what the code says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from xnat_watchd.adapters.log_tables import EVENTS
from xnat_watchd.core import errors
from xnat_watchd.core.labels import SESSION_FIELDS
from xnat_watchd.core.sharing import table, user_table
from xnat_watchd.core.sharing.row_state import RowState
from xnat_watchd.core.states import as_mermaid
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.operator.status import Exit

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text("utf-8")

CONTEXT = click.Context(commands)
COMMANDS = {
    name: command for name in commands.list_commands(CONTEXT) if (command := commands.get_command(CONTEXT, name))
}

SAID = (
    errors.Transient, errors.InDoubt, errors.NotYet, errors.RepeatOnce, errors.Unavailable, errors.AuthRefused,
    errors.Conflict, errors.Permanent, errors.Undecided, errors.NoRoom, errors.Unusable,
)  # fmt: skip


#: What differs from case to case in a sentence: numbers, names, what stands in brackets, and words that depend on them.
VARYING = r"(?<=cannot) |(?<=which is) |\bUID\b|\d+(?: files?| images?)?|\([^)]*\)?|\bP1\b|…|the done\b|\bare\b"


def diagram() -> str:
    return f"```mermaid\n{as_mermaid()}\n```"


def trouble() -> str:
    rows = [f"| {_meaning(kind)} | {kind.default_advice} |" for kind in SAID]
    return "\n".join(["| what it means | what to do, unless it says more |", "|---|---|", *rows])


def settings() -> str:
    return f"```toml\n{(REPOSITORY / 'config/xnat-watchd.toml').read_text('utf-8').strip()}\n```"


def events() -> str:
    return "\n".join(["| event | meaning |", "|---|---|", *(f"| `{name}` | {said} |" for name, said in EVENTS.items())])


def _meaning(kind: type[errors.WatchdError]) -> str:
    """Return the class's first sentence, without the facts that it cites."""
    return re.sub(r" \(F\d[^)]*\)", "", " ".join((kind.__doc__ or "").split()))


@pytest.mark.parametrize(
    ("part", "expected"),
    [("states", diagram()), ("errors", trouble()), ("config", settings()), ("events", events())],
)
def test_a_generated_part_is_what_the_code_says(part: str, expected: str) -> None:
    found = re.search(rf"<!-- {part} -->\n(.*?)<!-- end -->", README, re.DOTALL)
    assert found is not None
    assert found[1].strip() == expected, f"put this into the README between <!-- {part} --> and <!-- end -->"


def test_every_command_is_in_the_readme() -> None:
    for name in COMMANDS:
        assert f"xnat-watchd {name}" in README, name


def test_what_the_readme_says_that_status_says_is_said_by_the_program() -> None:
    source = "\n".join(path.read_text("utf-8") for path in (REPOSITORY / "xnat_watchd").rglob("*.py"))
    table = README.partition("| what `status` says |")[2].partition("\n\n")[0]
    quoted = [said for row in table.splitlines()[2:] for said in re.findall("`([^`]+)`", row.split("|")[1])]
    assert len(quoted) > 15
    for said in quoted:
        pieces = re.split(VARYING, said)
        assert all(piece.strip() in source for piece in pieces if len(piece.strip()) > 8), said


def test_every_option_that_the_readme_names_exists() -> None:
    known = {
        option
        for command in (commands, *COMMANDS.values())
        for parameter in command.params
        for option in parameter.opts
    } | {"--help", "--version"}
    mentioned = set(re.findall(r"`xnat-watchd [a-z]+[^`]*?(--[a-z-]+)", README))
    assert mentioned <= known


def test_every_exit_code_is_in_the_readme() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert codes == {int(code) for code in Exit}


def test_every_field_of_a_label_template_is_in_the_readme() -> None:
    for field in SESSION_FIELDS:
        assert f"`{{{field}}}`" in README


def test_the_two_commands_of_the_readme_each_stand_on_one_line() -> None:
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv .venv")]
    assert len(lines) == 2


SNAPSHOT = {"daemon": {"running": True}, "age": 3, "gate": {"open": True}, "attention": []}


@pytest.mark.parametrize(
    ("now", "is_well"),
    [
        ({}, True),
        ({"daemon": {"running": False}}, False),
        ({"age": 600}, False),
        ({"gate": {"open": False}}, False),
        ({"attention": [{"item": "1.1"}]}, False),
    ],
)
def test_the_check_for_a_monitoring_says_whether_all_is_well(now: dict[str, object], *, is_well: bool) -> None:
    jq = shutil.which("jq")
    if jq is None:
        pytest.skip("no jq to try it with")
    found = re.search(r"status --json \| jq --exit-status '([^']*)'", README)
    assert found is not None
    snapshot = json.dumps({**SNAPSHOT, **now})
    command = [jq, "--exit-status", found[1]]
    asked = subprocess.run(command, input=snapshot, text=True, check=False, capture_output=True)  # noqa: S603 - our own
    assert (asked.returncode == 0) is is_well


def test_every_link_within_the_readme_leads_somewhere() -> None:
    titles = re.findall(r"^##+ (.*)$", README, re.MULTILINE)
    assert set(re.findall(r"\]\(#([^)]*)\)", README)) <= set(map(_place, titles))


def test_every_chapter_is_in_the_contents() -> None:
    contents = README.partition("**Contents**")[2].partition("\n## ")[0]
    assert [
        title for title in re.findall(r"^## (.*)$", README, re.MULTILINE) if f"](#{_place(title)})" not in contents
    ] == []


def _place(title: str) -> str:
    """Return the target of a link to a title, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def section(title: str) -> str:
    """Return a section of the README and the sections inside it."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def tables() -> list[bytes]:
    return [block.encode() for block in re.findall(r"```csv\n(.*?)```", section("Share tables"), re.DOTALL)]


def test_the_tables_of_the_readme_can_be_shared_as_they_are() -> None:
    shares, users = tables()
    assert [(row.subject, row.label, row.fault) for row in table.read(shares).rows] == [
        ("SUBJ01", "", ""),
        ("SUBJ02", "R002", ""),
    ]
    assert [row.role for row in user_table.read(users)] == ["member", "collaborator"]


def test_every_column_field_and_state_of_a_share_table_is_in_the_readme() -> None:
    told = section("Share tables")
    assert [column for column in table.COLUMNS if f"`{column}`" not in told] == []
    assert [field for field in table.LABEL_FIELDS if f"`{{{field}}}`" not in told] == []
    assert [state.value for state in RowState if f"| {state.value} |" not in told] == []
