"""One life of a service of the fleet, on a clock that runs faster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.soak import hurried


def live(config: Path, journal: Path, environment: Mapping[str, str], speed: float, began: float) -> None:
    """Be the service, as `xnat-watchd --config FILE run` is."""
    hurried.live(config, journal, environment, speed, began)
