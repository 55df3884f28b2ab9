"""The `pyxnat` package, unmodified, logs in, lists, uploads and shares in both dialects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.foreign import client
from tests.sandbox.kit import series_of, zipped
from xnat_watchd.sandbox import Sandbox

pyxnat = client("pyxnat")
pytestmark = [
    pytest.mark.foreign,
    pytest.mark.filterwarnings("default"),  # its own, not ours
]
GENDER = "xnat:subjectData/demographics[@xsi:type=xnat:demographicData]/gender"


@pytest.fixture(params=["1.6", "1.8"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path, request.param, users={"tech": "secret"}, projects=["P1", "P2"]) as running:
        for project in ("P1", "P2"):
            running.grant("tech", project, "owner")
        yield running


@pytest.fixture
def interface(server: Sandbox) -> Iterator[Any]:
    connected = pyxnat.Interface(server=server.url, user="tech", password="secret")
    yield connected
    connected.disconnect()


def _archived(interface: Any) -> Any:
    """Upload and archive, and give the subject."""
    place = "/prearchive/projects/P1/20240131_101112001/E1"
    headers = {"Content-Type": "application/zip"}
    query = f"dest={place}&subject=S1&session=E1"
    interface.post(f"/data/services/import?{query}", data=zipped(series_of(2)), headers=headers)
    interface.post(f"/data/services/archive?src={place}&subject=S1&session=E1")
    return interface.select.project("P1").subject("S1")


def test_it_lists_projects_and_users(interface: Any) -> None:
    assert interface.select.projects().get() == ["P1", "P2"]
    assert interface.select.project("P1").users() == ["tech"]


def test_it_lists_what_it_uploaded(interface: Any) -> None:
    subject = _archived(interface)
    assert (subject.exists(), subject.label()) == (True, "S1")
    assert subject.experiments().get() == ["XNAT_E00001"]
    scans = subject.experiment("E1").scans()
    assert scans.get() == ["1"]
    assert subject.experiment("E1").scan("1").resource("DICOM").files().get() == ["s1_1.dcm", "s1_2.dcm"]


def test_it_writes_and_reads_demographics(interface: Any) -> None:
    subject = interface.select.project("P1").subject("S2").create()
    assert subject.attrs.get("gender") == ""
    subject.attrs.set("gender", "female")
    assert subject.attrs.get("gender") == "female"
    subject.attrs.set(GENDER, "male")
    assert subject.attrs.get("gender") == "male"


def test_it_shares_and_takes_back(server: Sandbox, interface: Any) -> None:
    subject = _archived(interface)
    subject.share("P2")
    subject.experiment("E1").share("P2")
    assert subject.shares().get() == ["P1", "P2"]
    assert len(server.sessions("P2")) == 1
    subject.unshare("P2")
    assert subject.shares().get() == ["P1"]
    assert server.sessions("P2") == []
