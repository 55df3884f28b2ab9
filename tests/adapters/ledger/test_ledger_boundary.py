"""Nothing of the database leaves the package of the ledger: no row, no cursor, no SQL."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import xnat_watchd
from xnat_watchd.adapters.ledger.database import open_database
from xnat_watchd.adapters.ledger.ledger import Ledger

PACKAGE = Path(xnat_watchd.__file__).parent
LEDGER = PACKAGE / "adapters" / "ledger"
OUTSIDE = [file for file in PACKAGE.rglob("*.py") if LEDGER not in file.parents]
SQL = re.compile(
    r"\s*(SELECT\s.*\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|WITH\s.*\sAS\s*\(|PRAGMA)\s",
    re.DOTALL,
)
OF_A_DATABASE = {"execute", "executemany", "fetchone", "fetchall", "cursor", "_db"}


@pytest.mark.parametrize("file", OUTSIDE, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_other_module_asks_a_database(file: Path) -> None:
    nodes = [*ast.walk(ast.parse(file.read_text("utf-8")))]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert [text for text in texts if SQL.match(text)] == []
    assert {node.attr for node in nodes if isinstance(node, ast.Attribute)} & OF_A_DATABASE == set()
    imported = [one.name for node in nodes if isinstance(node, ast.Import) for one in node.names]
    assert not {"sqlite3", "psycopg"} & {name.partition(".")[0] for name in imported}


def operations(ledger: Ledger) -> Iterator[tuple[str, str]]:
    """Yield the name of each public operation, and how what it returns is annotated."""
    parts = {"ledger": ledger, **{name: part for name, part in vars(ledger).items() if not name.startswith("_")}}
    for name, part in parts.items():
        if inspect.ismethod(part) or inspect.isbuiltin(part):
            continue
        for operation, function in inspect.getmembers(type(part), inspect.isfunction):
            if not operation.startswith("_"):
                yield f"{name}.{operation}", str(function.__annotations__["return"])


def test_what_a_ledger_returns_is_of_no_type_of_a_database(tmp_path: Path) -> None:
    with closing(Ledger(open_database(tmp_path / "ledger.sqlite"))) as ledger:
        found = dict(operations(ledger))
    assert len(found) > 100
    assert {name: hint for name, hint in found.items() if re.search("sqlite3|Cursor|Row\\b|Connection", hint)} == {}
