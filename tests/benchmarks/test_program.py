"""The program under test: it is driven by its commands and files alone, and by scripts that run with its modules."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from benchmarks import zips
from benchmarks.__main__ import CHECKOUT
from benchmarks.figures import MIB, SHORT, Bench
from benchmarks.practice import Practice
from benchmarks.program import Program, Service, cpu_of, inside


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(checkout=CHECKOUT, folder=tmp_path, sizes=SHORT)


def test_a_service_is_watched_while_it_works(bench: Bench) -> None:
    with Practice(bench.new_folder("xnat"), "1.8") as xnat:
        program = Program(bench, xnat.url, {"pipeline": "workers = 1\n"})
        with Service(program, counted=True) as service:
            before, *_ = service.counts()
            dropped = program.drop({"1.zip": zips.small("1"), "2.zip": zips.small("2")})
            assert service.wait_until_done(2) > dropped
            statements, looks, commits, carrying = service.counts()
            assert statements > before
            assert (looks > 0, commits > 2, service.cpu > 0, 60 < carrying < statements) == (True,) * 4
            assert service.memory() >= service.memory("VmRSS") > 10
        assert xnat.archived() == 20
        assert sum(one.is_import for one in xnat.requests()) == 2
    assert cpu_of(program.command("status", "--json"), CHECKOUT, codes=(0, 75)) > 0


def test_a_command_that_fails_is_no_figure(bench: Bench) -> None:
    with pytest.raises(RuntimeError, match="ended with 2"):
        cpu_of(Program(bench, "http://127.0.0.1:9").command("no-such-command"), CHECKOUT)


@pytest.mark.parametrize("state", ["ready", "waiting", "done"])
def test_a_ledger_is_asked_what_workers_ask(bench: Bench, state: str) -> None:
    told = json.loads(inside(bench, "ledger_calls.py", bench.folder, state, 12))
    assert set(told) == {"take", "next_due", "retirable", "snapshot"}
    assert min(told.values()) > 0
    with sqlite3.connect(bench.folder / "ledger.sqlite") as db:
        standings = {row[0] for row in db.execute("SELECT standing FROM studies")}
        assert standings - {"busy"} == {state}
    db.close()


def test_a_ledger_is_filled_with_images(bench: Bench) -> None:
    inside(bench, "fill.py", bench.folder / "ledger.sqlite", 200)
    with sqlite3.connect(bench.folder / "ledger.sqlite") as db:
        assert db.execute("SELECT count(*), count(DISTINCT study) FROM instances").fetchone() == (200, 20)
    db.close()


def test_a_sweep_and_an_opening_are_timed(bench: Bench) -> None:
    assert float(inside(bench, "sweep.py", bench.new_folder("sweep"), 50)) > 0
    path = zips.write_large(bench.folder / "large.zip", MIB, deflated=True)
    assert float(inside(bench, "opening.py", path)) > 0
