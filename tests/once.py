"""What takes long and is made once, for all workers of a test run."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]) -> Any:
    """Return what `make` returns for an empty folder, by way of JSON. Another worker that asks meanwhile waits for it.

    If it fails, the next worker tries it again.
    """
    base = factory.getbasetemp()
    root = base.parent if base.name.startswith("popen-") else base  # pytest-xdist gives each worker a folder below it
    kept = root / f"{name}.json"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            made = make(factory.mktemp(name))
            kept.write_text(json.dumps(made), encoding="utf-8")
        return json.loads(kept.read_text("utf-8"))
