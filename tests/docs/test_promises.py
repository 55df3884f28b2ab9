"""What docs/stability.md promises is still there: every name that stood in a version's list stands in the program.

`python -m tests.docs.test_promises` prints the names of today. A name is added to `promised.txt` when a version is
released; it is taken off only as that page says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.docs.pages import COMMANDS, SCHEMAS, keys
from xnat_watchd.adapters.log_tables import EVENTS
from xnat_watchd.core.labels import SESSION_FIELDS
from xnat_watchd.core.sharing import table, user_table
from xnat_watchd.core.sharing.row_state import RowState
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.operator.metrics import METRICS
from xnat_watchd.operator.status import Exit
from xnat_watchd.settings import Settings

PROMISED = Path(__file__).with_name("promised.txt")


def names() -> set[str]:
    """Return everything that is promised now, each as a line."""
    return {*_typed(), *_read(), *_written()}


def _typed() -> Iterator[str]:
    """Yield what people type and write: commands, options, settings, columns, fields of labels."""
    yield from (f"option {option}" for one in commands.params for option in one.opts if option.startswith("-"))
    for name, command in COMMANDS.items():
        yield f"command {name}"
        shown = [one for one in command.params if not getattr(one, "hidden", False)]
        yield from (f"option {name} {option}" for one in shown for option in one.opts if option.startswith("-"))
    for section, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (f"setting {section}.{key}" for key in kind.model_fields)
        else:
            yield f"setting {section}"
    yield from (f"label {{{field}}}" for field in SESSION_FIELDS)
    yield from (f"column {name}" for name in (*table.COLUMNS, *user_table.COLUMNS))


def _read() -> Iterator[str]:
    """Yield what programs read: keys of JSON, exit codes."""
    for path in sorted(SCHEMAS.glob("*.json")):
        schema = json.loads(path.read_text("utf-8"))
        yield from (f"json {path.stem} {name}" for name, _, _ in keys(schema, "", schema))
    yield from (f"exit {int(code)}" for code in Exit)


def _written() -> Iterator[str]:
    """Yield what is written for others: events of the journal, metrics, states of a share table's rows."""
    yield from (f"event {name}" for name in EVENTS)
    yield from (f"metric {one.exposed} {' '.join(one.labels)}".strip() for one in METRICS)
    yield from (f"row {state.value}" for state in RowState)


def promised() -> set[str]:
    return {line for line in PROMISED.read_text("utf-8").splitlines() if line and not line.startswith("#")}


def test_what_was_promised_is_there() -> None:
    assert sorted(promised() - names()) == []


@pytest.mark.parametrize("kind", ["command", "option", "setting", "json", "exit", "event", "metric", "row", "label"])
def test_something_of_each_kind_is_promised(kind: str) -> None:
    assert sum(line.startswith(f"{kind} ") for line in promised()) > 3


if __name__ == "__main__":
    print(*sorted(names()), sep="\n")  # noqa: T201 - what it is for
