"""Sites of both dialects, and a server that says what a test tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.gateway.gateway_kit import Site, a_site, server_at
from tests.adapters.gateway.scripted_xnat import ScriptedXnat, scripted_xnat
from xnat_watchd.adapters.xnat.gateway import XnatGateway
from xnat_watchd.sandbox.samples import study, write_zip


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Site]:
    with a_site(tmp_path, "1.8") as site:
        yield site


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Site]:
    with a_site(tmp_path, "1.6") as site:
        yield site


@pytest.fixture(params=["1.6", "1.8"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with a_site(tmp_path, request.param) as site:
        yield site


@pytest.fixture
def scripted() -> Iterator[ScriptedXnat]:
    with scripted_xnat() as server:
        yield server


@pytest.fixture
def gateway(scripted: ScriptedXnat) -> Iterator[XnatGateway]:
    server = server_at(scripted.url, read_timeout=10.0)
    yield server.gateway()
    server.close()


@pytest.fixture
def a_zip(tmp_path: Path) -> str:
    return str(write_zip(tmp_path / "one.zip", study(1)))


@pytest.fixture
def large(tmp_path: Path) -> str:
    """Return what the gateway takes for a ZIP, too long for a kernel to take more than a small part of it at once."""
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.truncate(256 << 20)
    return str(path)
