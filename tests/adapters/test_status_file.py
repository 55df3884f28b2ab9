"""The published status, on a real disk and with real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from xnat_watchd.adapters.files.status_file import NAME, StatusPublisher, age, read, status_path

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def snapshot(pid: int | None = None, **daemon: Any) -> dict[str, Any]:
    told = {"running": True, "pid": os.getpid() if pid is None else pid, "uploads": [], "heard": None, **daemon}
    return {"at": NOW.isoformat(), "daemon": told, "attention": [], "of_service": [], "rest": "…"}


def a_process_that_is_gone() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def test_it_lies_in_the_runtime_folder_else_beside_the_ledger(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    assert status_path(ledger, {}) == tmp_path / NAME
    assert status_path(ledger, {"RUNTIME_DIRECTORY": "/run/xnat-watchd:/run/other"}) == Path("/run/xnat-watchd", NAME)


def test_what_is_published_is_read(tmp_path: Path) -> None:
    StatusPublisher(tmp_path / NAME).publish(snapshot(), NOW)
    assert read(tmp_path / NAME) == snapshot()


def test_a_reader_never_sees_half_of_it(tmp_path: Path) -> None:
    publication, over = StatusPublisher(tmp_path / NAME), threading.Event()
    publication.publish(snapshot(turn=0), NOW)

    def publish() -> None:
        for turn in range(1, 300):
            publication.publish({**snapshot(turn=turn), "rest": "x" * 100_000}, NOW)
        over.set()

    thread = threading.Thread(target=publish)
    thread.start()
    seen = []
    while not over.is_set():
        found = read(tmp_path / NAME)
        assert found is not None
        seen.append(found["daemon"]["turn"])
    thread.join()
    assert seen == sorted(seen)


@pytest.mark.parametrize(("mask", "mode"), [(0o027, 0o640), (0o022, 0o644)])
def test_who_may_read_it_is_as_the_services_mask_says(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        StatusPublisher(tmp_path / NAME).publish(snapshot(), NOW)
    finally:
        os.umask(before)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == mode


def test_a_service_that_was_killed_does_not_run(tmp_path: Path) -> None:
    StatusPublisher(tmp_path / NAME).publish(snapshot(a_process_that_is_gone()), NOW)
    found = read(tmp_path / NAME)
    assert found is not None
    assert found["daemon"]["running"] is False


def test_a_service_of_another_user_runs(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    path = tmp_path / NAME
    StatusPublisher(path).publish(snapshot(), NOW)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    code = (
        "import os, sys; from pathlib import Path; from xnat_watchd.adapters.files.status_file import read;"
        "os.setgid(65534); os.setuid(65534); print(read(Path(sys.argv[1]))['daemon']['running'])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"daemon": {}}', '{"daemon": {"running": true, "pid": "x"}, "at": "2026-01-01"}',
     '{"daemon": {"running": true, "pid": 1}, "at": "soon"}'],
)  # fmt: skip
def test_what_is_none_of_ours_is_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert read(tmp_path / NAME) is None


@pytest.mark.parametrize(
    "other",
    [
        {"at": "2026-01-01T00:00:00"},
        {"at": 5},
        {"attention": None},
        {"attention": [{"item": "disk"}]},
        {"of_service": {}},
        {"of_service": [{"item": "disk", "project": "", "why": None, "advice": ""}]},
        {"daemon": {"running": True, "pid": 1, "heard": None}},
        {"daemon": {"running": True, "pid": 1, "heard": "soon", "uploads": []}},
        {"daemon": {"running": True, "pid": 1, "heard": None, "uploads": [{"sent": 1}]}},
        {"daemon": {"running": True, "pid": 1, "heard": None, "uploads": [], "rate": "fast"}},
        {"daemon": {"running": "yes", "pid": 1, "heard": None, "uploads": []}},
    ],
)
def test_a_status_of_another_form_is_nothing(tmp_path: Path, other: dict[str, Any]) -> None:
    (tmp_path / NAME).write_text(json.dumps({**snapshot(), **other}))
    assert read(tmp_path / NAME) is None


@pytest.mark.parametrize("pid", [0, -1, -2, 2**70])
def test_no_number_but_a_process_is_taken_for_one(tmp_path: Path, pid: int) -> None:
    (tmp_path / NAME).write_text(json.dumps(snapshot(pid)))
    found = read(tmp_path / NAME)
    assert found is not None
    assert found["daemon"]["running"] is False


def test_where_there_is_nothing_or_we_may_not_look_it_is_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "gone" / NAME) is None
    assert read(tmp_path) is None


def test_how_old_it_is_is_never_less_than_nothing() -> None:
    assert age({"at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}) == timedelta(0)
    assert age({"at": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}) >= timedelta(hours=1)


def test_nothing_is_published_through_somebody_elses_link(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("precious")
    (tmp_path / ".status.json.part").symlink_to(theirs)
    StatusPublisher(tmp_path / "status.json").publish({"daemon": {}}, datetime.now(UTC))
    assert theirs.read_text() == "precious"
    assert json.loads((tmp_path / "status.json").read_text()) == {"daemon": {}}


def test_a_status_nested_without_end_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text("[" * 200_000)
    assert read(tmp_path / "status.json") is None
