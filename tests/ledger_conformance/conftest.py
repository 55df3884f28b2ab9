"""Every test of this folder is one for every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger_conformance.engines import ENGINES, Engine, Recorder


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.name)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Return one engine after the other."""
    found: Engine = request.param
    return found


@pytest.fixture
def recorder(engine: Engine, tmp_path: Path) -> Iterator[Recorder]:
    """Yield a new ledger, and who records in it."""
    recorder = Recorder(engine, tmp_path)
    yield recorder
    recorder.ledger.close()
