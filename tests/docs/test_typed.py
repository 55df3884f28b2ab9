"""Every command on every page is typed here, and what a page shows below it is what it prints.

`UPDATE_DOCS=1 pytest tests/docs/test_typed.py` writes what differs anew; read the difference.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.docs.happenings import HAPPENINGS, NEW_PASSWORD
from tests.docs.pages import REPOSITORY, paths
from tests.docs.stage import LOGIN, Stage
from tests.docs.typed import Block, Command, Happening, pages, same, session, steps

PAGES = pages()
NAMES = [path.relative_to(REPOSITORY).as_posix() for path in PAGES]
FAULT = 70
NEEDED = {"ledger.md": "sqlite3", "monitoring.md": "jq"}  #: programs of others that a page names; CI has them

#: What is not typed here, and why.
ELSEWHERE = {
    r"python3 -m venv \.venv && .*": "CI types it first of all (`.ci/run`)",
    r"python3 -m venv /opt/xnat-watchd( && .*)?": "needs root: `tests/whole/systemd` does it in a container",
    r"(/opt/xnat-watchd/bin/)?xnat-watchd install": "as above",
    r"systemctl .*|systemd-creds .*": "needs systemd and root: `tests/whole/systemd` does it in a container",
    r"usermod .*": "needs root, and somebody's name",
    r"editor .*": "it is for people",
    r"rsync .*": "needs two machines: what happens next on the page copies all of it",
    r"python3 -m release .*|/opt/xnat-watchd/bin/pip install --no-index .*": "CI types it (`.ci/run`)",
    r"xnat-watchd run": "it does not end: each page on which the service runs has started it so",
    r"(echo .* \| )?sudo .*": "needs root, and people who are told: `tests/adapters` has what does not",
    r"pip install --quiet '\.\[docs\]'|sphinx-build .*": "CI types it (`.ci/run`)",
    r"python -m benchmarks.*": "takes long: CI types a short form of it",
    r"python -m xnat_watchd\.sandbox .*|curl .*": "it does not end: `tests/sandbox` starts it",
}

#: What a command that is typed here begins with. Another one is put here once it was tried, or above with its reason.
PROGRAMS = {"xnat-watchd", "python", "cp", "ls", "mkdir", "sed", "grep", "(umask", "old=$(mktemp", "install"}

#: What is answered to a command that asks.
ANSWERS = {"xnat-watchd login": LOGIN}


def _answers(command: str, happened: set[str]) -> tuple[str, ...]:
    if "the password is changed" in happened and command in ANSWERS:
        return LOGIN[0], NEW_PASSWORD
    return ANSWERS.get(command, ())


#: These pages are tried at once, the others take their time.
QUICK = {"README.md", "index.md", "monitoring.md"}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=name, marks=() if path.name in QUICK else pytest.mark.thorough)
        for path, name in zip(PAGES, NAMES, strict=True)
    ],
)
def test_what_a_page_says_is_typed_does_what_it_says(path: Path) -> None:
    if shutil.which(NEEDED.get(path.name, "sh")) is None:
        pytest.skip(f"no {NEEDED[path.name]} to type it with")
    text = path.read_text("utf-8")
    with Stage() as stage:
        happened, changed = set[str](), []
        for step in steps(text):
            if isinstance(step, Happening):
                happened.add(step.words)
                HAPPENINGS[step.words](stage)
                continue
            shown = [(each.text, _type(stage, each, happened)) for each in step.commands]
            if not _as_said(step, shown):
                changed.append((step, shown))
    if changed and os.environ.get("UPDATE_DOCS"):
        path.write_text(_rewritten(text, changed), "utf-8")
    for step, shown in changed:
        for command, (_, printed) in zip(step.commands, shown, strict=True):
            assert _fits(command, printed) or printed == command.printed, f"{path.name}:{command.line}"


def _type(stage: Stage, command: Command, happened: set[str]) -> str:
    """Type a command unless that is done elsewhere, and return what it showed."""
    if any(re.fullmatch(pattern, command.text) for pattern in ELSEWHERE):
        return command.printed or ""
    code, shown = stage.type(command.text, _answers(command.text, happened))
    stage.settle()
    assert code == 0 or (command.printed is not None and code != FAULT), f"{command.text}\n{shown}"
    return shown.strip()


def _as_said(block: Block, shown: list[tuple[str, str]]) -> bool:
    return all(_fits(command, printed) for command, (_, printed) in zip(block.commands, shown, strict=True))


def _fits(command: Command, printed: str) -> bool:
    return command.printed is None or same(printed, command.printed)


def _rewritten(text: str, changed: list[tuple[Block, list[tuple[str, str]]]]) -> str:
    """Return the page with what was printed, where that is not what the page says."""
    for block, shown in reversed(changed):
        told = [
            (command.text, command.printed if command.printed is not None and _fits(command, printed) else printed)
            for command, (_, printed) in zip(block.commands, shown, strict=True)
        ]
        text = text[: block.start] + session(told, block.indent) + text[block.end :]
    return text


def test_everything_that_happens_on_a_page_is_known_and_everything_known_happens() -> None:
    told = {step.words for path in paths() for step in steps(path.read_text("utf-8")) if isinstance(step, Happening)}
    assert told == HAPPENINGS.keys()


def test_each_command_is_one_that_is_typed_here_or_elsewhere() -> None:
    unknown = [
        f"{path.name}:{command.line}: {command.text}" for path in PAGES for step in steps(path.read_text("utf-8"))
        if isinstance(step, Block) for command in step.commands
        if command.text.split()[0] not in PROGRAMS and not any(re.fullmatch(each, command.text) for each in ELSEWHERE)
    ]  # fmt: skip
    assert unknown == []


def test_what_is_typed_elsewhere_is_on_a_page() -> None:
    typed = [
        command.text for path in PAGES for step in steps(path.read_text("utf-8"))
        if isinstance(step, Block) for command in step.commands
    ]  # fmt: skip
    assert [pattern for pattern in ELSEWHERE if not any(re.fullmatch(pattern, each) for each in typed)] == []


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.name)
def test_a_screen_stands_below_its_command_or_is_written_by_the_code(path: Path) -> None:
    assert "```text" not in re.sub(r"<!-- \w.*?<!-- end -->", "", path.read_text("utf-8"), flags=re.DOTALL)


def test_a_difference_is_seen_and_what_varies_is_none() -> None:
    said = "as of 2026-01-01 12:00:00 UTC (1 second ago)\n  ZIPs  1 held\n..."
    assert same("as of 2027-03-04 01:02:03 UTC (12 seconds ago)\n  ZIPs   1 held\nand\nmore", said)
    assert not same("as of 2027-03-04 01:02:03 UTC (12 seconds ago)\n  ZIPs  2 held\nand more", said)
    assert same("It is asked again now.", "It is asked again at\n  10:20:11.")
