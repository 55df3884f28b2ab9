"""Client packages of others that drive the practice XNAT: the extra `foreign`, which CI installs apart from ours."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest

NEEDED = "XNAT_WATCHD_NEED_FOREIGN"


def client(package: str) -> Any:
    """Return the package; where it is missing, skip the calling module's tests, or fail where it is required."""
    if os.environ.get(NEEDED):
        return importlib.import_module(package)
    return pytest.importorskip(package, reason=f"{package} is not installed: pip install '.[foreign]'")
