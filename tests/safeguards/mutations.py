"""Named mutations: edits, each of which takes one safeguard out of the program, and the tests that must then fail.

They lie in the TOML files of this folder, by subject. A mutation is a table of

- `why`: what the safeguard is for, where the name and the tests do not say it;
- `in`: the function, method, class or module constant that is edited, or a module, by its dotted name; what is no
  Python, by its path (`xnat_watchd/adapters/ledger/schema.sql`, `./pyproject.toml`);
- `old`: the text that is replaced, which must stand there exactly once: a part of a line, or whole lines, whose common
  indentation and comments do not count;
- `new`: what takes its place; nothing, where it is only taken out;
- `red`: the tests, `path::name[case]`, where `*` may stand for a part of a case.

Where one edit does not do, `[[name.edits]]` holds several of `in`, `old` and `new`, made one after the other.
"""

from __future__ import annotations

import ast
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE")
FOLDERS = ("xnat_watchd", "tests", "config", "debian", "docs", "monitoring", "release", "share", "systemd")
COPIED = ("pyproject.toml", *FOLDERS, *PAGES)

COMMENT = re.compile(r"(?:  #.*)?\n?$")  #: what ends a line
EDIT = {"in", "old", "new"}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


class Misfit(Exception):
    """The program is not what the mutation was written for."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One text that is replaced by another, and where."""

    where: str
    old: str
    new: str

    def made(self, file: str, text: str) -> str:
        """Return this text of a file with the edit made in it. `Misfit` where it does not fit."""
        first, end = span(text, self.where, file) if file.endswith(".py") else (0, text.count("\n") + 1)
        lines = text.splitlines(keepends=True)
        part = replaced("".join(lines[first:end]), self.old, self.new)
        return "".join((*lines[:first], part, *lines[end:]))


@dataclass(frozen=True, slots=True)
class Mutation:
    """What takes one safeguard out, and the tests that it must turn red."""

    name: str
    edits: tuple[Edit, ...]
    red: tuple[str, ...]

    def results(self, root: Path) -> Mapping[str, str]:
        """Return the text of each file that it changes. `Misfit` where it does not fit or the result does not parse."""
        changed: dict[str, str] = {}
        for edit in self.edits:
            file = file_of(edit.where, root)
            before = changed[file] if file in changed else (root / file).read_text("utf-8")
            changed[file] = edit.made(file, before)
        for file, text in changed.items():
            if file.endswith(".py"):
                parsed(text, file)
        return changed

    def apply(self, root: Path) -> None:
        """Change a checkout."""
        for file, text in self.results(root).items():
            (root / file).write_text(text, encoding="utf-8")


def mutations() -> Iterator[Mutation]:
    """Yield all mutations, in the order of their files; each is named `file/name`."""
    for path in sorted(HERE.glob("*.toml")):
        for name, table in tomllib.loads(path.read_text("utf-8")).items():
            yield _mutation(f"{path.stem}/{name}", table)


def _mutation(name: str, table: Mapping[str, Any]) -> Mutation:
    needed = {"red", "edits"} if "edits" in table else {"red", *EDIT}
    parts = table.get("edits", [{key: value for key, value in table.items() if key in EDIT}])
    if table.keys() - {"why"} != needed or any(one.keys() != EDIT for one in parts):
        raise ValueError(f"{name}: a mutation has `in`, `old`, `new` and `red`, and perhaps `why`")
    edits = tuple(Edit(one["in"], one["old"], one["new"]) for one in parts)
    return Mutation(name, edits, tuple(table["red"]))


def file_of(where: str, root: Path) -> str:
    """Return the path of the file, below the root, that holds what goes by this name."""
    if "/" in where:
        return where
    parts = where.split(".")
    for length in range(len(parts), 0, -1):
        stem = "/".join(parts[:length])
        for file in (f"{stem}.py", f"{stem}/__init__.py"):
            if (root / file).is_file():
                return file
    raise Misfit(f"there is no module of {where}")


def span(text: str, where: str, file: str) -> tuple[int, int]:
    """Return the first line, from 0, of what goes by this dotted name in a module, and the line behind its last."""
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    body: list[ast.stmt] = parsed(text, file).body
    first, end = 0, text.count("\n") + 1
    for name in where.removeprefix(module).split(".")[1:]:
        found = [one for one in body if isinstance(one, Definition) and name in _names(one)]
        if len(found) != 1:
            raise Misfit(f"{name} of {where} is defined {len(found)} times")
        decorators = getattr(found[0], "decorator_list", [])
        first, end = min(one.lineno for one in (found[0], *decorators)) - 1, found[0].end_lineno or 0
        body = getattr(found[0], "body", [])
    return first, end


def _names(definition: Definition) -> list[str]:
    if isinstance(definition, ast.Assign | ast.AnnAssign):
        targets = definition.targets if isinstance(definition, ast.Assign) else [definition.target]
        return [one.id for one in targets if isinstance(one, ast.Name)]
    return [definition.name]


@lru_cache(maxsize=4)
def parsed(text: str, file: str) -> ast.Module:
    """Return the syntax tree of a Python file. `Misfit` where it is none."""
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise Misfit(f"{file} would be no Python") from error


def replaced(text: str, old: str, new: str) -> str:
    """Return a text in which a part of a line, or whole lines of whatever indentation, are replaced."""
    wanted = [_code(line) for line in dedent(old.strip("\n")).splitlines()]
    lines = text.splitlines(keepends=True)
    if len(wanted) == 1:
        _once(text.count(old), old)
        if (new and "\n" not in new) or all(_code(line).strip() != old for line in lines):
            return text.replace(old, new)
    starts = range(len(lines) - len(wanted) + 1)
    found = [at for at in starts if dedent("\n".join(map(_code, lines[at : at + len(wanted)]))).splitlines() == wanted]
    _once(len(found), old)
    at = found[0]
    margin = " " * (len(_code(lines[at])) - len(wanted[0]))
    inserted = indent(dedent(new.strip("\n")), margin) + "\n" if new else ""
    return "".join((*lines[:at], inserted, *lines[at + len(wanted) :]))


def _code(line: str) -> str:
    """Return a line without the comment at its end."""
    return COMMENT.sub("", line)


def _once(times: int, old: str) -> None:
    if times != 1:
        raise Misfit(f"{old!r} stands there {times} times")


def copy_checkout(target: Path) -> None:
    """Copy what the tests need of this checkout."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)
