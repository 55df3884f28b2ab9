"""Stamps: every write after one was taken changes it, on a real file system that tells."""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from xnat_watchd.adapters.files import stamps
from xnat_watchd.adapters.files.mounts import file_system
from xnat_watchd.adapters.files.stamps import (
    TIMES_SET_BY_MAPPED_WRITES,
    Changed,
    lasting_stamp,
    shows_every_write,
    stamp,
    stamp_of,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    if file_system(tmp_path) not in TIMES_SET_BY_MAPPED_WRITES:
        pytest.skip("the temporary folder lies on a file system that does not tell")
    path = tmp_path / "a.zip"
    path.write_bytes(b"a" * 10_000)
    return path


def lasting(path: Path) -> str:
    handle = os.open(path, os.O_RDONLY)
    try:
        return lasting_stamp(handle)
    finally:
        os.close(handle)


def test_a_write_at_once_changes_it_whatever_time_is_given_back(file: Path) -> None:
    for _ in range(200):
        taken, before = lasting(file), file.stat()
        with file.open("r+b", buffering=0) as writer:
            writer.write(b"b")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert stamp_of(file) != taken


def test_a_store_through_a_mapping_changes_the_stamp_that_was_taken(file: Path) -> None:
    with file.open("r+b") as writer, mmap.mmap(writer.fileno(), 0) as memory:
        memory[0] = 1  # the page is dirty
        taken = lasting(file)
        memory[0] = 2
        assert stamp_of(file) != taken


def test_a_stamp_is_not_taken_within_the_tick_of_the_last_change(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(b"b")
    changed, waited = file.stat().st_ctime_ns, list[float]()
    monkeypatch.setattr(time, "time_ns", lambda: changed)  # no time passes by itself: a slow disk would hide the wait
    monkeypatch.setattr(time, "sleep", waited.append)
    lasting(file)
    assert waited
    assert waited[0] >= stamps.TICKS * time.clock_getres(stamps._COARSE)


def test_a_file_that_is_written_to_all_the_time_gets_none(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        real(handle)
        with file.open("ab") as writer:
            writer.write(b"more")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(Changed):
        lasting(file)


def test_a_file_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert stamp_of(tmp_path / "none") is None


def test_a_stamp_is_the_same_on_every_host_that_sees_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, seen = stamp_of(file), file.stat()
    fields = {name: getattr(seen, name) for name in dir(seen) if name.startswith("st_")}
    there = SimpleNamespace(**{**fields, "st_ino": seen.st_ino + 1, "st_dev": seen.st_dev + 1})
    monkeypatch.setattr(os, "fstat", lambda _: there)
    assert stamp(0) == here


@pytest.mark.parametrize(
    ("kind", "ours", "mode", "told"),
    [
        *(("ext4", False, 0o666, True), ("xfs", False, 0o666, True), ("btrfs", False, 0o666, True)),
        *(("tmpfs", True, 0o644, True), ("tmpfs", True, 0o664, False), ("tmpfs", False, 0o600, False)),
        *(("cifs", True, 0o600, False), ("nfs4", True, 0o600, False), ("", False, 0o600, False)),
    ],
)
def test_whether_a_write_would_be_told_follows_from_file_system_owner_and_rights(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    ours: bool,  # noqa: FBT001 - a case
    mode: int,
    told: bool,  # noqa: FBT001 - a case
) -> None:
    monkeypatch.setattr(stamps, "file_system", lambda _: kind)
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + (not ours))
    file.chmod(mode)
    assert shows_every_write(file, file.stat()) is told
