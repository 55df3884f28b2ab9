"""Which files make a service of the program, and how they come to their places."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from xnat_watchd.adapters import web_socket
from xnat_watchd.adapters.operator_socket import SOCKET
from xnat_watchd.adapters.systemd import installation
from xnat_watchd.adapters.systemd.installation import Installer, install, shipped, uninstall
from xnat_watchd.adapters.systemd.service_files import (
    CONFIGURATION,
    FAILED_UNIT,
    OPERATOR_SLICE,
    OPERATOR_SOCKET,
    OPERATOR_UNIT,
    UNIT,
    WEB_SOCKET,
    WEB_UNIT,
    Link,
    Machine,
    ServiceFile,
    plan,
)
from xnat_watchd.core.access import ADMIN_GROUP, DROP_GROUP
from xnat_watchd.core.errors import Refusal
from xnat_watchd.interfaces.cli.install import install as install_command
from xnat_watchd.operator.alert_texts import STAYS_DOWN
from xnat_watchd.settings import load
from xnat_watchd.settings.sections import WebSettings

ANY = Path("/opt/xnat-watchd/bin/xnat-watchd")
NEWEST = 999


def files(site: Machine, systemd: int = 252) -> dict[Path, str]:
    return {one.path: one.content for one in plan(site, shipped, systemd) if isinstance(one, ServiceFile)}


def unit(site: Machine, path: Path = UNIT) -> dict[str, list[str]]:
    """Return the settings of the unit that is installed at a site."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", files(site)[path], re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def folders(site: Machine) -> list[str]:
    """Return the folders that are made at a site."""
    text = next(content for path, content in files(site).items() if path.parent.name == "tmpfiles.d")
    return re.findall(r"^d +(\S+)", text, re.MULTILINE)


def site(**said: dict[str, str]) -> Machine:
    return Machine.of(said, program=ANY)


class Below:
    """A machine that is a folder, and what was said while something was done to it."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.said: list[str] = []

    def hand(self, *, dry: bool = False) -> Installer:
        self.said.clear()
        return Installer(self.said.append, self.prefix, dry)

    def verbs(self) -> set[str]:
        return {line.split()[0] for line in self.said}

    def files(self) -> dict[str, str]:
        found = [path for path in self.prefix.rglob("*") if path.is_file() and not path.is_symlink()]
        return {str(path.relative_to(self.prefix)): path.read_text() for path in found}


@pytest.fixture
def machine(tmp_path: Path) -> Below:
    return Below(tmp_path)


def test_the_shipped_files_are_for_the_usual_site() -> None:
    usual = files(Machine())
    assert usual[UNIT] == shipped("systemd/xnat-watchd.service")
    assert shipped("systemd/xnat-watchd.tmpfiles") in usual.values()


def test_a_new_site_has_its_ledger_with_the_service_and_must_name_its_server(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(files(Machine())[CONFIGURATION])
    with pytest.raises(Refusal, match=r"\[xnat\] server") as refusal:
        load(file, {})
    assert len(str(refusal.value).splitlines()) == 1
    settings = load(file, {"XNAT_WATCHD_XNAT__SERVER": "https://xnat.example.org"})
    assert str(settings.ledger.path) == "/var/lib/xnat-watchd/ledger.sqlite"
    assert Machine.of(tomllib.loads(file.read_text()), program=ANY) == Machine()


@pytest.mark.parametrize(
    "path",
    [UNIT, OPERATOR_UNIT, OPERATOR_SOCKET, OPERATOR_SLICE, WEB_UNIT, WEB_SOCKET, FAILED_UNIT],
    ids=lambda path: path.name,
)
def test_every_line_of_a_unit_has_its_reason(path: Path) -> None:
    reason = False
    for line in files(Machine())[path].splitlines():
        assert (
            reason or not re.match(r"\w+=", line) or line.startswith(("Description=", "SyslogIdentifier=", "WantedBy="))
        ), line
        reason = line.startswith("# ") or (reason and bool(re.match(r"\w+=", line)))


SERVICE_ONLY = {
    "Type", "NotifyAccess", "ExecReload", "WatchdogSec", "TimeoutStartSec", "TimeoutStopSec", "TimeoutAbortSec",
    "KillMode", "Restart", "RestartSec", "RestartPreventExitStatus", "RuntimeDirectory", "RuntimeDirectoryMode",
    "RuntimeDirectoryPreserve", "RemoveIPC", "After", "StartLimitIntervalSec", "WantedBy", "PrivateNetwork",
    "OnFailure",
}  # fmt: skip
DIFFERENT = {"Description", "ExecStart", "Environment", "UMask", "ReadWritePaths", "NoExecPaths", "MemoryMax",
             "TasksMax", "SyslogIdentifier"}  # fmt: skip


def test_the_process_that_answers_users_is_as_confined_as_the_service() -> None:
    service, operator = unit(Machine()), unit(Machine(), OPERATOR_UNIT)
    other = {*SERVICE_ONLY, *DIFFERENT, "LoadCredential"}
    same = {name: values for name, values in service.items() if name not in other}
    assert operator["LoadCredential"] == ["xnat_user", "xnat_password"]
    assert {name: operator.get(name) for name in same} == same
    assert operator["ReadWritePaths"] == ["-/var/lib/xnat-watchd"]
    assert operator["ExecStart"] == [f"{ANY} operator-request"]


def test_the_process_that_tells_of_a_failure_is_as_confined_and_writes_nowhere() -> None:
    service, failed = unit(Machine()), unit(Machine(), FAILED_UNIT)
    other = {*SERVICE_ONLY, *DIFFERENT, "LoadCredential", "StateDirectory", "StateDirectoryMode", "RequiresMountsFor"}
    same = {name: values for name, values in service.items() if name not in other}
    assert {name: failed.get(name) for name in same} == same
    assert "ReadWritePaths" not in failed
    assert failed["ExecStart"] == [f"{ANY} alert --failed"]
    assert service["OnFailure"] == [FAILED_UNIT.name]
    assert set(failed["LoadCredential"]) < set(service["LoadCredential"])
    there = unit(site(folders={"root": "/data", "drop": "/scans"}, ledger={"path": "/data/l.sqlite"}), FAILED_UNIT)
    assert there["InaccessiblePaths"] == [
        "-/var/lib/xnat-watchd/login -/var/lib/xnat-watchd/credentials.json -/data/login -/data/credentials.json",
        "-/scans -/data/shares -/data/work -/data/done -/data/failed",
    ]  # fmt: skip


def test_people_are_told_of_just_those_ends_after_which_it_is_not_started_again() -> None:
    assert {int(code) for code in unit(Machine())["RestartPreventExitStatus"][0].split()} == STAYS_DOWN.keys()


def test_the_process_of_the_page_is_as_confined_and_has_no_way_to_xnat_the_login_or_the_zips() -> None:
    service, page = unit(Machine()), unit(Machine(), WEB_UNIT)
    other = {*SERVICE_ONLY, *DIFFERENT, "LoadCredential", "RestrictAddressFamilies"}
    same = {name: values for name, values in service.items() if name not in other}
    assert {name: page.get(name) for name in same} == same
    assert (page["IPAddressDeny"], page["IPAddressAllow"]) == (["any"], ["localhost"])
    assert page["RestrictAddressFamilies"] == ["AF_INET AF_UNIX"]
    assert "LoadCredential" not in page
    there = unit(site(folders={"root": "/data", "drop": "/scans"}, ledger={"path": "/data/l.sqlite"}), WEB_UNIT)
    assert there["ReadWritePaths"] == ["-/data"]
    assert there["ExecStartPre"] == ["mkdir -p /var/lib/xnat-watchd/login /data/login"]
    assert there["InaccessiblePaths"] == [
        "-/var/lib/xnat-watchd/login -/var/lib/xnat-watchd/credentials.json -/data/login -/data/credentials.json",
        "-/scans -/data/shares -/data/work -/data/done -/data/failed",
    ]  # fmt: skip


def test_the_sockets_of_the_page_are_of_this_machine_alone() -> None:
    socket = unit(Machine(), WEB_SOCKET)
    assert socket["ListenStream"] == [str(web_socket.SOCKET), f"127.0.0.1:{WebSettings().port}"]
    assert (socket["SocketGroup"], socket["SocketMode"]) == ([DROP_GROUP], ["0660"])
    assert "Accept" not in socket


def test_the_process_that_answers_users_writes_into_the_ledgers_folder_alone() -> None:
    there = unit(site(folders={"root": "/data/images"}, ledger={"path": "/data/ledger/l.sqlite"}), OPERATOR_UNIT)
    assert there["ReadWritePaths"] == ["-/data/ledger"]
    assert there["RequiresMountsFor"] == ["/data/ledger"]


def test_all_processes_that_answer_share_one_bound_and_go_behind_the_service() -> None:
    together = unit(Machine(), OPERATOR_SLICE)
    assert unit(Machine(), OPERATOR_UNIT)["Slice"] == [OPERATOR_SLICE.name]
    assert int(together["CPUWeight"][0]) < int(unit(Machine())["CPUWeight"][0])
    assert together["MemoryMax"] == ["768M"]


def test_the_socket_is_for_the_drop_group_and_the_kernel_keeps_others_out() -> None:
    socket = unit(Machine(), OPERATOR_SOCKET)
    assert socket["ListenStream"] == [str(SOCKET)]
    assert (socket["SocketGroup"], socket["SocketMode"]) == ([DROP_GROUP], ["0660"])
    assert (socket["Accept"], int(socket["MaxConnections"][0])) == (["yes"], 16)


def test_the_groups_that_decide_who_may_do_what_are_made() -> None:
    made = re.findall(r"^g +(\S+)", shipped("systemd/xnat-watchd.sysusers"), re.MULTILINE)
    assert made == [DROP_GROUP, ADMIN_GROUP]


def test_newer_versions_of_systemd_get_more() -> None:
    assert len(files(Machine(), 0)) == len(files(Machine(), 253))
    added = files(Machine(), 254).keys() - files(Machine(), 253).keys()
    assert Path(f"{UNIT}.d/254-restart-slower.conf") in added
    assert {path.parent.name.removesuffix(".d") for path in added} == {UNIT.name, OPERATOR_UNIT.name, FAILED_UNIT.name}


@pytest.mark.parametrize("path", [UNIT, OPERATOR_UNIT, FAILED_UNIT], ids=lambda path: path.name)
def test_newer_versions_of_systemd_are_asked_for_the_same_credentials_in_their_way(path: Path) -> None:
    added = [text for file, text in files(Machine(), 254).items() if file.parent == Path(f"{path}.d")]
    imported = re.findall(r"^ImportCredential=(.+)$", "".join(added), re.MULTILINE)
    assert sorted(imported) == sorted(unit(Machine(), path)["LoadCredential"])
    assert all(re.search("^LoadCredential=$", text, re.MULTILINE) for text in added if "ImportCredential" in text)


def test_a_service_that_crashed_often_comes_back_within_two_minutes() -> None:
    slower = files(Machine(), 254)[Path(f"{UNIT}.d/254-restart-slower.conf")]
    assert re.findall(r"^RestartMaxDelaySec=(\w+)$", slower, re.MULTILINE) == ["2min"]


def test_the_service_may_write_where_the_site_has_its_folders() -> None:
    there = site(folders={"root": "/data/images", "drop": "/mnt/scanner/out"}, ledger={"path": "/data/ledger/l.sqlite"})
    assert unit(there)["ReadWritePaths"] == ["-/data/images -/data/ledger -/mnt/scanner/out"]
    assert unit(there)["NoExecPaths"][0].startswith("-/data/images -/data/ledger -/mnt/scanner/out ")
    assert unit(there)["RequiresMountsFor"] == ["/data/ledger"]


def test_the_service_may_write_its_metrics_where_the_site_has_them_collected() -> None:
    collector = site(metrics={"file": "/var/lib/prometheus/node-exporter/xnat-watchd.prom"})
    assert unit(collector)["ReadWritePaths"] == ["-/srv/xnat -/var/lib/prometheus/node-exporter"]
    own = site(metrics={"file": "/run/xnat-watchd/xnat-watchd.prom"})
    assert unit(own)["ReadWritePaths"] == ["-/srv/xnat"]
    with pytest.raises(Refusal, match="does not see this place"):
        site(metrics={"file": "/tmp/xnat-watchd.prom"})  # noqa: S108 - refused


def test_a_folder_in_another_is_named_once() -> None:
    inside = site(folders={"root": "/data", "drop": "/data/in/drop"}, ledger={"path": "/data/state/ledger.sqlite"})
    assert unit(inside)["ReadWritePaths"] == ["-/data"]
    state = site(ledger={"path": "/var/lib/xnat-watchd/more/ledger.sqlite"})
    assert unit(state)["ReadWritePaths"] == ["-/srv/xnat"]


def test_without_a_word_the_ledger_lies_below_the_root_and_its_mount_is_waited_for() -> None:
    assert unit(site(folders={"root": "/data"}))["RequiresMountsFor"] == ["/data"]


def test_folders_below_the_root_are_made_and_others_are_left_to_the_site() -> None:
    there = site(folders={"root": "/data", "drop": "/data/incoming", "done": "/mnt/archive"})
    made = ["/data", "/data/incoming", "/data/shares", "/data/work", "/data/failed"]
    assert folders(there) == [*made, "/var/lib/xnat-watchd", "/etc/credstore"]


@pytest.mark.parametrize("folder", ["/home/scanner/xnat", "/root/x", "/var/tmp/x", "/run/xnat"])  # noqa: S108 - refused
def test_a_folder_that_the_service_would_not_see_is_refused(folder: str) -> None:
    with pytest.raises(Refusal, match="does not see this place"):
        site(folders={"root": folder})


@pytest.mark.parametrize("folder", ["/", "data", "/data/../etc", "/my data", "/a%b", "/a\nExecStart=/bin/sh", '/a"b'])
def test_a_folder_that_the_unit_could_not_name_is_refused(folder: str) -> None:
    with pytest.raises(Refusal, match="cannot have its files there"):
        site(folders={"root": folder})


def test_nonsense_in_the_settings_is_left_to_the_service_to_refuse() -> None:
    assert Machine.of({"folders": 3, "ledger": {"path": 4}}, program=ANY) == Machine.of({}, program=ANY)


def test_everything_is_placed_once_and_then_unchanged(machine: Below) -> None:
    install(machine.hand())
    assert machine.verbs() == {"placed"}
    placed = machine.files()
    install(machine.hand())
    assert (machine.verbs(), machine.files()) == ({"kept", "unchanged"}, placed)


def test_a_dry_run_says_the_same_and_does_nothing(machine: Below) -> None:
    install(machine.hand(dry=True))
    said, there = [*machine.said], machine.files()
    install(machine.hand())
    assert (said, there) == (machine.said, {})


def test_what_was_changed_is_put_right_but_not_the_configuration(machine: Below) -> None:
    install(machine.hand())
    placed = machine.files()
    for name in placed:
        (machine.prefix / name).write_text('[ledger]\npath = "/var/lib/xnat-watchd/ledger.sqlite"\n')
    install(machine.hand())
    configuration = str(CONFIGURATION.relative_to("/"))
    assert {name for name, text in machine.files().items() if text != placed[name]} == {configuration}


def test_a_mode_that_was_changed_is_put_right(machine: Below) -> None:
    install(machine.hand())
    placed = machine.prefix / UNIT.relative_to("/")
    placed.chmod(0o666)
    install(machine.hand())
    assert placed.stat().st_mode & 0o777 == 0o644


def test_a_link_at_the_place_of_a_file_is_not_followed(machine: Below) -> None:
    other = machine.prefix / "other"
    other.write_text("somebody's")
    placed = machine.prefix / UNIT.relative_to("/")
    placed.parent.mkdir(parents=True)
    placed.symlink_to(other)
    install(machine.hand())
    assert (placed.is_symlink(), other.read_text()) == (False, "somebody's")


def test_uninstalling_removes_all_but_the_configuration(machine: Below) -> None:
    install(machine.hand())
    uninstall(machine.hand())
    assert list(machine.files()) == [str(CONFIGURATION.relative_to("/"))]
    assert not [one for one in machine.prefix.rglob("*") if one.is_symlink()]


def test_uninstalling_where_nothing_is_does_nothing(machine: Below) -> None:
    uninstall(machine.hand())
    assert machine.said == []


def test_somebody_elses_command_of_our_name_is_not_removed(machine: Below) -> None:
    install(machine.hand())
    link = next(one for one in plan(Machine(), shipped, NEWEST) if isinstance(one, Link))
    command = machine.prefix / link.path.relative_to("/")
    command.unlink()
    command.symlink_to("/usr/bin/other")
    uninstall(machine.hand())
    assert command.is_symlink()


def test_a_program_in_a_home_is_refused_before_anything_is_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/home/admin/venv/bin/python")
    said: list[str] = []
    with pytest.raises(Refusal, match="could not see the program"):
        install(Installer(said.append, dry=True))
    assert said == []


def test_below_a_prefix_no_file_names_a_path_of_the_builder(machine: Below, monkeypatch: pytest.MonkeyPatch) -> None:
    for python, program in (
        ("/home/builder/venv/bin/python", "/opt/xnat-watchd/bin/xnat-watchd"),
        (f"{machine.prefix}/usr/lib/xnat-watchd/bin/python", "/usr/lib/xnat-watchd/bin/xnat-watchd"),
    ):
        monkeypatch.setattr("sys.executable", python)
        install(machine.hand())
        assert (machine.prefix / "usr/local/bin/xnat-watchd").readlink() == Path(program)
        for name, content in machine.files().items():
            assert not [path for path in ("/home/builder", str(machine.prefix)) if path in content], name
        assert f"ExecStart={program} run" in machine.files()["usr/local/lib/systemd/system/xnat-watchd.service"]
        uninstall(machine.hand())
        assert not (machine.prefix / "usr/local/bin/xnat-watchd").is_symlink()


def test_what_is_refused_is_not_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/home/admin/venv/bin/python")
    said = CliRunner().invoke(install_command, ["--dry-run"])
    assert said.stdout == ""
    assert isinstance(said.exception, Refusal)
    assert "could not see the program" in str(said.exception)
    assert "/opt/xnat-watchd" in said.exception.advice


def test_a_program_that_is_closed_to_others_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installation, "is_seen_by_the_service", lambda path: path.exists())  # the test lies in /tmp
    program = tmp_path / "venv/bin/xnat-watchd"
    program.parent.mkdir(parents=True)
    for name in ("python", "xnat-watchd"):
        (program.parent / name).touch(0o755)
    (tmp_path / "venv").chmod(0o700)
    monkeypatch.setattr("sys.executable", str(program.parent / "python"))
    with pytest.raises(Refusal, match="other users may not enter it") as refusal:
        install(Installer(print, dry=True))
    assert "chmod -R go+rX" in refusal.value.advice


def test_what_install_runs_is_not_told_a_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XNAT_WATCHD_XNAT__PASSWORD", "secret")
    monkeypatch.setenv("OTHER", "kept")
    seen = tmp_path / "environment"
    Installer(print).run([("sh", "-c", f"env >{seen}")])
    assert "OTHER=kept" in seen.read_text()
    assert "secret" not in seen.read_text()


def test_a_machine_without_what_install_runs_is_refused_in_one_sentence() -> None:
    with pytest.raises(Refusal, match="has no systemd-nothing") as refusal:
        Installer(print).run([("systemd-nothing", "--create")])
    assert refusal.value.advice
