"""What is asked of XNAT by a station of which the ledger has not heard for a while."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.adapters.gateway.gateway_kit import ARCHIVE, IMPORT, PLACE, failure, quiet, server_at
from tests.adapters.gateway.scripted_xnat import Asked, ScriptedXnat
from tests.adapters.gateway.test_xnat_gateway_line import drain
from xnat_watchd.adapters.xnat.gateway import XnatGateway
from xnat_watchd.core.errors import Stopped
from xnat_watchd.core.lease import LEASE, StationLease


def lease_for(age: float) -> StationLease:
    """Return a lease that was renewed so many seconds ago, by a clock that stands still."""
    lease = StationLease(lambda: 1000.0)
    lease.renewed = 1000.0 - age
    return lease


WRITES: dict[str, Callable[[XnatGateway, str], object]] = {
    "upload": lambda gateway, path: gateway.upload(PLACE, path, quiet, alone=False),
    "archive": lambda gateway, _: gateway.archive(PLACE, "S1", "L1", join=False, pipelines=False),
    "build": lambda gateway, _: gateway.build(PLACE),
    "discard": lambda gateway, _: gateway.discard(PLACE),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_nothing_is_begun_that_changes_xnat_after_half_of_the_lease(
    scripted: ScriptedXnat, a_zip: str, write: Callable[[XnatGateway, str], object]
) -> None:
    server = server_at(scripted.url, lease=lease_for(LEASE / 2))
    error = failure(Stopped, lambda: write(server.gateway(), a_zip))
    assert (error.spoke, "did not answer" in str(error)) == (False, True)
    assert not any(scripted.count(method, "/(prearchive|services/(import|archive))") for method in ("POST", "DELETE"))
    server.close()


def test_until_its_end_xnat_may_still_be_asked_what_it_has(scripted: ScriptedXnat) -> None:
    server = server_at(scripted.url, lease=lease_for(LEASE - 1))
    server.gateway().probe()
    server.lease = lease_for(LEASE)
    assert not failure(Stopped, server.gateway().probe).spoke
    server.close()


def test_an_upload_is_ended_with_the_lease_and_is_in_doubt(scripted: ScriptedXnat, large: str) -> None:
    lease = lease_for(0)
    server = server_at(scripted.url, lease=lease)

    def thaw(asked: Asked) -> None:
        lease.renewed = 1000.0 - LEASE  # it was frozen meanwhile
        asked.scripted.over.wait()

    scripted.on("POST", IMPORT, thaw)
    assert failure(Stopped, lambda: server.gateway().upload(PLACE, large, quiet, alone=False)).spoke
    server.close()


def test_so_is_the_wait_for_an_answer(scripted: ScriptedXnat, a_zip: str) -> None:
    lease = lease_for(0)
    server = server_at(scripted.url, lease=lease)

    def say_nothing(asked: Asked) -> None:
        drain(asked)
        lease.renewed = 1000.0 - LEASE
        asked.scripted.over.wait()

    scripted.on("POST", IMPORT, say_nothing)
    assert failure(Stopped, lambda: server.gateway().upload(PLACE, a_zip, quiet, alone=False)).spoke
    server.close()
    assert scripted.count("POST", ARCHIVE) == 0
