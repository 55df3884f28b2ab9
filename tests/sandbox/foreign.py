"""Client packages of others that drive the practice XNAT: the extra `foreign`, which CI installs apart from ours."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest

NEEDED = "XNAT_WATCHD_NEED_FOREIGN"


def client(package: str) -> Any:
    """Give the package, or leave the tests of the asking file out where it is missing; an error where it is needed."""
    if os.environ.get(NEEDED):
        return importlib.import_module(package)
    return pytest.importorskip(package, reason=f"{package} is not installed: pip install '.[foreign]'")
