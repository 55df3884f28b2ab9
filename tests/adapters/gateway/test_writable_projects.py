"""A project that XNAT lists as writable is not asked about with each study, until something speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.adapters.gateway.gateway_kit import ARCHIVE, IMPORT, PLACE, quiet, server_at
from tests.adapters.gateway.scripted_xnat import ScriptedXnat
from tests.station import Time
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.adapters.xnat.writable_projects import STAYS_WRITABLE
from xnat_watchd.core.errors import WatchdError

LISTED = '{"ResultSet": {"Result": [{"ID": "P1"}]}}'
NO_ROW = '{"ResultSet": {"Result": []}}'


class Remembering:
    """Two gateways of a process before a server that counts how often it is asked about projects."""

    def __init__(self, scripted: ScriptedXnat) -> None:
        self.scripted, self.time = scripted, Time()
        scripted.on("GET", "/data/projects", content=LISTED)
        self.server: XnatServer = server_at(scripted.url, clock=self.time)
        self.gateway, self.other = self.server.gateway(), self.server.gateway()
        assert self.gateway.writable("P1")

    def is_asked_again(self) -> bool:
        before = self.scripted.count("GET", "/data/projects")
        assert self.other.writable("P1")
        return self.scripted.count("GET", "/data/projects") > before


@pytest.fixture
def site(scripted: ScriptedXnat) -> Iterator[Remembering]:
    one = Remembering(scripted)
    yield one
    one.server.close()


def test_a_writable_project_is_remembered_for_minutes_by_all_workers(site: Remembering) -> None:
    assert not site.is_asked_again()
    site.time.pass_(seconds=STAYS_WRITABLE - 1)
    assert not site.is_asked_again()
    site.time.pass_(seconds=2)
    assert site.is_asked_again()


def test_a_no_is_never_remembered(site: Remembering) -> None:
    assert not site.gateway.writable("P2")
    before = site.scripted.count("GET", "/data/projects")
    assert not site.gateway.writable("P2")
    assert site.scripted.count("GET", "/data/projects") == before + 1


def test_the_gate_of_a_project_asks_afresh(site: Remembering) -> None:
    before = site.scripted.count("GET", "/data/projects")
    assert site.gateway.writable("P1", afresh=True)
    assert site.scripted.count("GET", "/data/projects") == before + 1


def _refused_import(site: Remembering, a_zip: str) -> None:
    site.scripted.on("POST", IMPORT, status=403, content="<html><body><h3>no</h3></body></html>")
    with pytest.raises(WatchdError):
        site.gateway.upload(PLACE, a_zip, quiet, alone=False)


def _unassigned(site: Remembering, a_zip: str) -> None:
    site.scripted.on("POST", IMPORT, content="/data/prearchive/projects/Unassigned/20240229_101112130/x\r\n")
    with pytest.raises(WatchdError):
        site.gateway.upload(PLACE, a_zip, quiet, alone=False)


def _refused_archiving(site: Remembering, _: str) -> None:
    site.scripted.on("POST", ARCHIVE, status=403, content="<html><body><h3>no</h3></body></html>")
    with pytest.raises(WatchdError):
        site.gateway.archive(PLACE, "S", "L", join=False, pipelines=True)


def _failed_archiving(site: Remembering, _: str) -> None:
    site.scripted.on("POST", ARCHIVE, status=500, content="<html><body><h3>no</h3></body></html>")
    site.scripted.on("GET", f"/data{PLACE.path}", content=NO_ROW)
    with pytest.raises(WatchdError):
        site.gateway.archive(PLACE, "S", "L", join=False, pipelines=True)


def _another_login(site: Remembering, _: str) -> None:
    site.server.use_credential("tech", Secret("another"))


@pytest.mark.parametrize("event", [_refused_import, _unassigned, _refused_archiving, _failed_archiving, _another_login])
def test_it_is_forgotten_when_anything_speaks_against_it(
    site: Remembering, a_zip: str, event: Callable[[Remembering, str], None]
) -> None:
    event(site, a_zip)
    assert site.is_asked_again()
