"""Which standings mean that nothing is left to do is written down once, in `core.states`."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import xnat_watchd
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.ledger.standings import GOES_ON
from xnat_watchd.core.states import ENDED

SPELT_OUT = re.compile(r"\(\s*'(done|skipped)'\s*,\s*'(done|skipped)'\s*\)")
SCHEMA = re.compile(r"(schema|postgres|upgrade-\d+)\.sql")


def test_no_query_spells_out_which_standings_have_ended() -> None:
    package = Path(xnat_watchd.__file__).parent
    files = [one for one in package.rglob("*") if one.suffix in {".py", ".sql"} and not SCHEMA.fullmatch(one.name)]
    assert [one.name for one in files if SPELT_OUT.search(one.read_text("utf-8"))] == []
    assert SPELT_OUT.search("standing NOT IN ('done', 'skipped')")


def test_the_index_of_the_studies_that_go_on_means_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    open_database(path).close()
    with closing(sqlite3.connect(path)) as db:
        (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'not_done'").fetchone()
        question = f"SELECT 1 FROM studies WHERE standing {GOES_ON} AND standing = 'held'"  # noqa: S608 - words of our own
        plan = db.execute(f"EXPLAIN QUERY PLAN {question}")
        assert "not_done" in plan.fetchone()[3]
    assert sql.endswith(f"WHERE standing {GOES_ON}")
    assert [str(one) for one in ENDED] == ["done", "skipped"]
