"""Practice XNATs of both dialects, each with a project, a member and a site admin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.kit import Clock, Visitor
from xnat_watchd.sandbox import Sandbox


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _visit(data: Path, dialect: str, clock: Clock) -> Iterator[Visitor]:
    with Sandbox(data, dialect, users={"tech": "secret"}, projects=["P1"], clock=clock) as xnat:
        xnat.add_user("root", "secret", admin=True)
        xnat.add_user("outsider", "secret")
        with Visitor(xnat) as visitor:
            yield visitor


@pytest.fixture
def old(tmp_path: Path, clock: Clock) -> Iterator[Visitor]:
    """Yield a member's client of an XNAT 1.6."""
    yield from _visit(tmp_path / "old", "1.6", clock)


@pytest.fixture
def new(tmp_path: Path, clock: Clock) -> Iterator[Visitor]:
    """Yield a member's client of an XNAT 1.8."""
    yield from _visit(tmp_path / "new", "1.8", clock)


@pytest.fixture(params=["1.6", "1.8"])
def either(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Visitor]:
    """Yield a member's client of each of the two, one after the other."""
    yield from _visit(tmp_path / "either", request.param, clock)
