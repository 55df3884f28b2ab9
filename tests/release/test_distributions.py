"""What is installed is in the wheel, and nothing else is; and the wheel alone is enough to place the service."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from release.tools import REPOSITORY
from tests.once import once

SHIPPED = "xnat_watchd/adapters/systemd/shipped"
PLACES = {"xnat_watchd": "xnat_watchd", "systemd": f"{SHIPPED}/systemd", "config": f"{SHIPPED}/config"}
"""Where a folder of the repository lies in the wheel."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(once(tmp_path_factory, "wheel", _built))


def _built(folder: Path) -> str:
    words = [sys.executable, "-m", "hatchling", "build", "--target=wheel", f"--directory={folder}"]
    subprocess.run(words, cwd=REPOSITORY, capture_output=True, check=True)  # noqa: S603 - ours
    return str(next(folder.iterdir()))


def contents(wheel: Path) -> dict[str, bytes]:
    """Return what is in a wheel, without what it tells about itself. What is for other folders lies below `.data`."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def files(folder: str) -> list[Path]:
    every = (REPOSITORY / folder).rglob("*")
    return [path for path in every if path.is_file() and "__pycache__" not in path.parts]


def test_the_wheel_holds_the_program_and_the_files_beside_it_and_nothing_else(wheel: Path) -> None:
    data = f"{'-'.join(wheel.name.split('-')[:2])}.data/data/share"
    there = {
        f"{place}/{path.relative_to(REPOSITORY / folder).as_posix()}": path.read_bytes()
        for folder, place in {**PLACES, "share": data}.items()
        for path in files(folder)
    }
    assert contents(wheel) == there


def test_the_wheel_names_no_path_of_its_builder(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        telling = [name for name in archive.namelist() if os.fsencode(REPOSITORY) in archive.read(name)]
    assert telling == []


def test_the_wheel_alone_places_the_service(wheel: Path, tmp_path: Path) -> None:
    """A checkout has the files of the service beside the program, so only a program without one shows this."""
    alone, placed = tmp_path / "alone", tmp_path / "placed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(alone)
    words = [sys.executable, "-m", "xnat_watchd", "install", f"--prefix={placed}"]
    environ = {**os.environ, "PYTHONPATH": str(alone), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(words, cwd=alone, env=environ, capture_output=True, check=True)  # noqa: S603 - ours
    unit = placed / "usr/local/lib/systemd/system/xnat-watchd.service"
    assert "ExecStart=/opt/xnat-watchd/bin/xnat-watchd run" in unit.read_text("utf-8")
    settings = placed / "etc/xnat-watchd/config.toml"
    assert "[xnat]\n" in settings.read_text("utf-8")
