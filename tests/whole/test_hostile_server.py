"""The whole service before a server that means it ill: its memory, its stop, and the projects of others."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.whole.administered import Administered
from tests.whole.conftest import PASSWORD
from tests.whole.hostile_proxy import KINDS, HostileProxy
from tests.whole.test_service_life import wait_until, without_project
from xnat_watchd.sandbox import Sandbox

Scan = Callable[..., bytes]
MOST_MEMORY = 250  #: MB, of the whole process
STOPS_WITHIN = 5.0  #: seconds
QUICK = "objects"
WORKERS = 6
STUDIES = 3  #: of each project; more than there are workers


@pytest.fixture
def dialect() -> str:
    return "1.8"


@pytest.fixture
def proxy(xnat: Sandbox) -> Iterator[HostileProxy]:
    with HostileProxy(xnat.url) as one:
        yield one


@pytest.fixture
def program(tmp_path: Path, xnat: Sandbox, proxy: HostileProxy) -> Iterator[Administered]:
    xnat.add_project("EVIL")
    xnat.grant("tech", "EVIL", "member")
    one = Administered(tmp_path / "watchd", tmp_path / "config.toml", proxy.url)
    one.given = {"XNAT_WATCHD_XNAT__USER": "tech", "XNAT_WATCHD_XNAT__PASSWORD": PASSWORD}
    for project in ("P1", "EVIL"):
        (one.root / "drop" / project).mkdir(parents=True)
    one.write("[projects.P1]\n[projects.EVIL]\n")
    without_project(one)
    yield one
    assert one.secrets_told() == []


def most_memory(process: int) -> int:
    """Return the most memory in MB that a process ever had, as the kernel says."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text("utf-8"))
    assert found is not None
    return int(found[1]) >> 10


@pytest.mark.parametrize("kind", [k if k == QUICK else pytest.param(k, marks=pytest.mark.thorough) for k in KINDS])
def test_what_is_hostile_about_one_project_neither_fills_the_memory_nor_stops_the_others(
    program: Administered, proxy: HostileProxy, xnat: Sandbox, tmp_path: Path, scan: Scan, kind: str
) -> None:
    status = program.use_runtime_folder(tmp_path / "run")
    with program.start() as service:
        service.wait_for("READY=1")
        proxy.kind, proxy.pattern = kind, "EVIL"
        for n in range(STUDIES):
            program.drop(f"EVIL/{n}.zip", scan(10 + n))
        wait_until(lambda: proxy.hits > 0)
        for n in range(STUDIES):
            program.drop(f"P1/{n}.zip", scan(n + 1, name=f"Wombat^{n}", patient=f"W-{n}"))
        wait_until(lambda: sum(one.where == "archive" for one in xnat.instances()) == 2 * STUDIES)
        wait_until(lambda: proxy.hits > STUDIES or kind not in {"objects", "lists", "attributes"})
        memory, begun = most_memory(service.process.pid), time.monotonic()
        assert service.stop(signal.SIGTERM) == 0
        assert time.monotonic() - begun < STOPS_WITHIN
    assert memory < MOST_MEMORY
    assert {one.project for one in xnat.instances() if one.where == "archive"} == {"P1"}
    assert any(one["project"] == "EVIL" for one in json.loads(status.read_text())["under_way"])


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["objects", "rows"])
def test_however_many_ask_at_once_what_is_hostile_fills_no_memory(
    program: Administered, proxy: HostileProxy, xnat: Sandbox, tmp_path: Path, scan: Scan, kind: str
) -> None:
    status = program.use_runtime_folder(tmp_path / "run")
    program.config.write_text(program.config.read_text("utf-8") + f"[pipeline]\nworkers = {WORKERS}\n", "utf-8")
    xnat.add_project("P2")
    xnat.grant("tech", "P2", "owner")
    (program.root / "shares").mkdir()
    (program.root / "shares" / "t.csv").write_text("subject,source,destination\nnobody,EVIL,P2\n", "utf-8")
    with program.start() as service:
        service.wait_for("READY=1")
        proxy.kind, proxy.pattern = kind, "EVIL"
        for n in range(WORKERS):
            program.drop(f"EVIL/{n}.zip", scan(10 + n, time=f"10{n:02}00"))
        wait_until(lambda: proxy.hits > 3 * WORKERS, seconds=240)
        memory = most_memory(service.process.pid)
        assert json.loads(status.read_text())["under_way"]
        assert service.stop(signal.SIGTERM) == 0
    assert memory < MOST_MEMORY


@pytest.mark.parametrize("kind", ["preliminary answers", pytest.param("objects", marks=pytest.mark.thorough)])
def test_a_server_that_is_hostile_about_everything_is_told_and_a_stop_is_obeyed(
    program: Administered, proxy: HostileProxy, tmp_path: Path, scan: Scan, kind: str
) -> None:
    status = program.use_runtime_folder(tmp_path / "run")
    with program.start() as service:
        service.wait_for("READY=1")
        proxy.kind, proxy.pattern = kind, "/data/"
        program.drop("P1/a.zip", scan())
        wait_until(lambda: json.loads(status.read_text())["gate"]["open"] is False)
        assert "XNAT" in program.run("status", expect=69)
        memory, begun = most_memory(service.process.pid), time.monotonic()
        assert service.stop(signal.SIGTERM) == 0
        assert time.monotonic() - begun < STOPS_WITHIN
    assert memory < MOST_MEMORY
