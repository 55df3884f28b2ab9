"""One machine for all of these tests, with the program installed, and for each test a service that is new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.whole.systemd import service as services
from tests.whole.systemd.machine import Machine, booted, built_root, obstacle
from tests.whole.systemd.service import (
    CONFIGURATION,
    COORDINATOR,
    DROP_INS,
    OUTSIDER,
    PASSWORD,
    TECH,
    UNIT_FILE,
    USER,
    Service,
)
from xnat_watchd import __version__
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.sandbox.options import Options

NEEDED = "XNAT_WATCHD_NEED_SYSTEMD"
NEXT_VERSION = f"{__version__}.post1"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "systemd: needs root and a container with a real systemd")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.systemd)
            item.add_marker(pytest.mark.timeout(300))  # the first of them builds and boots the machine


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Yield a machine with three users, where the program is installed as the documentation says."""
    why_not = obstacle() or ("runs by itself only: add -n0" if "PYTEST_XDIST_WORKER" in os.environ else "")
    if why_not:
        (pytest.fail if os.environ.get(NEEDED) else pytest.skip)(f"a real systemd {why_not}")
    work = tmp_path_factory.mktemp("systemd")
    ours = work / "wheels"
    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        root, others = pool.submit(built_root), pool.submit(services.dependencies)
        for version in (__version__, NEXT_VERSION):
            services.wheels(ours, version)
        shown = {ours: f"{services.WHEELS}/ours", others.result(): f"{services.WHEELS}/others"}
        machine = stack.enter_context(booted(root.result(), work, shown))
        services.install_program(machine, __version__)
        machine.run("/opt/xnat-watchd/bin/xnat-watchd", "install")
        machine.run("useradd", "--create-home", "--groups", "xnat-drop", TECH)
        machine.run("useradd", "--create-home", OUTSIDER)
        machine.run("useradd", "--create-home", "--groups", "xnat-drop,xnat-admin", COORDINATOR)
        yield machine


@pytest.fixture(scope="session")
def installed(machine: Machine) -> dict[str, str]:
    """Return the files that `install` has placed and that a test may change."""
    return _installed(machine)


@pytest.fixture
def service(machine: Machine, installed: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    """Yield a new service for a practice XNAT of its own; it is configured and does not run yet."""
    cursor = machine.says("journalctl", "--lines=0", "--show-cursor", "--quiet").removeprefix("-- cursor: ")
    # The row of a broken upload says so, as on servers of 2026; with older ones we wait two minutes for more.
    options, users, later = Options(marks_failed_imports=True), {USER: PASSWORD}, [timedelta(0)]
    with_clock = partial(Sandbox, clock=lambda: datetime.now().astimezone() + later[0], options=options)
    try:
        with with_clock(tmp_path / "xnat", users=users, projects=["P1"]) as xnat:
            service = Service(machine, xnat, cursor, later)
            service.configure()
            service.leave_login()
            yield service
            service.systemctl("stop", check=False)
            service.check_privacy()
    finally:
        _forget(machine, installed)


def _installed(machine: Machine) -> dict[str, str]:
    files = {name: machine.path(name) for name in (CONFIGURATION, UNIT_FILE)}
    return {name: path.read_text() if path.exists() else "" for name, path in files.items()}


def _forget(machine: Machine, installed: dict[str, str]) -> None:
    """Leave the machine as it was before the first start."""
    machine.run("systemctl", "disable", "--now", "--quiet", "xnat-watchd", check=False)
    machine.run("systemctl", "reset-failed", "xnat-watchd", check=False)
    credentials = "/etc/credstore/* /etc/credstore.encrypted"  # newer systemds find what lies there by itself
    theirs = "/var/lib/xnat-watchd/* /srv/xnat/*/* /srv/xnat/ledger* /srv/xnat/credentials*"
    machine.run("sh", "-c", f"rm -rf {DROP_INS} {theirs} {credentials} /run/xnat-watchd")
    machine.write(CONFIGURATION, installed[CONFIGURATION])
    machine.run("systemctl", "daemon-reload")
    if _installed(machine) != installed:
        machine.run("/opt/xnat-watchd/bin/xnat-watchd", "install")
