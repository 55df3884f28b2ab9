"""What a bundle consists of is locked by hashes, is listed, and is the same whoever has made it."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.bundle import packed
from release.sbom import listed
from release.tools import HERE, REPOSITORY, TOOLS, WHEELS

ENTRY = re.compile(
    r"^([\w.-]+)(?:\[[\w,-]+\])?==(\S+)(?: ;[^\\\n]*)? \\\n"  # name, version, and for whom it is
    r"((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    re.MULTILINE,
)


def versions(lock: Path) -> dict[str, str]:
    """Return the version of each package of a lock file. Every line of it is a package's, or a hash of one."""
    text = lock.read_text("utf-8")
    assert ENTRY.sub("", text) == ""
    return {canonicalize_name(name): version for name, version, _ in ENTRY.findall(text)}


def test_every_package_that_the_program_needs_is_locked_at_a_version_that_it_takes() -> None:
    locked = versions(WHEELS)
    for said in tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]:
        needed = Requirement(said)
        assert needed.specifier.contains(locked[canonicalize_name(needed.name)]), f"{said}: `python -m release lock`"


def test_every_tool_is_locked() -> None:
    needed = [line for line in (HERE / "tools.in").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert {canonicalize_name(Requirement(said).name) for said in needed} <= versions(TOOLS).keys()


def wheel(folder: Path, name: str, *told: str) -> Path:
    """Make a wheel of version 1.0 that says these things about itself."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-1.0.dist-info/METADATA", "\n".join([f"Name: {name}", "Version: 1.0", *told, "", ""]))
    return path


def test_the_list_tells_each_wheel_with_its_hash_its_licence_and_what_it_needs(tmp_path: Path) -> None:
    ours = wheel(tmp_path, "ours", "License-Expression: Apache-2.0", "Requires-Dist: Zipper.Lib>=1",
                 'Requires-Dist: absent; python_version < "3"', 'Requires-Dist: other; extra == "more"')  # fmt: skip
    theirs = wheel(tmp_path, "zipper_lib", "Classifier: License :: OSI Approved :: MIT License")
    wheel(tmp_path, "other", "License: BSD")
    found = listed(tmp_path, ours)
    assert found["metadata"]["component"]["licenses"] == [{"expression": "Apache-2.0"}]
    licences = {one["name"]: one["licenses"] for one in found["components"]}
    assert licences == {"zipper-lib": [{"license": {"name": "MIT License"}}], "other": [{"license": {"name": "BSD"}}]}
    hashes = {one["name"]: one["hashes"] for one in found["components"]}
    assert hashes["zipper-lib"] == [{"alg": "SHA-256", "content": hashlib.sha256(theirs.read_bytes()).hexdigest()}]
    assert {"ref": "pkg:pypi/ours@1.0", "dependsOn": ["pkg:pypi/zipper-lib@1.0"]} in found["dependencies"]


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_an_archive_shows_neither_when_nor_by_whom_it_was_made(tmp_path: Path, mode: int) -> None:
    made = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        wheel(folder, "b").chmod(0o644 if number == 1 else mode)
        os.utime(wheel(folder, "a"), (number, number))
        os.utime(folder, (number, number))
        made.append(packed(folder, tmp_path / f"{number}" / ".." / "same.tar").read_bytes())
    assert made[0] == made[1]
