"""What a real 1.6.4 did otherwise than a real 1.6.5, and that the service carries everything on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.sandbox.kit import ENHANCED_SR, Visitor, dicom, place, series_of, zipped
from tests.station import Station, Time
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.sandbox import Options, Sandbox
from xnat_watchd.sandbox.samples import study, write_zip

REPORT: dict[str, Any] = {"kind": ENHANCED_SR, "Modality": "SR", "series": 99}


@pytest.fixture(params=["1.6.4", "1.6.5"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def old(tmp_path: Path, version: str) -> Iterator[Visitor]:
    with (
        Sandbox(
            tmp_path / "xnat", "1.6", users={"tech": "secret"}, projects=["P1"], options=Options(version=version)
        ) as xnat,
        Visitor(xnat, "tech", "secret") as visitor,
    ):
        yield visitor


def test_it_says_its_version(old: Visitor, version: str) -> None:
    assert old.get("/data/version").text == version


def test_a_report_without_an_extension_is_kept_by_1_6_4_alone(old: Visitor, version: str) -> None:  # F64
    old.sent(zipped({**series_of(2), "DICOM/0001": dicom(1, **REPORT), "x.SR": dicom(3, **REPORT)}), dest=place())
    counts = {row["cat_id"]: row["file_count"] for row in old.rows(f"/data{place()}/resources")}
    assert counts == {"1": "2", "99": {"1.6.4": "2", "1.6.5": "1"}[version]}


def test_a_row_of_1_6_4_names_no_schemas(old: Visitor, version: str) -> None:  # F287
    old.sent(zipped(series_of(2)), dest=place())
    xml = old.get(f"/data{place()}").text
    assert ("schemaLocation" in xml) == (version == "1.6.5")


@pytest.mark.parametrize(("dialect", "version"), [("1.6", "1.8.3"), ("1.8", "1.6.4")])
def test_a_version_of_the_other_dialect_is_refused(tmp_path: Path, dialect: str, version: str) -> None:
    with pytest.raises(ValueError, match=f"{version} does not speak as {dialect} does"):
        Sandbox(tmp_path, dialect, options=Options(version=version))


def test_a_study_with_a_report_goes_the_whole_route_on_both(old: Visitor, tmp_path: Path) -> None:
    """What is sent has names with an extension, so that a 1.6.5 keeps its report, too."""
    time = Time()
    server = XnatServer(old.xnat.url, user="tech", password=Secret("secret"), clock=time, stop=Event())
    station = Station(tmp_path / "station", server.gateway(), time)
    members = study(1, images=2, modalities=("MR", "SR"), pixels=(4, 4))
    write_zip(station.folders.drop / "1.zip", [(f"DICOM/{n:04}", data) for n, (_, data) in enumerate(members)])
    station.run()
    assert station.standings() == [("1.1", "complete", "done")]
    assert [one.where for one in old.xnat.instances()] == ["archive"] * len(members)
    station.close()
    server.close()
