"""What people type about studies while a service runs, and how a single run goes that is paused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.station import zipped
from tests.whole.conftest import Program

Scan = Callable[..., bytes]

pytestmark = pytest.mark.parametrize("dialect", ["1.8"])  # what is said to XNAT is looked at in tests/services


def test_a_running_service_carries_out_what_people_type_at_once(program: Program, scan: Scan) -> None:
    with program.start() as service:
        service.wait_for("READY=1")
        program.run("pause")
        service.wait_for("work paused")
        program.drop("scan.zip", scan(date="20240230"))
        service.wait_for("1 under way")
        program.run("resume")
        service.wait_for("1 held")
        program.run("skip", "1.1", "--why", "no date")
        service.wait_for("0 under way, 0 held, 0 complete")
        program.drop("good.zip", scan())
        service.wait_for("1 complete")
        assert service.stop() == 0


def test_a_single_run_that_is_paused_takes_the_zips_says_so_and_ends(program: Program, scan: Scan) -> None:
    program.once()
    program.run("pause")
    program.drop("scan.zip", scan())
    said = program.once(expect=75)
    assert " has paused it. Type `xnat-watchd resume` to go on." in said
    assert (program.root / "work" / "1.zip").exists()


def test_a_zip_that_was_put_aside_leaves_the_list_when_a_person_settles_it(program: Program, scan: Scan) -> None:
    program.drop("bad.zip", zipped([("notes.txt", b"nothing")]))
    program.once(expect=1)
    assert "`xnat-watchd skip 1 --why TEXT`" in program.run("status", expect=1)
    program.drop("bad.zip", scan())
    program.once(expect=1)
    assert "1 is settled" in program.run("skip", "1", "--why", "exported again")
    assert "Nothing runs now; nothing else needs attention." in program.run("status")
    assert "settled" in program.run("show", "1")
    assert "it is settled already" in program.run("skip", "1", "--why", "again") + program.said[-1]
    assert (program.root / "failed" / "1_bad.zip").exists()
