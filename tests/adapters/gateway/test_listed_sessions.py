"""One list tells all of a session, or nothing of it is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.adapters.gateway.scripted_xnat import ScriptedXnat
from xnat_watchd.adapters.xnat.gateway import XnatGateway
from xnat_watchd.core.delivery import Scan, Session

SCANS = "xnat:imagesessiondata/scans/scan"
ROW = {
    "ID": "XNAT_E1", "project": "P1", "label": "L", "UID": "1.2.3", "subject_ID": "XNAT_S1", "subject_label": "S",
    "xnat:imagesessiondata/prearchivepath": "/data/prearchive/P1/20240229_101112130/xw-1",
    f"{SCANS}/id": "1", f"{SCANS}/uid": "1.2.3.1", f"{SCANS}/file/file_count": "2", f"{SCANS}/file/label": "DICOM",
}  # fmt: skip


def shown(scripted: ScriptedXnat, gateway: XnatGateway, *rows: dict[str, Any]) -> list[Session]:
    scripted.on("GET", "/data/experiments", content=json.dumps({"ResultSet": {"Result": rows}}))
    return [*gateway.listed_sessions("P1", ["1.2.3"])]


def test_a_row_for_each_resource_is_one_session(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    second = {**ROW, f"{SCANS}/id": "2", f"{SCANS}/uid": "1.2.3.2"}
    more = {**second, f"{SCANS}/file/label": "secondary", f"{SCANS}/file/file_count": "3"}
    other = {**ROW, f"{SCANS}/file/label": "SNAPSHOTS", f"{SCANS}/file/file_count": ""}
    (one,) = shown(scripted, gateway, ROW, other, second, more)
    assert (one.id, one.subject, one.subject_id, one.label) == ("XNAT_E1", "S", "XNAT_S1", "L")
    assert one.prearchive_path.endswith("/P1/20240229_101112130/xw-1")
    assert one.holding.scans == (Scan("1", "1.2.3.1", 2), Scan("2", "1.2.3.2", 5))


@pytest.mark.parametrize(
    "change", [*({one: None} for one in ROW if one not in {"project", "UID"}), {f"{SCANS}/file/file_count": ""}]
)
def test_a_list_that_does_not_tell_all_shows_nothing(
    scripted: ScriptedXnat, gateway: XnatGateway, change: dict[str, str | None]
) -> None:
    row = {name: value for name, value in {**ROW, **change}.items() if value is not None}
    assert shown(scripted, gateway, ROW, row) == []


@pytest.mark.parametrize("change", [{"project": "P2"}, {"UID": "1.2.3.4"}])
def test_what_was_not_asked_for_is_not_shown(
    scripted: ScriptedXnat, gateway: XnatGateway, change: dict[str, str]
) -> None:
    (one,) = shown(scripted, gateway, ROW, {**ROW, "ID": "XNAT_E2", **change})
    assert one.id == "XNAT_E1"
