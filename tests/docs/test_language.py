"""What keeps the program readable for strangers: each class name once, docstrings as PEP 257 has them, few rooms."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "xnat_watchd"
TESTS = PACKAGE.with_name("tests")
DOCUMENTED = (ast.FunctionDef, ast.ClassDef, ast.Module)
VERBS = {"Give", "Gives", "Say", "Says"}  #: with which too much of this program once began
BESIDE = {"__init__.py", "__main__.py", "settings", "py.typed"}
ROOMS = 8
ARCHITECTURE = PACKAGE.with_name("docs") / "architecture.md"


def nodes(folder: Path) -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            yield path.relative_to(folder), node


def test_each_class_name_is_defined_once() -> None:
    names = Counter(node.name for _, node in nodes(PACKAGE) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("folder", [PACKAGE, TESTS], ids=lambda folder: folder.name)
def test_docstrings_say_what_is_returned_or_done(folder: Path) -> None:
    documented = ((path, node) for path, node in nodes(folder) if isinstance(node, DOCUMENTED))
    first = ((path, (ast.get_docstring(node) or "-").split()[0]) for path, node in documented)
    assert [path for path, word in first if word in VERBS] == []


def test_the_root_of_the_package_shows_what_the_program_does() -> None:
    entries = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert len(entries - BESIDE) <= ROOMS


def test_the_page_about_the_design_names_every_room_and_none_that_is_not_there() -> None:
    section = ARCHITECTURE.read_text("utf-8").partition("## Packages")[2].partition("<!-- states -->")[0]
    named = set(re.findall(r"`([a-z]+(?:/[a-z_]+)*(?:\.py)?)`", section))
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} <= named
    assert [name for name in named if not (PACKAGE / name).exists()] == []
