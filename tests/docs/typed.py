"""What the pages say is typed, and what is said to be printed then.

A block of kind `console` holds either commands, one on a line, or a session: lines that begin with `$ `, each followed
by what it prints. A comment `<!-- meanwhile: WORDS -->` names what happens before the next block (see `happenings.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import paths

STEP = re.compile(r"^( *)```console\n(.*?)^ *```$|<!-- meanwhile: (.*?) -->", re.MULTILINE | re.DOTALL)
PROMPT = "$ "
REMARK = re.compile(r"\s{2,}# .*$")

#: What differs from one run to the next, and what stands for it when two are compared.
VARYING = (
    (r"It\s+is\s+asked\s+again(\s+at)?\s+(\d\d:\d\d:\d\d|now)\.", "It is asked again <then>."),
    (r"\d{4}-\d\d-\d\d( |T)\d\d:\d\d(:\d\d)?(\.\d+)?( UTC|\+00:00)?", "<time>"),
    (r"\d{4}-\d\d-\d\d", "<day>"),
    (r"\b\d\d:\d\d:\d\d\b", "<clock>"),
    (r"\b\d{4}-\d\d/", "<month>/"),
    (r" \(\d+ seconds? ago\)", ""),
    (r" XNAT answered \d+ seconds? ago\.", ""),
    (r"\d+ (second|minute)s? ago", "<ago>"),
    (r"\d+ files? waits? in the drop", "<some> files wait in the drop"),
    (r"\b\d{8}_\d{9}/watchd-\d+-\d+-\w+", "<place>"),
    (r"watchd-\d+-\d+-\w+", "<place>"),
    (r"[\d.]+ GB (are|must stay) free", r"<some> GB \1 free"),
    (r"the kernel allows \d+", "the kernel allows <many>"),
    (r"as the user \w+", "as the user <user>"),
    (r", on \w+$", ", on <file system>"),
    (r"\bat \d+ kB/s about \d+ seconds?", "<rate>"),
    (r"\bpid \d+", "pid <number>"),
    (r"2\.25\.\d+", "<UID>"),
)  # fmt: skip


@dataclass(frozen=True)
class Happening:
    """Something that happens before the next block, by these words."""

    words: str


@dataclass(frozen=True)
class Command:
    """One command of a block; `printed` is None where the block says nothing of it."""

    text: str
    printed: str | None
    line: int


@dataclass(frozen=True)
class Block:
    """A block of commands, and where its content begins and ends in the page."""

    commands: tuple[Command, ...]
    indent: str
    start: int
    end: int


def steps(text: str) -> Iterator[Block | Happening]:
    """Yield what happens and what is typed on a page, in its order."""
    for found in STEP.finditer(text):
        if found[3] is not None:
            yield Happening(found[3])
        else:
            line = text.count("\n", 0, found.start(2)) + 1
            yield Block(tuple(_commands(found[2], found[1], line)), found[1], found.start(2), found.end(2))


def _commands(body: str, indent: str, line: int) -> Iterator[Command]:
    lines = [each.removeprefix(indent) for each in body.splitlines()]
    if not any(each.startswith(PROMPT) for each in lines):
        for number, each in enumerate(lines, line):
            yield Command(REMARK.sub("", each), None, number)
        return
    starts = [number for number, each in enumerate(lines) if each.startswith(PROMPT)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield Command(lines[start].removeprefix(PROMPT), "\n".join(lines[start + 1 : end]).strip(), line + start)


def session(commands: Iterator[tuple[str, str]] | list[tuple[str, str]], indent: str) -> str:
    """Return commands with what they printed as a block holds them."""
    lines = [each for text, printed in commands for each in (f"{PROMPT}{text}", *printed.splitlines())]
    return "".join(f"{indent}{each}".rstrip() + "\n" for each in lines)


def same(printed: str, said: str) -> bool:
    """Return whether two outputs differ at most in what varies. A line `...` stands for any lines."""
    wanted = [re.escape(line) for line in _steady(said).splitlines()]
    pattern = "\n".join(r"(?:.*\n)*?.*" if line == re.escape("...") else line for line in wanted)
    return re.fullmatch(pattern, _steady(printed)) is not None


def _steady(text: str) -> str:
    lines = [line.rstrip() for line in text.strip().splitlines()]
    steady = "\n".join(line for line in lines if line)
    for varying, stands in VARYING:
        steady = re.sub(varying, stands, steady, flags=re.MULTILINE)
    return re.sub(r" {2,}", "  ", steady)  # a column is as wide as what varies in it


def pages() -> list[Path]:
    """Return the pages on which something is typed."""
    return [path for path in paths() if any(isinstance(step, Block) for step in steps(path.read_text("utf-8")))]
