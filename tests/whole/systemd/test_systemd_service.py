"""The service under a real systemd: it starts, works, tells how it is, and stops."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.whole.systemd.machine import until
from tests.whole.systemd.service import OUTSIDER, TECH, Service
from xnat_watchd.sandbox.samples import study, uid

IMAGES = 12
HUNG = Path(__file__).parent / "hung.py"
IMPORT = "/data/services/import"


def archived(seed: int, images: int) -> list[tuple[str, str]]:
    """Return what XNAT holds of a study that has arrived whole and once."""
    return sorted((uid(seed, 1, number), "archive") for number in range(1, images + 1))


def begin_a_slow_upload(service: Service, pause: float = 0.5) -> None:
    """Drop a study of 6 MB that XNAT reads a megabyte at a time, and come back in the middle of its upload."""
    service.xnat.faults.on("POST", IMPORT).read_slowly(pause)
    service.drop("big.zip", study(1, images=IMAGES, pixels=(512, 512)))
    until(lambda: any(0 < one["sent"] < one["size"] for one in service.uploads()), 20, "an upload under way")


def test_a_start_returns_when_the_service_is_ready(service: Service) -> None:
    service.start()
    assert "daemon.ready" in service.journal()
    assert service.is_(ActiveState="active", SubState="running")


def test_a_server_that_is_down_does_not_keep_it_from_collecting(service: Service) -> None:
    service.configure(xnat={"server": "http://127.0.0.1:9"})
    service.start()
    service.drop("scan.zip", study(1))
    until(lambda: service.snapshot()["deliveries"] == {"taken": 1}, 20, "a ZIP taken")
    assert not service.snapshot()["gate"]["open"]


def test_what_a_member_of_the_group_drops_arrives(service: Service) -> None:
    service.start()
    service.drop("scan.zip", study(1))
    service.wait_for("scan.zip")
    assert service.held() == archived(1, 3)


def test_the_story_of_one_study_is_found_in_the_journal_by_its_fields(service: Service) -> None:
    service.start()
    service.drop("scan.zip", study(1))
    service.wait_for("scan.zip")
    service.machine.run("journalctl", "--sync")
    this = f"_SYSTEMD_INVOCATION_ID={service.shows('InvocationID')}"
    said = service.machine.says("journalctl", "--output=json", "--no-pager", this, "XNAT_WATCHD_ITEM=1.1")
    entries = [json.loads(line) for line in said.splitlines()]
    assert [one["MESSAGE"] for one in entries] == [
        f"study.advanced item=1.1 project=P1 progress={progress}" for progress in ("uploaded", "archived", "complete")
    ]
    assert {(one["XNAT_WATCHD_EVENT"], one["PRIORITY"], one["SYSLOG_IDENTIFIER"]) for one in entries} == {
        ("study.advanced", "6", "xnat-watchd")
    }


def test_what_is_dropped_in_a_folder_that_its_owner_keeps_closed_arrives_too(service: Service) -> None:
    service.start()
    service.machine.run("sh", "-c", "umask 077; mkdir /srv/xnat/drop/today", user=TECH)
    service.drop("scan.zip", study(1), to="/srv/xnat/drop/today")
    service.wait_for("scan.zip")


def test_others_can_neither_drop_nor_see_what_was_dropped(service: Service) -> None:
    service.start()
    for folder in ("drop", "shares", "work", "done", "failed"):
        assert service.machine.run("ls", f"/srv/xnat/{folder}", user=OUTSIDER, check=False).returncode != 0
    asked = service.status(OUTSIDER)
    assert asked.returncode != 0
    assert "Traceback" not in asked.stderr
    assert service.machine.run("touch", "/srv/xnat/drop/x", user=OUTSIDER, check=False).returncode != 0


def test_a_member_of_the_group_sees_how_it_is_and_nothing_of_the_ledger(service: Service) -> None:
    service.start()
    service.drop("scan.zip", study(1))
    service.wait_for("scan.zip")
    until(lambda: service.snapshot(TECH)["deliveries"] == {"finished": 1}, 5, "the status that says so")
    assert service.snapshot(TECH)["daemon"]["running"] is True
    assert service.status(TECH).returncode == 0
    for closed in ("/var/lib/xnat-watchd", "/srv/xnat/work"):
        assert service.machine.run("ls", closed, user=TECH, check=False).returncode != 0


def test_a_member_of_the_group_sees_that_it_has_stopped(service: Service) -> None:
    service.start()
    service.systemctl("stop")
    assert service.snapshot(TECH)["daemon"]["running"] is False


def test_metrics_are_written_where_install_has_named_the_folder_and_everybody_reads_them(service: Service) -> None:
    folder = "/var/lib/collector"
    service.machine.run("install", "-d", "-o", "xnat-watchd", "-m", "755", folder)
    service.configure(metrics={"file": f"{folder}/xnat-watchd.prom"})
    try:
        assert f"it does not let the service write to {folder}" in " ".join(service.says("check", expect=78).split())
        service.says("install")
        service.start()
        read = ("cat", f"{folder}/xnat-watchd.prom")
        until(lambda: "xnat_watchd_up 1.0" in service.machine.run(*read, user=OUTSIDER, check=False).stdout, 20, "it")
        service.says("check")
        service.systemctl("stop")
        assert "xnat_watchd_up 0.0" in service.machine.says(*read, user=OUTSIDER)
    finally:
        service.systemctl("stop", check=False)
        service.machine.run("rm", "-r", folder)


def test_systemd_shows_in_one_line_what_it_does(service: Service) -> None:
    service.start()
    service.drop("scan.zip", study(1))
    service.wait_for("scan.zip")
    until(lambda: "1 complete" in service.shows("StatusText"), 5, "the line that says so")
    assert f'Status: "{service.shows("StatusText")}"' in service.systemctl("status").stdout


def test_it_comes_with_the_boot_once_it_is_enabled(service: Service) -> None:
    service.machine.run("systemctl", "start", "multi-user.target")
    assert service.is_(ActiveState="inactive")
    service.systemctl("enable")
    service.machine.run("systemctl", "start", "multi-user.target")
    until(lambda: service.is_(ActiveState="active"), 20, "the service that came with it")


def test_a_stop_in_mid_upload_is_clean_and_the_next_start_goes_on(service: Service) -> None:
    service.start()
    begin_a_slow_upload(service)
    service.systemctl("stop")
    assert service.is_(Result="success", ExecMainStatus="0")
    service.start()
    service.wait_for("big.zip")
    assert service.held() == archived(1, IMAGES)


def test_a_kill_in_mid_upload_doubles_nothing(service: Service) -> None:
    service.drop_in("RestartSec=200ms")
    service.start()
    begin_a_slow_upload(service)
    service.systemctl_kill(signal.SIGKILL)
    service.wait_for("big.zip")
    assert service.shows("NRestarts") == "1"
    assert service.held() == archived(1, IMAGES)


def test_an_upload_may_take_longer_than_the_watchdog_waits(service: Service) -> None:
    service.drop_in("WatchdogSec=2s")
    service.start()
    begin_a_slow_upload(service, pause=0.8)
    service.wait_for("big.zip")
    assert service.shows("NRestarts") == "0"


def test_a_hang_is_ended_by_the_watchdog_with_the_stack_of_every_thread_in_the_journal(service: Service) -> None:
    service.drop_in("WatchdogSec=2s", "RestartSec=200ms")
    service.start()
    service.systemctl_kill(signal.SIGSTOP)
    until(lambda: service.shows("NRestarts") == "1", 15, "a restart")
    assert "Watchdog timeout" in service.journal()

    def stacks() -> int:  # `journalctl --sync` of systemd 252 does not wait for what stands in the streams of services
        return service.journal().count("(most recent call first)")

    until(lambda: stacks() >= 3, 15, "the stacks of the main thread, the intake and the workers")
    until(lambda: service.is_(ActiveState="active"), 20, "the service again")


def test_a_thread_that_hangs_is_ended_by_the_watchdog_and_what_it_held_arrives(service: Service) -> None:
    service.machine.write("/usr/local/lib/hung.py", HUNG.read_bytes())
    hung = "/opt/xnat-watchd/bin/python /usr/local/lib/hung.py run"
    service.drop_in("ExecStart=", f"ExecStart={hung}", "WatchdogSec=2s", "RestartSec=200ms")
    service.start()
    service.drop("scan.zip", study(1))
    until(lambda: service.shows("NRestarts") == "1", 20, "a restart")
    journal = service.journal()
    assert journal.index("daemon.hangs reason=intake") < journal.index("Watchdog timeout")
    assert "in hang_at_the_second_look" in journal
    service.wait_for("scan.zip")
    assert service.held() == archived(1, 3)


def test_after_a_crash_it_is_started_again_and_again(service: Service) -> None:
    quick = ("RestartSec=20ms", "RestartSteps=0")  # 254 and later know steps
    service.drop_in("ExecStart=", "ExecStart=/bin/false", *quick)
    service.systemctl("start", check=False)
    until(lambda: int(service.shows("NRestarts")) > 10, 10, "more restarts than systemd allows by itself")


def test_without_a_login_it_says_so_and_is_not_started_again(service: Service) -> None:
    service.take_login_away()
    assert service.systemctl("start", check=False).returncode != 0
    assert service.is_(ActiveState="failed", ExecMainStatus="78", NRestarts="0")
    assert "user and password" in service.journal()
    assert "xnat-watchd login" in service.journal()
    assert "does not run" in service.says("status", user=TECH, expect=78)
    service.log_in()
    service.start()


def test_with_a_wrong_configuration_it_says_so_and_is_not_started_again(service: Service) -> None:
    service.configure(pipeline={"workers": 99})
    assert service.systemctl("start", check=False).returncode != 0
    assert service.is_(ActiveState="failed", ExecMainStatus="78", NRestarts="0")
    assert "[pipeline] workers" in service.journal(priority=3)
    assert "[pipeline] workers" in service.systemctl("status", check=False).stdout


def test_a_full_disk_is_no_end_and_room_is_cure_enough(service: Service) -> None:
    service.drop_in("RestartSec=100ms", "RestartSteps=0")
    state = "/var/lib/xnat-watchd"
    service.machine.run("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "scarce", state)
    try:
        service.machine.run("chown", "xnat-watchd:xnat-drop", state)
        service.machine.run("dd", "if=/dev/zero", f"of={state}/filler", check=False)
        assert service.systemctl("start", check=False).returncode != 0
        until(lambda: int(service.shows("NRestarts")) > 1, 20, "starts that are tried again")
        service.machine.run("mount", "-o", "remount,size=64m", state)
        until(lambda: service.is_(ActiveState="active"), 20, "the service")
        assert "Free some space" in service.journal()
    finally:
        service.systemctl("stop", check=False)
        service.machine.run("umount", state)


def test_a_ledger_below_the_groups_own_root_is_for_the_service_alone(service: Service) -> None:
    service.configure(ledger={"path": "/srv/xnat/ledger.sqlite"})
    service.says("install")
    service.start()
    service.drop("scan.zip", study(1))
    service.wait_for("scan.zip")
    files = service.machine.says("sh", "-c", "ls /srv/xnat/ledger.sqlite /srv/xnat/ledger.sqlite-*").split()
    assert len(files) == 3
    for file in files:
        assert service.machine.run("cat", file, user=TECH, check=False).returncode != 0


def test_what_root_works_off_by_hand_leaves_nothing_that_the_service_cannot_touch(service: Service) -> None:
    service.take_login_away()
    service.log_in()
    service.drop("scan.zip", study(1))
    service.says("run", "--once")
    assert service.machine.says("find", "/srv/xnat", "/var/lib/xnat-watchd", "-user", "root") == ""
    service.start()
    service.drop("again.zip", study(1))
    until(lambda: service.snapshot()["deliveries"] == {"finished": 1, "duplicate": 1}, 20, "the ledger's memory")


def test_as_it_is_installed_it_asks_for_a_server(service: Service) -> None:
    service.configure(xnat={"server": ""})
    assert service.systemctl("start", check=False).returncode != 0
    assert "[xnat] server" in service.journal()


def test_a_drop_folder_that_is_mounted_late_is_looked_into(service: Service) -> None:
    service.configure(folders={"drop": "/mnt/scanner/drop"}, intake={"rescan_every": "1s", "poll_every": "1s"})
    service.machine.run("xnat-watchd", "install")
    service.start()
    service.machine.run("sh", "-c", "mkdir /mnt/scanner && mount -t tmpfs scanner /mnt/scanner")
    try:
        service.machine.run("install", "-d", "-m", "2770", "-g", "xnat-drop", "/mnt/scanner/drop")
        service.drop("scan.zip", study(1), to="/mnt/scanner/drop")
        service.wait_for("scan.zip")
    finally:
        service.systemctl("stop")
        service.machine.run("sh", "-c", "umount /mnt/scanner && rmdir /mnt/scanner")
