"""Every safeguard can still be taken out, names tests that there are, and every row of a table of faults has one.

That the tests turn red is shown by `python -m tests.safeguards`, which takes long.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache

import pytest

from tests.faults.table import FAULTS
from tests.safeguards import folder_faults
from tests.safeguards.__main__ import matching, verdict
from tests.safeguards.mutations import ROOT, Edit, Misfit, Mutation, _mutation, mutations, replaced

MUTATIONS = list(mutations())
ATTRIBUTE = re.compile(r"\._\w+")  #: of ours: no library has us use an attribute with an underscore in front
PLAIN_NAMES = Counter(one.name.partition("/")[2] for one in MUTATIONS)
OF_A_FAULT = "tests/faults/test_faults.py::test_nothing_is_lost_doubled_mixed_or_stuck[{}-*]"


@cache
def named_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(f"{file}::{one.name}" for one in tree.body if isinstance(one, ast.FunctionDef))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_a_mutation_fits_the_program_and_names_tests_that_there_are(mutation: Mutation) -> None:
    assert all((ROOT / file).read_text("utf-8") != text for file, text in mutation.results(ROOT).items())
    assert mutation.edits
    assert mutation.red
    for red in mutation.red:
        assert red.partition("[")[0] in named_in(red.partition("::")[0])


def test_what_a_mutation_writes_has_names_that_the_program_has() -> None:
    """A mutation that sets an attribute which was renamed since changes nothing, and its tests stay green."""
    program = "".join(path.read_text("utf-8") for path in (ROOT / "xnat_watchd").rglob("*.py"))
    written = {(one.name, name) for one in MUTATIONS for edit in one.edits for name in ATTRIBUTE.findall(edit.new)}
    assert [pair for pair in sorted(written) if not re.search(rf"{re.escape(pair[1])}\b", program)] == []


@pytest.mark.parametrize("lacks", ["in", "old", "new", "red"])
def test_a_mutation_that_lacks_anything_is_named(lacks: str) -> None:
    table = {"in": "xnat_watchd", "old": "a", "new": "b", "red": ["c"]}
    with pytest.raises(ValueError, match="folders/links"):
        _mutation("folders/links", {key: value for key, value in table.items() if key != lacks})


def test_no_two_mutations_have_one_name() -> None:
    assert PLAIN_NAMES.most_common(1)[0][1] == 1


def test_every_fault_of_the_server_and_the_line_has_a_mutation() -> None:
    shown = {red for one in MUTATIONS for red in one.red if red.startswith(OF_A_FAULT.partition("[")[0])}
    assert shown == {OF_A_FAULT.format(fault.name) for fault in FAULTS}


@pytest.mark.parametrize("fault", folder_faults.FAULTS)
def test_every_fault_of_the_folder_and_the_machine_has_a_mutation_for_its_first_test(fault: str) -> None:
    red = next(one.red for one in MUTATIONS if one.name.endswith(f"/{fault}"))
    assert red[0] == folder_faults.FAULTS[fault][0]


FILE = "xnat_watchd/a.py"
TEXT = """\
LIMIT = 3  #: of what is said

def said(word):
    if word:  # else nothing is said
        return LIMIT
    return 0

class Mouth:
    @property
    def said(self):
        return 0
"""


def test_only_what_is_named_is_edited() -> None:
    assert Edit("xnat_watchd.a.said", "return 0", "return 1").made(FILE, TEXT) == TEXT.replace("0", "1", 1)
    assert Edit("xnat_watchd.a.LIMIT", "3", "4").made(FILE, TEXT) == TEXT.replace("3", "4")
    assert "    def said" not in Edit("xnat_watchd.a.Mouth.said", "@property\ndef said(self):", "").made(FILE, TEXT)


@pytest.mark.parametrize(
    ("where", "old"),
    [
        ("a.said", "return"),
        ("a.said", "return 1"),
        ("a.said", "if word:\nreturn LIMIT"),
        ("a.heard", "0"),
        ("a", "said"),
    ],
)
def test_what_does_not_stand_there_exactly_once_does_not_fit(where: str, old: str) -> None:
    with pytest.raises(Misfit):
        Edit(f"xnat_watchd.{where}", old, "").made(FILE, TEXT)


def test_what_would_be_no_python_does_not_fit() -> None:
    where = "xnat_watchd.core.errors"
    with pytest.raises(Misfit):
        Mutation("a", (Edit(where, "from __future__ import annotations", "from"),), ("a",)).results(ROOT)


def test_whole_lines_go_with_their_comment_and_keep_their_indentation() -> None:
    lines = "    if a:  # why\n        b()\n"
    assert replaced(lines, "if a:\n    b()", "c()\nd()") == "    c()\n    d()\n"
    assert replaced(lines, "b()", "") == "    if a:  # why\n"
    assert replaced(lines, "if a:", "if b:") == "    if b:  # why\n        b()\n"


def test_only_a_star_stands_for_more_than_itself() -> None:
    tests = ["a.py::t[x-1]", "a.py::t[xy-1]", "a.py::tx"]
    assert matching("a.py::t[x-*]", tests) == ["a.py::t[x-1]"]
    assert matching("a.py::t", tests) == ["a.py::t[x-1]", "a.py::t[xy-1]"]


def test_a_test_that_was_not_run_shows_nothing() -> None:
    assert verdict(["a", "b"], {"a": False}) == "NOT RUN"
    assert verdict([], {}) == "NOT RUN"
    assert verdict(["a", "b"], {"a": False, "b": True}) == "GREEN"
    assert verdict(["a"], {"a": False}) == "red"
