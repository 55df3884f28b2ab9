"""Every citation of a fact about XNAT leads to docs/xnat-facts.md, and every fact there is cited and has its test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "xnat-facts.md"
FACT = re.compile(r'^- <a id="f(\d+)"></a>\*\*F(\d+)\*\* (.+?)\n  \(([^\n]+)\)$', re.MULTILINE | re.DOTALL)
CITED = re.compile(r"\bF(\d{1,3})(?:(?: to |-)F(\d{1,3}))?\b")
BESIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "pyproject.toml")
SEARCHED = ("xnat_watchd", "tests", "docs", "config", "systemd", *BESIDE)
TEXT = {".py", ".sql", ".md", ".toml", ".conf", ".service", ".timer"}
#: How the notes were cited that do not come with the program.
UNSHIPPED = re.compile(
    r"\bC8\b|\b(?:captures?|traps?|[Ff]acts?) \d|\bprobe R\d|\bcase [A-Z]\d"
    r"|\b(?:client|design|principles|users|NOTES)\.md\b|\b(?:contract|observed|recorded)-[\d.]++(?!csv)"
    r"|\bthe design, section"
)
WITHOUT_TEST = 5
#: What goes through a table, whose rows need not cite.
TABLES = {
    "test_the_practice_xnat_does_as_the_contract_says",
    "test_every_exchange_is_as_its_verdict_says",
    "test_nothing_is_lost_doubled_mixed_or_stuck",
    "test_an_answer_means_what_the_table_says",
}


def _texts() -> Iterator[tuple[str, str]]:
    """Read every text file of the program, its tests and its documents, but this one."""
    for name in SEARCHED:
        top = REPOSITORY / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.suffix in TEXT and path != Path(__file__) and "__pycache__" not in path.parts:
                yield path.relative_to(REPOSITORY).as_posix(), path.read_text("utf-8")


@cache
def _facts() -> dict[int, tuple[str, str]]:
    """Return what stands behind each number: its sentences, and where it was seen with the test that holds it."""
    return {int(number): (said, source) for _, number, said, source in FACT.findall(PAGE.read_text("utf-8"))}


@cache
def _citations() -> dict[int, set[str]]:
    """Return the files that cite each number; a range cites its two ends and what lies between."""
    found: dict[int, set[str]] = {}
    for name, text in _texts():
        if name != PAGE.relative_to(REPOSITORY).as_posix():
            for first, last in CITED.findall(text):
                for number in {int(first), int(last or first), *(_facts().keys() & range(int(first), int(last or 0)))}:
                    found.setdefault(number, set()).add(name)
    return found


@cache
def _tests(path: str) -> dict[str, str]:
    """Return the source of each test of a module, by its name."""
    source = (REPOSITORY / path).read_text("utf-8")
    lines = source.splitlines()
    return {
        node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    }


def test_every_citation_leads_to_a_fact() -> None:
    astray = {f"F{number}": sorted(names) for number, names in _citations().items() if number not in _facts()}
    assert not astray


def test_every_fact_is_cited() -> None:
    assert not _facts().keys() - _citations().keys()


def test_every_number_is_one_fact_and_its_own_anchor() -> None:
    text = PAGE.read_text("utf-8")
    found = [(anchor, number) for anchor, number, _, _ in FACT.findall(text)]
    assert all(anchor == number for anchor, number in found)
    assert len(found) == len(_facts()) == text.count("<a id=") > 200


def test_every_fact_says_where_it_was_seen_and_which_test_holds_it() -> None:
    without = [number for number, (_, source) in _facts().items() if "; no test: " in source]
    assert len(without) <= WITHOUT_TEST
    for number, (_, source) in _facts().items():
        assert re.match(r"1\.6\.[45]|1\.8 source|recorded|reported|measured with|assumed", source), f"F{number}"
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`$", source)
        assert bool(named) != (number in without), f"F{number} names no test"
        for path, test in named:
            assert test in _tests(path), f"F{number} names {test}, which is not there"
            assert test in TABLES or re.search(rf"\bF{number}\b", _tests(path)[test]), f"{test} does not cite F{number}"


def test_what_a_fact_refers_to_is_a_fact() -> None:
    referred = {int(number) for said, _ in _facts().values() for number in re.findall(r"\bF(\d+)\b", said)}
    assert referred <= _facts().keys()


def test_nothing_cites_notes_that_do_not_come_with_the_program() -> None:
    found = [
        f"{name}: {line.strip()}" for name, text in _texts() for line in text.splitlines() if UNSHIPPED.search(line)
    ]
    assert not found


@pytest.mark.parametrize(
    "line",
    ["(C8 3.7a)", "capture 281", "captures 4 and 17", "trap 16", "Fact 70", "client.md 0.5", "contract-1.8.md",
     "observed-1.6.5.md", "recorded-1.8 1.3", "design.md section 10", "the design, section 4", "probe R5", "case B5"],
)  # fmt: skip
def test_a_citation_of_notes_is_seen(line: str) -> None:
    assert UNSHIPPED.search(f"some words ({line}) and more")
