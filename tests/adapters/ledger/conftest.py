"""A ledger that several stations share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger_conformance.engines import Recorder
from tests.stations import SharedLedger


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedLedger]:
    """Yield a ledger that several stations share, as the station ct-1."""
    made = SharedLedger(tmp_path)
    made.be("ct-1")
    yield made
    made.recorder.ledger.close()


@pytest.fixture
def ct(shared: SharedLedger) -> Recorder:
    """Return who records at ct-1."""
    return shared.recorder


@pytest.fixture
def mr(shared: SharedLedger) -> Iterator[Recorder]:
    """Yield who records at mr-2."""
    other = SharedLedger(shared.folder)
    yield other.be("mr-2")
    other.recorder.ledger.close()
