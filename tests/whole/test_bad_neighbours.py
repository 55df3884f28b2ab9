"""Bad ZIPs beside sound ones, a project in trouble, and faults of our own: the real process, and its exit codes."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.dialects import NEWER_AND_THOROUGHLY_OLDER
from tests.dicom import instance, nested
from tests.station import zipped
from tests.whole.conftest import DEADLINE, Program
from tests.whole.narrow_proxy import narrow_proxy
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.core.gate import PROJECT_IN_TROUBLE
from xnat_watchd.sandbox import Sandbox

Scan = Callable[..., bytes]
IMPORT = "/data/services/import"
BAD = PROJECT_IN_TROUBLE + 1
SOON = 60.0  #: seconds
SPEED = 10.0  #: of a service's clock where a test waits for what is tried again
EVER = 1_000_000  #: requests
LARGEST = 200_000  #: bytes
HASTY = "[pipeline]\nretry_first = '1s'\n"


@pytest.fixture(params=NEWER_AND_THOROUGHLY_OLDER)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def unreadable_for_xnat(number: int) -> bytes:
    """Return a ZIP with sequences nested deeper than the practice XNAT reads, so that it answers 400."""
    return zipped([("1.dcm", nested(instance(number, pixels=b""), 20))])


def large(number: int) -> bytes:
    return zipped([("1.dcm", instance(number, pixels=os.urandom(3 * LARGEST)))])


def held(program: Program) -> list[str]:
    """Return the items that need attention; check that text and exit code of `status` agree with them."""
    rows: list[dict[str, Any]] = program.status()["attention"]
    screen = program.run("status", expect=1)
    for row in rows:
        assert row["item"] in screen
        assert row["why"]
        assert row["advice"]
        assert "ITEM" not in row["advice"]
    return sorted(row["item"] for row in rows)


def published(program: Program) -> dict[str, Any]:
    snapshot: dict[str, Any] = json.loads((program.root / "status.json").read_text("utf-8"))
    return snapshot


def numbered(count: int) -> list[str]:
    return [f"{n}.1" for n in range(1, count + 1)]


def test_six_zips_that_xnat_cannot_read_are_held_by_name_and_the_sound_one_after_them_is_complete_soon(
    program: Program, scan: Scan, xnat: Sandbox
) -> None:
    program.write(HASTY)
    for number in range(1, BAD + 1):
        program.drop(f"bad{number}.zip", unreadable_for_xnat(number))
    with program.start(SPEED) as service:
        service.wait_for(f"{BAD} held")
        assert held(program) == numbered(BAD)
        assert len(published(program)["attention"]) == BAD
        assert program.status()["projects_shut"] == {}
        dropped = monotonic()
        program.drop("good.zip", scan(99))
        service.wait_for("1 complete")
        assert monotonic() - dropped < SOON
        assert held(program) == numbered(BAD)
        assert service.stop() == 0
    assert [one.where for one in xnat.instances()] == ["archive"] * 2
    program.once(expect=1)


def test_zips_that_are_too_large_for_a_proxy_are_held_by_name_and_small_ones_are_complete_soon(
    program: Program, scan: Scan, xnat: Sandbox
) -> None:
    with narrow_proxy(xnat.url, LARGEST) as program.server:
        program.write()
        for number in range(1, BAD + 1):
            program.drop(f"big{number}.zip", large(number))
        with program.start(SPEED) as service:
            service.wait_for(f"{BAD} held")
            dropped = monotonic()
            program.drop("small1.zip", scan(98, time="120000"))
            program.drop("small2.zip", scan(99, time="130000"))
            service.wait_for("2 complete")
            assert monotonic() - dropped < SOON
            assert held(program) == numbered(BAD)
            assert {row["why"] for row in published(program)["attention"]} == {
                "XNAT answered 413 to the upload in project P1"
            }
            assert service.stop() == 0
    assert [one.where for one in xnat.instances()] == ["archive"] * 4


def test_a_project_that_is_shut_is_told_everywhere_and_opens_for_a_sound_zip_that_comes(
    program: Program, scan: Scan, xnat: Sandbox
) -> None:
    program.write(HASTY)
    xnat.faults.on("POST", IMPORT, times=EVER).refuse(403)
    for number in range(1, PROJECT_IN_TROUBLE + 1):
        program.drop(f"{number}.zip", scan(number, time=f"10{number:02}00"))
    with program.start(SPEED) as service:
        service.wait_for("project P1 waits: XNAT answered 403 to the upload in project P1")
        snapshot = program.status()
        assert [(row["item"], row["project"]) for row in snapshot["attention"]] == [("project", "P1")]
        assert snapshot["projects_shut"]["P1"]["open"] is False
        assert "project P1 waits" in program.run("status", expect=1)
        assert published(program)["attention"] == snapshot["attention"]
        xnat.faults.clear()
        lifted = monotonic()
        program.drop("sound.zip", scan(99, time="235900"))
        service.wait_for(f"{PROJECT_IN_TROUBLE + 1} complete")
        assert monotonic() - lifted < SOON + 30 / SPEED  # the first trial comes after 30 seconds
        assert program.status()["attention"] == []
        assert service.stop() == 0


@pytest.mark.thorough
def test_run_once_ends_although_studies_wait_for_a_project_that_stays_shut(
    program: Program, scan: Scan, xnat: Sandbox
) -> None:
    program.write(HASTY)
    xnat.faults.on("POST", IMPORT, times=EVER).refuse(403)
    for number in range(1, BAD + 1):
        program.drop(f"{number}.zip", scan(number, time=f"10{number:02}00"))
    said = program.once(expect=1)  # a right that was lost needs somebody
    assert "project P1 waits: XNAT answered 403 to the upload in project P1" in said
    xnat.faults.clear()


WAITS = {"1.8": "the answer was lost, and what was sent may still appear", "1.6": "it is sent once more after a night"}
MINUTES = 30  #: that `run --once` waits at most for what a server that fails may still bring


@pytest.mark.parametrize("dialect", ["1.8", "1.6"], indirect=True)
def test_run_once_ends_soon_with_75_where_a_server_fails_that_may_recover(
    program: Program, scan: Scan, xnat: Sandbox, dialect: str
) -> None:
    xnat.faults.on("POST", IMPORT, times=EVER).refuse(500)
    for number in range(1, 3):
        program.drop(f"{number}.zip", scan(number, time=f"10{number:02}00"))
    line = program.hurried(60.0, "run", "--once")  # a second is a minute
    begun = monotonic()
    done = subprocess.run(  # noqa: S603 - our own program
        line, env=program._environment(), capture_output=True, text=True, check=False, timeout=DEADLINE
    )
    program.said += [done.stdout, done.stderr]
    assert done.returncode == 75, done.stdout + done.stderr
    assert monotonic() - begun < MINUTES
    (told,) = (line for line in done.stdout.splitlines() if line.startswith("1.1 received, waiting: "))
    assert WAITS[dialect] in told
    xnat.faults.clear()


# -- faults of our own, and of this machine ----------------------------------------------------------------

BROKEN = """
import sys
import xnat_watchd.{module} as module
from xnat_watchd.__main__ import main

def fails(*what, **more):
    raise {error}

assert module.{name}
module.{name} = fails
main()
"""


@pytest.fixture
def broken(program: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str, str], None]]:
    """Yield a function that makes a function of the program fail in all processes started later."""

    def break_(module: str, name: str, error: str) -> None:
        code = BROKEN.format(module=module, name=name, error=error)
        monkeypatch.setattr(program, "_line", lambda *words: [sys.executable, "-c", code, *program._words(*words)])

    yield break_
    program.said.clear()  # what a traceback holds is shown elsewhere


@pytest.mark.parametrize("dialect", ["1.8"], indirect=True)
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("daemon.threads", "sharing_turn"),
        ("daemon.threads", "worker_turn"),
        ("daemon.threads", "intake_turn"),
        ("daemon.monitor", "Monitor.check"),
    ],
)
def test_a_fault_in_any_thread_ends_the_service_with_70(
    program: Program, broken: Callable[[str, str, str], None], module: str, name: str
) -> None:
    broken(module, name, "ValueError('a bug')")
    with program.start() as service:
        assert service.process.wait(DEADLINE) == 70


@pytest.mark.parametrize("dialect", ["1.8"], indirect=True)
@pytest.mark.parametrize("error", ["OSError(5, 'Input/output error')", "OSError(30, 'Read-only file system')"])
def test_a_disk_that_fails_ends_no_service_and_is_told(
    program: Program, broken: Callable[[str, str, str], None], error: str
) -> None:
    broken("daemon.threads", "_work", error)
    with program.start() as service:
        service.wait_for("a disk of this machine fails")
        assert "a disk of this machine fails" in program.run("status", expect=1)
        assert service.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("dialect", ["1.8"], indirect=True)
def test_a_ledger_that_may_only_be_read_is_said_in_a_sentence_at_the_start_with_78(program: Program) -> None:
    other = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are for root alone
        program.root = Path(place)
        program.config = program.root / "config.toml"
        program.write()
        open_database(program.root / "ledger.sqlite").close()
        for path in (program.root, *program.root.iterdir()):
            os.chown(path, other.pw_uid, other.pw_gid)
        (program.root / "ledger.sqlite").chmod(0o400)
        program.run("run", expect=78)
    assert "cannot be written to" in program.said[-1]
    assert "Traceback" not in program.said[-1]
