"""The suite knows a ledger by its public operations alone: else another engine could not pass it."""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).parent


def test_nothing_here_reaches_behind_a_ledger() -> None:
    names = {
        node.attr
        for file in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }
    assert {name for name in names if name.startswith("_")} == set()
    assert not {"execute", "fetchone", "fetchall", "change"} & names
