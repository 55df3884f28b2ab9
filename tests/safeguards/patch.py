"""Small patches, each of which takes one safeguard out of the program, and the tests that must then fail.

A patch lies as `<part>/<name>.patch` beside this module. Above its diff, lines that begin with `# test: ` name the
tests that show it, `path::name[case]`, where `*` may stand for a part of the name. What else stands there is for
people.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RED = "# test: "
COPIED = ("xnat_watchd", "tests", "pyproject.toml", "README.md", "config", "docs", "systemd", "CHANGELOG.md", "LICENSE")


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch, and the tests that it must turn red."""

    path: Path
    red: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its part and what it takes out."""
        return f"{self.path.parent.name}/{self.path.stem}"

    def apply(self, root: Path, *, check: bool = False) -> str:
        """Apply it to a checkout, or only see whether it would; gives what stands in the way."""
        command = ["git", "apply", *(["--check"] if check else []), str(self.path)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603 - as written
        return done.stderr if done.returncode else ""


def patches(part: str = "*") -> Iterator[Patch]:
    """Give the patches of a part, or of all, in their order."""
    for path in sorted(HERE.glob(f"{part}/*.patch")):
        lines = path.read_text(encoding="utf-8").splitlines()
        yield Patch(path, tuple(line.removeprefix(RED) for line in lines if line.startswith(RED)))


def copy_checkout(target: Path) -> None:
    """Copy what the tests need of this checkout."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)
