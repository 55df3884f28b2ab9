"""What is made anew is never written through a link that somebody has put there beforehand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xnat_watchd.adapters.files.disk import Disk
from xnat_watchd.adapters.files.new_files import create_new


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Return a file that must not be changed."""
    path = tmp_path / "theirs"
    path.write_text("precious")
    return path


def test_a_file_takes_the_place_of_a_link(tmp_path: Path, theirs: Path) -> None:
    made = tmp_path / "made"
    made.symlink_to(theirs)
    with os.fdopen(create_new(made, 0o600), "w") as file:
        file.write("ours")
    assert (theirs.read_text(), made.read_text(), made.is_symlink()) == ("precious", "ours", False)
    assert made.stat().st_mode & 0o777 == 0o600


def test_a_note_in_the_failed_folder_is_not_written_through_a_link(tmp_path: Path, theirs: Path) -> None:
    (tmp_path / ".7_a.zip.txt.part").symlink_to(theirs)
    Disk().write(tmp_path / "7_a.zip.txt", "why")
    assert (theirs.read_text(), (tmp_path / "7_a.zip.txt").read_text()) == ("precious", "why")


def test_a_copy_from_another_disk_is_not_written_through_a_link(
    tmp_path: Path, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "a.zip", tmp_path / "done" / "a.zip"
    source.write_bytes(b"PK")
    source.chmod(0o640)
    os.utime(source, ns=(1, 2_000_000_000))
    target.parent.mkdir()
    (target.parent / ".a.zip.part").symlink_to(theirs)
    rename = Path.rename

    def another_disk(path: Path, to: Path) -> Path:
        if path == source:
            raise OSError(18, "Invalid cross-device link")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", another_disk)
    assert Disk().move(source, target) == target
    seen = target.stat()
    assert (theirs.read_text(), target.read_bytes(), source.exists()) == ("precious", b"PK", False)
    assert (seen.st_mode & 0o777, seen.st_mtime_ns) == (0o640, 2_000_000_000)
