"""XNAT_CLI_Toolkit, the peer: its `xnat-upload` uploads, archives and describes all ZIPs of a folder."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.loops import Scan
from benchmarks.practice import PASSWORD, PROJECT, USER


def run(command: Path, url: str, scans: Sequence[Scan], folder: Path) -> float:
    """Have it carry these, and return the seconds that it took, with the start of its interpreter."""
    source = folder / "scans"
    source.mkdir()
    for scan in scans:
        (source / f"{scan.name}.zip").write_bytes(scan.content)
    login = ["--server", url, "--username", USER, "--password", PASSWORD]
    began = time.monotonic()
    subprocess.run(
        [command, "--project", PROJECT, "--source", source, *login], cwd=folder, timeout=1800, check=True,
        env={**os.environ, "HOME": str(folder)}, capture_output=True,
    )  # fmt: skip
    return time.monotonic() - began
