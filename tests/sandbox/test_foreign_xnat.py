"""The `xnat` package, unmodified and with its full data model, drives both dialects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import xnat
from xnat.exceptions import XNATAuthError, XNATLoginFailedError

from tests.sandbox.kit import STUDY, dicom, series_of, zipped
from xnat_watchd.sandbox import Sandbox


@pytest.fixture(params=["1.6", "1.8"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path, request.param, users={"tech": "secret"}, projects=["P1", "P2"]) as running:
        yield running


@pytest.fixture
def session(server: Sandbox) -> Iterator[Any]:
    with xnat.connect(server.url, user="tech", password="secret", loglevel="ERROR") as connected:
        yield connected


def _import(session: Any) -> Any:
    content = BytesIO(zipped({**series_of(2), "other.dcm": dicom(series=2)}))
    return session.services.import_(
        data=content, content_type="application/zip", destination="/prearchive", project="P1", subject="S1",
        experiment="E1",
    )  # fmt: skip


def _archived(session: Any) -> Any:
    return _import(session).archive(subject="S1", experiment="E1")


def test_it_connects_and_lists_projects(server: Sandbox, session: Any) -> None:  # F57, F115
    assert session.xnat_version == ("1.6.5" if server._site.is_old else "1.8.10")
    assert sorted(session.projects.keys()) == ["P1", "P2"]
    assert session.projects["P1"].name == "P1"
    assert dict(session.projects["P1"].subjects) == {}
    assert {"xnat:subjectData", "xnat:mrSessionData", "xnat:ctScanData"} <= session.XNAT_CLASS_LOOKUP.keys()


def test_what_it_imports_lies_in_the_prearchive(session: Any) -> None:
    imported = _import(session)
    (found,) = session.prearchive.sessions()
    assert (found.uri, found.status, found.project, found.subject) == (imported.uri, "READY", "P1", "S1")
    assert (found.scan_date, type(found.uploaded), type(found.lastmod)) == (date(2024, 1, 31), datetime, datetime)
    assert sorted(scan.series_description for scan in found.scans) == ["series 1", "series 2"]
    assert [file.name for scan in found.scans for file in scan.files] == ["s1_1.dcm", "s1_2.dcm", "other.dcm"]


def test_it_dumps_headers(session: Any) -> None:
    imported = _import(session)
    (row,) = imported.scans[0].dicom_dump(fields=["PatientID"])
    assert row["value"] == "CAN01"
    (row,) = session.services.dicom_dump(src=imported.uri.removeprefix("/data"), fields=["StudyInstanceUID"])
    assert row["value"] == STUDY
    assert session.services.dicom_dump(src=imported.uri) == []


def test_it_archives_and_reads_what_it_archived(session: Any, tmp_path: Path) -> None:
    archived = _archived(session)
    assert (type(archived).__name__, archived.label, archived.uid, archived.date) == (
        "MrSessionData", "E1", STUDY, date(2024, 1, 31),
    )  # fmt: skip
    assert {scan.id: scan.frames for scan in archived.scans} == {"1": 2, "2": 1}
    assert session.prearchive.sessions() == []
    assert session.projects["P1"].subjects["S1"].experiments["E1"].id == archived.id
    archived.scans["1"].resources["DICOM"].files["s1_1.dcm"].download(tmp_path / "a.dcm", verbose=False)
    assert (tmp_path / "a.dcm").read_bytes() == dicom(1)


def test_it_writes_fields_and_demographics(server: Sandbox, session: Any) -> None:
    _archived(session)
    subject = session.projects["P1"].subjects["S1"]
    subject.fields["visit"] = "3"
    subject.demographics.gender = "female"
    subject.demographics.dob = date(1980, 1, 31)
    assert (subject.fields["visit"], subject.demographics.gender) == ("3", "female")
    stored = server.subject("P1", "S1")
    assert stored is not None
    assert (stored["fields"], stored["demographics"]["dob"]) == ({"visit": "3"}, "1980-01-31")


def test_it_shares_and_renames(server: Sandbox, session: Any) -> None:
    archived = _archived(session)
    subject = session.projects["P1"].subjects["S1"]
    subject.share("P2", label="L")
    archived.share("P2", label="EL")
    shown = session.get_json("/data/projects/P2/subjects")["ResultSet"]["Result"]
    assert [(row["label"], row["project"]) for row in shown] == [("L", "P1")]
    assert [one["label"] for one in server.sessions("P2")] == ["EL"]
    subject.label = "S9"
    assert server.subject("P1", "S9") is not None


def test_disconnecting_ends_the_login(server: Sandbox) -> None:
    connected = xnat.connect(server.url, user="tech", password="secret", loglevel="ERROR")
    connected.disconnect()
    assert server.requests[-1] == ("DELETE", "/data/JSESSION", "", 200)
    assert server._application.logins.sessions.keys() == set()


def test_a_wrong_password_is_refused(server: Sandbox) -> None:  # F5
    with pytest.raises((XNATLoginFailedError, XNATAuthError)):
        xnat.connect(server.url, user="tech", password="wrong", loglevel="ERROR")
