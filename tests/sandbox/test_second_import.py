"""A second import to one place, as a real 1.6.4 takes it: it is refused, whenever the first one comes through."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest
import requests

from tests.dicom import instance
from tests.sandbox.kit import Visitor
from tests.station import zipped
from xnat_watchd.sandbox import Sandbox

PLACE = "/prearchive/projects/P1/20200101_000000001/OURS"
SCAN = zipped([(f"{n}.dcm", instance(1, 1, n)) for n in (1, 2, 3)])


def send(xnat: Sandbox) -> int:
    with Visitor(xnat, "tech", "secret") as visitor:
        return visitor.send(SCAN, dest=PLACE, session="OURS").status_code


def test_the_same_files_are_refused_at_a_place_that_has_them(tmp_path: Path) -> None:
    with Sandbox(tmp_path, "1.6", users={"tech": "secret"}, projects=["P1"]) as xnat:
        assert [send(xnat), send(xnat)] == [200, 409]
        assert len(xnat.instances()) == 3


def test_the_first_of_two_imports_is_refused_where_the_second_comes_through_before_it(tmp_path: Path) -> None:
    late = Event()
    with Sandbox(tmp_path, "1.6", users={"tech": "secret"}, projects=["P1"]) as xnat:
        xnat.faults.on("POST", "/data/services/import").late_effect(late)
        with pytest.raises(requests.ConnectionError):
            send(xnat)
        assert send(xnat) == 200
        answered = len(xnat.requests)
        late.set()
        xnat.wait_for_requests(answered + 1)
        assert len(xnat.instances()) == 3


def test_what_a_refused_import_has_written_appears_when_the_server_is_started_again(tmp_path: Path) -> None:
    xnat = Sandbox(tmp_path, "1.6", users={"tech": "secret"}, projects=["P1"])
    with xnat:
        assert [send(xnat), send(xnat)] == [200, 409]
    with xnat:
        rows = {row.folder: row.status for row in xnat._site.store.rows.values()}
        assert sorted(rows.values()) == ["ERROR", "READY"]
        assert rows["OURS"] == "READY"
