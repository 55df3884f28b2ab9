"""Which version of every package goes into a bundle and into the package for Debian, with the hashes of its files."""

from __future__ import annotations

from pathlib import Path

from release.tools import HERE, REPOSITORY, TOOLS, WHEELS, python, run

OLDEST = "3.11"


def renew() -> list[Path]:
    """Choose the newest versions that fit together, for every Python that the program takes."""
    uv = python().with_name("uv")
    shared = "--extra=fleet"  # who installs without a network may want a ledger for many stations later
    for source, lock, *more in ((REPOSITORY / "pyproject.toml", WHEELS, shared), (HERE / "tools.in", TOOLS)):
        words = ("pip", "compile", "--quiet", "--universal", "--upgrade", "--generate-hashes", "--no-header")
        run(uv, *words, f"--python-version={OLDEST}", "--no-annotate", f"--output-file={lock}", *more, source)
    return [WHEELS, TOOLS]
