"""The demo is the newcomer's first minute: it works, is quick, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path


def test_the_demo_shows_the_travel_and_leaves_nothing_behind(tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "xnat_watchd", "demo"], env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 30
    assert list(tmp_path.iterdir()) == []
    for word in ("complete", "held", "damaged", "In the practice XNAT's archive", "readers.report.csv"):
        assert word in done.stdout
    assert re.match(r"The page: http://127\.0\.0\.1:\d+/enter/[\w-]{22} ", done.stdout)
    assert re.search(r"shares +table 1: 2 shared", done.stdout)  # the status says what the report says
    for label, sessions in (("R001", 2), ("R002", 1)):
        assert re.search(rf"READERS +{label} +shared +{sessions}", done.stdout)
