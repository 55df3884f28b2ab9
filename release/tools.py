"""The tools that make a release, in an environment of their own: each is what its hash in `tools.lock` says."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
WHEELS, TOOLS = HERE / "wheels.lock", HERE / "tools.lock"

EPOCH = "1580601600"  #: seconds: what hatchling takes for the age of every file, 2020-02-02


def run(*command: str | Path, **environ: str) -> str:
    """Run a command and return what it prints. Raise `CalledProcessError` where it fails; it has said why then."""
    # A folder of wheels that pip or uv are told of would be asked before the index.
    variables = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "PIP_FIND_LINKS": "", "LC_ALL": "C.UTF-8", **environ}
    words = [str(word) for word in command]
    return subprocess.run(words, env=variables, stdout=subprocess.PIPE, text=True, check=True, umask=0o022).stdout  # noqa: S603 - ours


@cache
def python() -> Path:
    """Return the Python of the environment with the tools. It is made where there is none for this `tools.lock`."""
    key = hashlib.sha256(TOOLS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = REPOSITORY / "build" / f"tools-{key}"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.{os.getpid()}")
        run(sys.executable, "-m", "venv", part)
        run(part / "bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", TOOLS)
        try:
            part.rename(folder)
        except OSError:  # another has made it meanwhile
            shutil.rmtree(part)
    return folder / "bin/python"
