"""Wheel and sdist."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from release.tools import REPOSITORY, python, run


def make(into: Path, source: Path = REPOSITORY) -> list[Path]:
    """Make the sdist of the sources, and the wheel from that sdist alone, so that it is seen to be whole."""
    with tempfile.TemporaryDirectory() as work:
        sdist = _built("sdist", source, into)
        shutil.unpack_archive(sdist, work, filter="data")
        return [_built("wheel", Path(work, sdist.name.removesuffix(".tar.gz")), into), sdist]


def make_wheel(into: Path) -> Path:
    """Make the wheel alone."""
    return _built("wheel", REPOSITORY, into)


def _built(kind: str, source: Path, into: Path) -> Path:
    """Build a wheel or an sdist. hatchling builds the one of a folder, wherever it is put."""
    with tempfile.TemporaryDirectory() as work:
        words = ("-m", "hatchling", "build", f"--target={kind}", f"--directory={work}")
        run("env", f"--chdir={source}", python(), *words)
        return Path(shutil.move(next(Path(work).iterdir()), into / next(Path(work).iterdir()).name))
