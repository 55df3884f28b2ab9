"""Nothing of the database leaves the package of the ledger: no row, no cursor, no SQL."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import xnat_watchd
from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time, zipped
from xnat_watchd.adapters.ledger import rows
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.listing import DeliveryQuery
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.core.errors import Transient

PACKAGE = Path(xnat_watchd.__file__).parent
LEDGER = PACKAGE / "adapters" / "ledger"
OUTSIDE = [file for file in PACKAGE.rglob("*.py") if LEDGER not in file.parents]
SQL = re.compile(
    r"\s*(SELECT\s.*\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|WITH\s.*\sAS\s*\(|PRAGMA)\s",
    re.DOTALL,
)
OF_A_DATABASE = {"execute", "executemany", "fetchone", "fetchall", "cursor", "_db"}

DOCUMENTS = {"views.delivery", "shares.table"}
"""Operations that return all that is known of one thing, as `show` prints it: its keys are promised in `--json`."""


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
    assert {name for name, hint in found.items() if re.search(r"\bAny\b", hint)} == DOCUMENTS
    assert {name: hint for name, hint in found.items() if re.search(r"sqlite3|Cursor|\bRow\b|Connection", hint)} == {}


def test_the_rows_that_people_are_shown_have_the_keys_that_are_promised(tmp_path: Path) -> None:
    time = Time()
    station, now = Station(tmp_path, FakeGateway(FakeXnat(time), time), time), datetime.max.replace(tzinfo=UTC)
    ledger = station.ledger
    station.start()
    station.drop("a.zip", zipped([("1.dcm", instance(1, 1, 1))]))
    station.drop("b.zip", zipped([("1.dcm", instance(2, 1, 1)), ("2.dcm", instance(2, 1, 2)[:-9])]))
    station.drop("c.zip", b"no ZIP")
    station.drop("d.txt", b"no ZIP either")
    station.take_in()
    before = ledger.studies.newest_event()
    item = ledger.studies.take(station.time.now())
    assert item
    ledger.studies.postpone(item, station.time.now(), station.time.now(), Transient("no answer"), charged=True)
    keys = [*ledger.views.held().values(), item.key]
    shown: dict[type, Sequence[Mapping[str, object]]] = {
        rows.IgnoredFile: ledger.views.ignored(), rows.AttentionRow: ledger.views.attention(),
        rows.TroubleRow: ledger.views.delayed(now), rows.UnderWayRow: ledger.views.under_way(),
        rows.ZipFate: ledger.views.fates(9), rows.LatestDelivery: ledger.views.latest(9),
        rows.LatestStudy: ledger.views.latest(9)[0]["studies"], rows.EventRow: ledger.throughput.events(before),
        rows.StandingRow: ledger.existing_sessions.standings(keys),
        rows.ListedDelivery: ledger.listing.rows(DeliveryQuery()),
    }  # fmt: skip
    for kind, found in shown.items():
        assert found, kind
        for one in found:
            assert one.keys() == kind.__annotations__.keys(), kind
    station.close()
