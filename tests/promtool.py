"""Prometheus's own tool, which knows whether metrics and rules are right."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

NEEDED = "XNAT_WATCHD_NEED_PROMTOOL"


def promtool(*words: str, typed: str = "") -> str:
    """Run it and return what it says; fail if it complains. Skip where it is not installed, unless it is needed."""
    found = shutil.which("promtool")
    if found is None:
        (pytest.fail if os.environ.get(NEEDED) else pytest.skip)("needs promtool, of Debian's package prometheus")
    done = subprocess.run(  # noqa: S603 - as named
        [found, *words], input=typed, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
