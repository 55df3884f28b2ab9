"""What `install` makes of a machine, what an upgrade leaves, and what remains after `uninstall`."""

from __future__ import annotations

import re

from tests.whole.systemd.conftest import NEXT_VERSION
from tests.whole.systemd.machine import Machine, until
from tests.whole.systemd.service import CONFIGURATION, OUTSIDER, Service, install_program
from tests.whole.systemd.service import UNIT_FILE as UNIT
from xnat_watchd import __version__
from xnat_watchd.sandbox.samples import THADDAEUS, study

WARNING = 4  #: as syslog counts
PROGRAM = "/opt/xnat-watchd/bin/xnat-watchd"


def test_installing_again_changes_nothing(machine: Machine) -> None:
    said = machine.says("xnat-watchd", "install")
    assert set(re.findall(r"^(\w+) +/", said, re.MULTILINE)) == {"kept", "unchanged"}


def test_an_edited_configuration_stays_and_a_changed_unit_does_not(machine: Machine) -> None:
    edited = machine.path(CONFIGURATION).read_text().replace("workers = 4", "workers = 3")
    machine.write(CONFIGURATION, edited)
    unit = machine.path(UNIT).read_text()
    machine.write(UNIT, unit + "# changed\n")
    machine.run("xnat-watchd", "install")
    assert (machine.path(CONFIGURATION).read_text(), machine.path(UNIT).read_text()) == (edited, unit)


def test_systemd_has_nothing_to_say_about_the_unit(machine: Machine) -> None:
    done = machine.run("systemd-analyze", "verify", "--man=no", UNIT)
    assert done.stdout + done.stderr == ""  # an unknown key or value is told, but is no error to it


def test_systemd_warns_of_nothing_when_it_starts(service: Service) -> None:
    service.start()
    assert [one["MESSAGE"] for one in service.entries() if int(str(one.get("PRIORITY", 6))) <= WARNING] == []


def test_the_service_is_exposed_to_little(machine: Machine) -> None:
    said = machine.says("systemd-analyze", "security", "--offline=true", "--threshold=13", "--no-pager", UNIT)
    assert re.search(r"Overall exposure level for xnat-watchd.service: (1\.[0-3]|0\.\d) OK", said)


def test_the_folders_let_in_whom_they_should(machine: Machine) -> None:
    folders = ("", "/drop", "/shares", "/work", "/done", "/failed")
    said = machine.says("stat", "--format=%a %U:%G", *(f"/srv/xnat{folder}" for folder in folders))
    modes = ["750", "2770", "2770", "700", "2750", "2750"]
    assert said.splitlines() == [f"{mode} xnat-watchd:xnat-drop" for mode in modes]
    assert machine.says("stat", "--format=%a %U:%G", "/var/lib/xnat-watchd") == "700 xnat-watchd:xnat-drop"


def test_a_dry_run_does_nothing(machine: Machine) -> None:
    machine.run(PROGRAM, "uninstall")
    said = machine.says(PROGRAM, "install", "--dry-run")
    assert f"placed    {UNIT}" in said
    assert "ran       systemctl daemon-reload" in said
    assert not machine.path(UNIT).exists()


def test_only_root_can_install(machine: Machine) -> None:
    done = machine.run(PROGRAM, "install", user=OUTSIDER, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "only root" in done.stderr


def test_a_careful_umask_of_root_shuts_nobody_out(service: Service) -> None:
    machine = service.machine
    machine.run(PROGRAM, "uninstall")
    machine.run("rm", "-r", "/etc/xnat-watchd", "/usr/local/lib/systemd")
    machine.run("sh", "-c", f"umask 077; {PROGRAM} install")
    service.configure()
    service.start()
    assert service.snapshot()["daemon"]["running"] is True


def test_folders_elsewhere_work_after_installing_once_more(service: Service) -> None:
    service.configure(folders={"root": "/data/images"}, ledger={"path": "/data/ledger/ledger.sqlite"})
    service.machine.run("install", "-d", "-o", "xnat-watchd", "-m", "700", "/data/ledger")
    service.machine.run("xnat-watchd", "install")
    service.start()
    service.drop("scan.zip", study(1), to="/data/images/drop")
    until(lambda: [*service.machine.path("/data/images/done").rglob("*.zip")], 20, "the ZIP in the other folder")
    service.systemctl("stop")
    service.machine.run("rm", "-r", "/data")


def test_an_upgrade_over_a_running_service_goes_on_where_the_old_one_was(service: Service) -> None:
    install_program(service.machine, __version__)
    service.start()
    service.drop("before.zip", study(1))
    service.wait_for("before.zip")
    install_program(service.machine, NEXT_VERSION)
    assert "systemctl restart" in service.machine.says("xnat-watchd", "install")
    service.drop("meanwhile.zip", study(2, patient=THADDAEUS))
    service.wait_for("before.zip", "meanwhile.zip")
    service.systemctl("restart")
    assert NEXT_VERSION in service.machine.says("xnat-watchd", "--version")
    held = service.held()
    service.drop("again.zip", study(1))
    until(lambda: service.snapshot()["deliveries"] == {"finished": 2, "duplicate": 1}, 20, "the ledger's memory")
    assert service.held() == held


def test_uninstalling_leaves_what_is_the_sites(service: Service) -> None:
    service.systemctl("enable")
    service.start()
    service.drop("scan.zip", study(1))
    service.wait_for("scan.zip")
    configured = service.machine.path(CONFIGURATION).read_text()
    service.machine.run(PROGRAM, "uninstall")
    assert service.is_(LoadState="not-found", ActiveState="inactive")
    assert service.machine.says("find", "/usr/local", "/etc/systemd", "/run", "-name", "*xnat-watchd*") == ""
    assert service.machine.path(CONFIGURATION).read_text() == configured
    assert [name.partition("_")[2] for name in service.finished()] == ["scan.zip"]
    service.machine.run(PROGRAM, "install")
    service.start()
    service.drop("again.zip", study(1))
    until(lambda: service.snapshot()["deliveries"] == {"finished": 1, "duplicate": 1}, 20, "the ledger's memory")
