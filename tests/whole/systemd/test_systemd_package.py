"""The life of the package for Debian: installed, upgraded, removed and purged, with a ledger of the first version."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.ledgers import of_version_1
from tests.whole.systemd.machine import Machine, booted, built_root, obstacle, outside, until
from tests.whole.systemd.service import CONFIGURATION, PASSWORD, TECH, USER, Service
from xnat_watchd.adapters.ledger.database import VERSION
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.sandbox.options import Options
from xnat_watchd.sandbox.samples import THADDAEUS, study

PACKAGE = os.environ.get("XNAT_WATCHD_PACKAGE", "")
"""The file that `python -m release deb` has made. To make it takes longer than to try it, so CI does that before."""

LEDGER = "/var/lib/xnat-watchd/ledger.sqlite"
OLD, NEW = "/packages/old.deb", "/packages/new.deb"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the package, and the same one of an older version."""
    if not PACKAGE:
        pytest.skip("no package to try")
    assert obstacle() == ""
    folder = tmp_path_factory.mktemp("packages")
    outside("dpkg-deb", "--raw-extract", PACKAGE, str(folder / "old"))
    control = folder / "old/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 0.0.1", control.read_text()))
    outside("dpkg-deb", "--build", "--root-owner-group", "-Znone", str(folder / "old"), str(folder / "old.deb"))
    (folder / "new.deb").write_bytes(Path(PACKAGE).read_bytes())
    return folder


@pytest.fixture
def machine(packages: Path, tmp_path: Path) -> Iterator[Machine]:
    with booted(built_root(), tmp_path, {packages: "/packages"}) as machine:
        yield machine


@pytest.fixture
def service(machine: Machine, tmp_path: Path) -> Iterator[Service]:
    options, later = Options(marks_failed_imports=True), [timedelta(0)]
    with Sandbox(
        tmp_path / "xnat", users={USER: PASSWORD}, projects=["P1"], options=options,
        clock=lambda: datetime.now().astimezone() + later[0],
    ) as xnat:  # fmt: skip
        cursor = machine.says("journalctl", "--lines=0", "--show-cursor", "--quiet").removeprefix("-- cursor: ")
        yield Service(machine, xnat, cursor, later)


def dpkg(machine: Machine, *words: str) -> str:
    done = machine.run("dpkg", *words, check=False, environ={"DEBIAN_FRONTEND": "noninteractive"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def done(service: Service) -> list[str]:
    return [name.partition("_")[2] for name in service.finished()]


def is_there(machine: Machine, *paths: str) -> list[bool]:
    return [os.path.lexists(machine.path(path)) for path in paths]


def test_a_package_lives_and_leaves_what_is_the_sites(service: Service, tmp_path: Path) -> None:
    machine = service.machine
    dpkg(machine, "--install", OLD)
    assert service.is_(ActiveState="inactive", UnitFileState="disabled")
    sockets = ("xnat-watchd-operator.socket", "xnat-watchd-web.socket")
    assert machine.says("systemctl", "is-enabled", *sockets).split() == ["enabled", "enabled"]
    assert machine.says("systemctl", "is-active", sockets[0]) == "active"
    machine.run("useradd", "--create-home", "--groups", "xnat-drop", TECH)
    of_version_1(tmp_path / "old.sqlite")
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as db:
        for (kept,) in db.execute("SELECT resting FROM deliveries WHERE resting IS NOT NULL").fetchall():
            machine.write(f"/srv/xnat/{kept}", b"", owner="xnat-watchd")
    for folder in ("shares", "work"):  # as they were for the older program: else their disks seem not to be mounted
        machine.write(f"/srv/xnat/{folder}/.xnat-watchd-mark", b"", owner="xnat-watchd")
    machine.write(LEDGER, (tmp_path / "old.sqlite").read_bytes(), owner="xnat-watchd", mode=0o600)
    service.configure()
    service.leave_login()
    configured = machine.path(CONFIGURATION).read_text()
    service.systemctl("enable")

    dpkg(machine, "--install", NEW)
    assert machine.path(CONFIGURATION).read_text() == configured
    assert service.is_(ActiveState="inactive")
    service.start()
    for name in (LEDGER, f"{LEDGER}-wal"):
        (tmp_path / Path(name).name).write_bytes(machine.path(name).read_bytes())
    with closing(sqlite3.connect(tmp_path / Path(LEDGER).name)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert db.execute("SELECT count(*) FROM deliveries").fetchone()[0] > 0
    service.drop("before.zip", study(1, patient=THADDAEUS))
    until(lambda: "before.zip" in done(service), 60, "a ZIP that is done")

    process = service.shows("MainPID")
    dpkg(machine, "--install", NEW)
    assert service.is_(ActiveState="active")
    assert service.shows("MainPID") != process
    service.drop("after.zip", study(2, patient=THADDAEUS, time="111213.140000"))
    until(lambda: "after.zip" in done(service), 60, "another ZIP that is done, by the new process")

    dpkg(machine, "--remove", "xnat-watchd")
    assert service.is_(ActiveState="inactive")
    assert is_there(machine, "/opt/xnat-watchd", "/usr/bin/xnat-watchd") == [False, False]
    assert is_there(machine, CONFIGURATION, LEDGER) == [True, True]

    machine.write("/var/lib/xnat-watchd/login/credentials.json", "{}")
    said = dpkg(machine, "--purge", "xnat-watchd")
    assert "Not removed: the ledger" in said
    assert is_there(machine, "/etc/xnat-watchd", "/var/lib/xnat-watchd/login", LEDGER) == [False, False, True]
    assert "before.zip" in done(service)


def test_a_package_does_not_mix_with_what_pip_has_installed(machine: Machine) -> None:
    machine.write("/opt/xnat-watchd/pyvenv.cfg", "home = /usr/bin\n")
    done = machine.run("dpkg", "--install", NEW, check=False)
    assert done.returncode != 0
    assert "/opt/xnat-watchd/bin/xnat-watchd uninstall" in done.stderr
    assert is_there(machine, "/usr/bin/xnat-watchd", "/etc/xnat-watchd") == [False, False]
