"""Several workers import at the same time into a 1.6, where two imports in one millisecond would mix."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from tests.adapters.gateway.gateway_kit import quiet, server_at
from tests.dicom import instance, sop_uid, study_uid
from tests.station import zipped
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.core.delivery import Place
from xnat_watchd.sandbox import Options, Sandbox

WORKERS, IMPORTS = 4, 5


@pytest.fixture
def xnat(quick_path: Path) -> Iterator[Sandbox]:
    """Yield a 1.6 whose imports take longer than the time between two starts, and collide within a millisecond."""
    options = Options(collides_within=timedelta(milliseconds=1))
    with Sandbox(quick_path / "xnat", "1.6", users={"tech": "secret"}, projects=["P1"], options=options) as one:
        one.faults.on("POST", "/data/services/import", times=WORKERS * IMPORTS).delay(seconds=0.25)
        yield one


def place_of(study: int) -> Place:
    return Place("P1", f"20240229_1011{study:05d}", f"xw-{study}")


def carry(server: XnatServer, folder: Path, studies: range) -> None:
    """Import some studies one after the other, as one worker does, in a login session of its own."""
    gateway = server.gateway()
    for study in studies:
        path = folder / f"{study}.zip"
        path.write_bytes(zipped((f"{sop_uid(study, 1, n)}.dcm", instance(study, 1, n)) for n in (1, 2)))
        gateway.upload(place_of(study), str(path), quiet, alone=False)


def test_imports_of_four_workers_overlap_and_mix_nothing(xnat: Sandbox, quick_path: Path) -> None:  # F94
    server = server_at(xnat.url)
    with ExitStack() as stack:
        stack.callback(server.close)
        ours = [range(1 + first, 1 + WORKERS * IMPORTS, WORKERS) for first in range(WORKERS)]
        threads = [threading.Thread(target=carry, args=(server, quick_path, studies)) for studies in ours]
        for one in threads:
            one.start()
        for one in threads:
            one.join(60)
    held = Counter((one.session, one.study_uid) for one in xnat.instances())
    assert held == {(place_of(n).folder, study_uid(n)): 2 for n in range(1, 1 + WORKERS * IMPORTS)}
