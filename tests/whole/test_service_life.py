"""What the running service tells and shows of itself, and how it ends: the real process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.dicom import sop_uid
from tests.whole.administered import Administered
from tests.whole.conftest import PASSWORD, Service
from xnat_watchd.operator.status import Exit, verdict
from xnat_watchd.sandbox import Sandbox

Scan = Callable[..., bytes]
IMPORT = "/data/services/import"
PROMPT = 5.0  #: seconds in which the service ends, whatever it waits for


@pytest.fixture(params=["1.8"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def program(tmp_path: Path, xnat: Sandbox) -> Iterator[Administered]:
    one = Administered(tmp_path / "watchd", tmp_path / "config.toml", xnat.url)
    one.given = {"XNAT_WATCHD_XNAT__USER": "tech", "XNAT_WATCHD_XNAT__PASSWORD": PASSWORD}
    one.root.mkdir()
    one.write()
    yield one
    assert one.secrets_told() == []


def without_project(program: Administered) -> None:
    text = program.config.read_text("utf-8")
    program.config.write_text(text.replace('project = "P1"\n', ""), "utf-8")


# -- the published status ----------------------------------------------------------------------------------


def test_it_publishes_where_systemd_gives_it_a_folder_and_stays_readable_when_it_has_ended(
    program: Administered, tmp_path: Path, scan: Scan
) -> None:
    status = program.use_runtime_folder(tmp_path / "run")
    with program.start() as service:
        service.wait_for("READY=1")
        assert json.loads(status.read_text())["daemon"]["running"] is True
        program.drop("scan.zip", scan())
        service.wait_for("1 complete")
        service.stop()
    told = json.loads(status.read_text())
    assert (told["daemon"]["running"], told["studies"]) == (False, {"complete": {"done": 1}})
    assert not (program.root / "status.json").exists()


def test_status_needs_no_ledger_while_the_service_publishes(program: Administered) -> None:
    with program.start() as service:
        service.wait_for("READY=1")
        ledger = program.root / "ledger.sqlite"
        ledger.rename(program.root / "hidden")
        snapshot = program.status()
        (program.root / "hidden").rename(ledger)
    assert snapshot["daemon"]["running"] is True
    assert snapshot["age"] < 60


def test_a_service_that_was_killed_is_shown_as_not_running(program: Administered) -> None:
    with program.start() as service:
        service.wait_for("READY=1")
        service.stop(signal.SIGKILL)
        assert program.status()["daemon"]["running"] is False
        assert "NOT RUNNING" in program.run("status", expect=None)


def test_status_says_how_old_it_is(program: Administered) -> None:
    with program.start() as service:
        service.wait_for("READY=1")
        service.process.send_signal(signal.SIGSTOP)
        path = program.root / "status.json"
        snapshot = json.loads(path.read_text())
        path.write_text(json.dumps({**snapshot, "at": "2026-01-01T00:00:00+00:00"}))
        screen = program.run("status", expect=1)
        service.process.send_signal(signal.SIGCONT)
    assert "seconds ago" in screen
    assert "has not said anything" in screen


@pytest.mark.parametrize("name", ["Quokka_Zenobia", "Quokka Zenobia"])
def test_a_folder_with_a_patients_name_is_told_to_the_services_user_alone(
    program: Administered, scan: Scan, name: str
) -> None:
    without_project(program)
    folder = program.root / "drop" / name
    folder.mkdir(parents=True)
    program.drop(f"{name}/Quokka.zip", scan())
    program.drop("Zenobia.zip", scan())
    with program.start() as service:
        service.wait_for("1 held")
        told = (program.root / "status.json").read_text() + program.run("status", "--json", expect=1)
        before = [*program.said]
        screen = program.run("status", expect=1)
        service.stop()
    everything = (told + program.logged()).lower()
    assert "quokka" not in everything
    assert "zenobia" not in everything
    assert "1 file: no project" in told
    assert f"{name}/Quokka.zip: XNAT lists no such project" in screen
    assert "Zenobia.zip  no project" in screen
    program.said[:] = before  # names were asked for, by the one who may see the ledger


def test_what_was_dropped_for_no_project_tells_its_names_to_the_services_user_alone(
    program: Administered, scan: Scan
) -> None:
    without_project(program)
    program.drop("Zenobia.zip", scan())
    program.once(expect=1)
    assert [one["item"] for one in program.status()["attention"]] == ["Zenobia.zip"]
    program.said.clear()  # it was asked for, by the one who may see the ledger


# -- folders and disks -------------------------------------------------------------------------------------


def test_a_disk_that_is_too_full_is_said_and_nothing_is_taken_until_there_is_room(
    program: Administered, scan: Scan, xnat: Sandbox
) -> None:
    roomy = program.config.read_text("utf-8")
    program.config.write_text(
        roomy.replace('keep_free = "1MB"', 'keep_free = "900000GiB"').replace(
            "[intake]\n", '[intake]\npoll_every = "1s"\n'
        ),
        "utf-8",
    )
    program.drop("scan.zip", scan())
    with program.start() as service:
        service.wait_for("too little room is left")
        (row,) = program.status()["attention"]
        assert row["item"] == "disk"
        assert row["why"].endswith("are free, and 966367.6 GB must stay free; 1 file waits in the drop folder")
        assert (program.root / "drop" / "scan.zip").exists()
        program.config.write_text(roomy.replace("[intake]\n", '[intake]\npoll_every = "1s"\n'), "utf-8")
        program.type("reload")
        service.wait_for("1 complete")
    assert program.logged().count("disk.full") == 1
    assert len(xnat.instances()) == 2


def test_a_drop_folder_that_goes_and_comes_again_is_said_and_nothing_is_lost(
    program: Administered, scan: Scan, xnat: Sandbox
) -> None:
    program.write()
    text = program.config.read_text("utf-8").replace("[intake]\n", '[intake]\nrescan_every = "1s"\npoll_every = "1s"\n')
    program.config.write_text(text, "utf-8")
    drop = program.root / "drop"
    with program.start() as service:
        service.wait_for("READY=1")
        drop.rename(program.root / "elsewhere")
        service.wait_for("the drop folder cannot be reached")
        (program.root / "elsewhere").rename(drop)
        program.drop("scan.zip", scan())
        service.wait_for("1 complete")
    said = program.logged()
    assert (said.count("folder.missing"), said.count("folder.found")) == (1, 1)
    assert len(xnat.instances()) == 2


def test_a_work_folder_that_is_away_pauses_and_charges_nobody(program: Administered, scan: Scan, xnat: Sandbox) -> None:
    text = program.config.read_text("utf-8").replace("[intake]\n", '[intake]\nrescan_every = "1s"\npoll_every = "1s"\n')
    program.config.write_text(text, "utf-8")
    xnat.stop()
    work = program.root / "work"
    program.drop("scan.zip", scan())
    with program.start() as service:
        service.wait_for("1 under way, 0 held, 0 complete; waiting for XNAT")
        service.stop()
    work.rename(program.root / "elsewhere")
    with program.start() as service:  # it makes an empty one
        service.wait_for("READY=1")
        shutil.rmtree(work)
        service.wait_for("the work folder cannot be reached")
        (program.root / "elsewhere").rename(work)
        service.wait_for("1 under way, 0 held, 0 complete; waiting for XNAT")
    assert program.status()["studies"] == {"received": {"ready": 1}}


def test_a_done_folder_that_takes_nothing_ends_nobody_and_the_next_start_puts_the_zip_there(
    program: Administered, scan: Scan
) -> None:
    done = program.root / "done"
    done.write_text("in the way")
    program.drop("scan.zip", scan())
    with program.start() as service:
        service.wait_for("the done folder cannot be reached")
        assert service.stop() == 0
    assert program.logged().count("folder.missing") == 1
    assert (program.root / "work" / "1.zip").exists()
    done.unlink()
    program.once()
    assert len(list(done.glob("*/1_scan.zip"))) == 1


# -- the journal, and the end ------------------------------------------------------------------------------


def test_its_life_stands_in_the_journal(program: Administered, xnat: Sandbox) -> None:
    with program.start() as service:
        service.wait_for("READY=1")
        assert service.stop() == 0
    events = [line.partition("event=")[2].split()[0] for line in program.logged().splitlines()]
    assert events == ["daemon.started", "daemon.ready", "daemon.stopping", "daemon.stopped"]
    assert f"server={xnat.url}" in program.logged()
    assert "signal=sigterm" in program.logged()


def test_a_folder_that_is_polled_is_said(program: Administered) -> None:
    text = program.config.read_text("utf-8").replace("[intake]\n", '[intake]\nwatch = "poll"\n')
    program.config.write_text(text, "utf-8")
    with program.start() as service:
        service.wait_for("READY=1")
        service.stop()
    assert program.logged().count("watch.polling") == 1


def test_a_stop_in_mid_upload_is_quick_and_in_order(program: Administered, scan: Scan, xnat: Sandbox) -> None:
    xnat.faults.on("POST", IMPORT).read_slowly(5)
    program.drop("scan.zip", scan(images=3))
    with program.start() as service:
        wait_for_an_upload(program, service)
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 5
        service.wait_for("STOPPING=1")
        service.wait_for("EXTEND_TIMEOUT_USEC=")
    snapshot = program.status()
    assert (snapshot["daemon"]["running"], snapshot["studies"]) == (False, {"received": {"ready": 1}})


def test_a_stop_before_the_answer_doubles_nothing_and_the_next_start_goes_on(
    program: Administered, scan: Scan, xnat: Sandbox
) -> None:
    over = threading.Event()
    xnat.faults.on("POST", IMPORT).delay(until=over)
    program.drop("scan.zip", scan(images=3))
    with program.start() as service:
        wait_for_an_upload(program, service)
        assert service.stop() == 0
    over.set()
    program.once()
    stored = [(one.where, one.sop_uid) for one in xnat.instances()]
    assert stored == [("archive", sop_uid(1, 1, number)) for number in (1, 2, 3)]


def wait_for_an_upload(program: Administered, service: Service) -> None:
    """Come back when the service is sending."""
    service.wait_for("READY=1")
    while not program.status()["daemon"]["uploads"]:
        assert not program.status()["deliveries"].get("finished")


def test_with_a_wrong_configuration_it_ends_with_78_before_anything_is_touched(program: Administered) -> None:
    program.write("[pipeline]\nworkers = 99\n")
    said = program.type("run", expect=78)
    assert "[pipeline] workers" in said
    assert "Traceback" not in said
    assert list(program.root.iterdir()) == []


def test_a_ledger_that_cannot_be_is_said_in_a_sentence(program: Administered) -> None:
    program.write('[ledger]\npath = "/proc/nowhere/ledger.sqlite"\n')
    said = program.type("run", expect=78)
    assert "the folder of the ledger cannot be made" in said
    assert "Traceback" not in said


# -- before the first ZIP ----------------------------------------------------------------------------------


def test_what_is_wrong_with_the_server_is_told_before_any_zip_comes(program: Administered, xnat: Sandbox) -> None:
    program.given["XNAT_WATCHD_XNAT__PASSWORD"] = "not this one"
    with program.start() as service:
        service.wait_for("waiting for XNAT: XNAT refuses the user or the password")
        assert "XNAT refuses the user or the password" in program.run("status", expect=77)
        assert program.status()["gate"]["login"] is True
        service.stop()
    assert [code for *_, code in xnat.requests if code in (401, 500)] != []


# -- the ledger is lost while it runs ----------------------------------------------------------------------

SPEED = 4.0  #: of the service's clock: it looks rarely whether its ledger is there


def removed(ledger: Path) -> None:
    for part in ledger.parent.glob(f"{ledger.name}*"):
        part.unlink()


def replaced(ledger: Path) -> None:
    other = ledger.with_name("other.sqlite")
    shutil.copy(ledger, other)
    other.replace(ledger)


def cut(ledger: Path) -> None:
    os.truncate(ledger, 0)


@pytest.mark.parametrize("lose", [removed, replaced, cut])
def test_a_ledger_that_is_lost_while_it_runs_is_told_and_nothing_more_is_concluded(
    program: Administered, xnat: Sandbox, tmp_path: Path, scan: Scan, lose: Callable[[Path], None]
) -> None:
    status = program.use_runtime_folder(tmp_path / "run")
    with program.start(SPEED) as service:
        service.wait_for("READY=1")
        program.drop("a.zip", scan())
        service.wait_for("1 complete")
        lose(program.root / "ledger.sqlite")
        begun = time.monotonic()
        service.wait_for("was removed, replaced or cut")
        assert time.monotonic() - begun < 60 / SPEED
        told = json.loads(status.read_text())
        second = program.drop("b.zip", scan(2))
        wait_until(lambda: later(json.loads(status.read_text())["said"], told["said"]) > 3)
        assert json.loads(status.read_text())["at"] == told["at"]  # its figures are those of before
        assert second.exists()
        assert len(xnat.instances()) == 2
        assert [one["item"] for one in told["attention"]] == ["ledger"]
        assert "Restore it from a backup" in told["attention"][0]["advice"]
        assert verdict(told, finished=False) is Exit.ATTENTION
        assert service.stop() == Exit.FINE
    assert second.exists()


def later(one: str, other: str) -> float:
    return (datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds()


def wait_until(happened: Callable[[], bool], seconds: float = 60) -> None:
    """Look again and again, for a minute or so at most, at what another process does."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_ping_that_nobody_answers_delays_no_stop(program: Administered) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        program.write(f'[alerts]\nping = "http://127.0.0.1:{silent.getsockname()[1]}/"\n')
        with program.start() as service:
            service.wait_for("READY=1")
            line, _ = silent.accept()
            begun = time.monotonic()
            assert service.stop() == 0
            assert time.monotonic() - begun < PROMPT
            line.close()


def test_the_metrics_lie_where_the_settings_say_until_the_service_says_that_it_has_ended(program: Administered) -> None:
    file = program.root.parent / "xnat-watchd.prom"
    program.write(f'[metrics]\nfile = "{file}"\n')
    with program.start() as service:
        service.wait_for("READY=1")
        wait_until(lambda: file.exists() and "xnat_watchd_up 1.0\n" in file.read_text())
        assert service.stop() == 0
    assert "xnat_watchd_up 0.0\n" in file.read_text()
