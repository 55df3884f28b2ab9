"""The dialects of XNAT as parameters of a test that is shown for each of them more quickly elsewhere."""

from __future__ import annotations

import pytest

NEWER_AND_THOROUGHLY_OLDER = ("1.8", pytest.param("1.6", marks=pytest.mark.thorough))
