"""The pages say what is true: tables and diagrams in them are what the code says, and links lead somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import COMMANDS, DOCS, REPOSITORY, everything, generated, page, part, paths
from xnat_watchd.core.labels import SESSION_FIELDS
from xnat_watchd.core.sharing import table, user_table
from xnat_watchd.core.sharing.row_state import RowState
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.operator.status import Exit

README = (REPOSITORY / "README.md").read_text("utf-8")
PAGES = paths()
NAMES = [path.relative_to(REPOSITORY).as_posix() for path in PAGES]

#: What differs from case to case in a sentence: numbers, names, what stands in brackets, and words that depend on them.
VARYING = r"(?<=cannot) |(?<=which is) |\bUID\b|\d+(?: files?| images?)?|\([^)]*\)?|\bP1\b|…|the done\b|\bare\b"
LONGEST = 150  #: lines of the README


@pytest.mark.parametrize("name", generated())
def test_a_generated_part_is_what_the_code_says(name: str) -> None:
    found = [each[2].strip() for each in part(name).finditer(everything())]
    assert found == [generated()[name]], "type `python -m tests.docs.pages`"


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= LONGEST


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_a_link_leads_to_a_page_and_a_title_that_are_there(path: Path) -> None:
    text = path.read_text("utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, place = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_file(), link
        if place:
            titles = re.findall(r"^##* (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert place in map(_place, titles), link


def _place(title: str) -> str:
    """Return the target of a link to a title, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, ahead = set[Path](), [REPOSITORY / "README.md"]
    while ahead:
        path = ahead.pop()
        if path not in seen and path.suffix == ".md":
            seen.add(path)
            links = re.findall(r"\]\(([^)#:\s]+)[^):\s]*\)", path.read_text("utf-8"))
            ahead += [target for link in links if (target := (path.parent / link).resolve()).is_file()]
    included = {REPOSITORY / "docs" / f"{name}.md" for name in ("index", "contributing", "changes")}
    assert [path for path in PAGES if path not in seen | included] == []


def test_every_command_is_told() -> None:
    assert [name for name in COMMANDS if f"xnat-watchd {name}" not in everything()] == []


def test_what_a_page_says_that_status_says_is_said_by_the_program() -> None:
    source = "\n".join(path.read_text("utf-8") for path in (REPOSITORY / "xnat_watchd").rglob("*.py"))
    told = page("held.md").partition("| what `status` says |")[2].partition("\n\n")[0]
    quoted = [said for row in told.splitlines()[2:] for said in re.findall("`([^`]+)`", row.split("|")[1])]
    assert len(quoted) > 15
    for said in quoted:
        pieces = re.split(VARYING, said)
        assert all(piece.strip() in source for piece in pieces if len(piece.strip()) > 8), said


def test_every_option_that_a_page_names_exists() -> None:
    known = {
        option
        for command in (commands, *COMMANDS.values())
        for parameter in command.params
        for option in parameter.opts
    } | {"--help", "--version"}
    mentioned = set(re.findall(r"`xnat-watchd [a-z]+[^`]*?(--[a-z-]+)", everything()))
    assert mentioned <= known


def test_every_exit_code_is_told() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page("reference/exit-codes.md"), re.MULTILINE)}
    assert codes == {int(code) for code in Exit}


def test_every_field_of_a_label_template_is_told() -> None:
    assert [field for field in SESSION_FIELDS if f"`{{{field}}}`" not in page("labels.md")] == []


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
    found = re.search(r"status --json \| jq --exit-status '([^']*)'", page("monitoring.md"))
    assert found is not None
    snapshot = json.dumps({**SNAPSHOT, **now})
    command = [jq, "--exit-status", found[1]]
    asked = subprocess.run(command, input=snapshot, text=True, check=False, capture_output=True)  # noqa: S603 - our own
    assert (asked.returncode == 0) is is_well


def tables() -> list[bytes]:
    return [block.encode() for block in re.findall(r"```csv\n(.*?)```", page("shares.md"), re.DOTALL)]


def test_the_tables_of_the_page_can_be_shared_as_they_are() -> None:
    shares, users = tables()
    assert [(row.subject, row.label, row.fault) for row in table.read(shares).rows] == [
        ("SUBJ01", "", ""),
        ("SUBJ02", "R002", ""),
    ]
    assert [row.role for row in user_table.read(users)] == ["member", "collaborator"]


def test_every_column_field_and_state_of_a_share_table_is_told() -> None:
    told = page("shares.md")
    assert [column for column in table.COLUMNS if f"`{column}`" not in told] == []
    assert [field for field in table.LABEL_FIELDS if f"`{{{field}}}`" not in told] == []
    assert [state.value for state in RowState if f"| {state.value} |" not in told] == []


def test_the_pictures_of_the_page_are_small_and_each_is_shown() -> None:
    pictures = {path.name: path.stat().st_size for path in (DOCS / "screenshots").iterdir()}
    assert max(pictures.values()) < 120_000
    assert {*re.findall(r"\]\(screenshots/([\w.]+)\)", page("page.md"))} == pictures.keys()
