"""Which requests carry a new study into XNAT, and that neither they nor their answers grow with the site."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.adapters.gateway.gateway_kit import server_at
from tests.dicom import instance
from tests.sandbox.kit import Visitor
from tests.station import Station, Time, zipped
from xnat_watchd.adapters.xnat import transport
from xnat_watchd.adapters.xnat.answers import Answer
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.studies.steps.requests import REQUESTS, StudyRequest

MOST = 12  #: requests for a new study with one series


class Counting:
    """A workstation before a practice XNAT. Knows the requests of the last study and the length of each answer."""

    def __init__(self, root: Path, dialect: str) -> None:
        self.root, self.dialect, self.lengths = root, dialect, list[int]()
        self.xnat = Sandbox(root / "xnat", dialect, users={"tech": "secret"}, projects=["P1"])
        self.xnat.start()
        time = Time()
        self.server = server_at(self.xnat.url, clock=time)
        self.station = Station(root / "station", self.server.gateway(), time)
        self.station.start()

    def close(self) -> None:
        self.station.close()
        self.server.close()
        self.xnat.stop()

    def carry(self, study: int, *, series: int = 1, name: str = "Quokka^Zenobia") -> list[str]:
        """Carry a study, and return its requests: method, path, and query without encoding."""
        before, self.lengths[:] = len(self.xnat.requests), []
        images = [
            instance(study, one, 1, name=name, patient=name, date=f"202403{study:02d}") for one in range(1, series + 1)
        ]
        self.station.drop(f"{study}.zip", zipped((f"{n}.dcm", data) for n, data in enumerate(images)))
        self.station.take_in()
        self.station.work()
        assert self.station.standings()[-1][1:] == ("complete", "done")
        return [f"{method} {path}?{unquote(query)}" for method, path, query, _ in self.xnat.requests[before:]]


@pytest.fixture(params=["1.6", "1.8"])
def site(request: pytest.FixtureRequest, quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    one, ask = Counting(quick_path, request.param), transport.Transport.ask

    def measured(line: transport.Transport, call: transport.XnatRequest) -> Answer:
        answer = ask(line, call)
        one.lengths.append(len(answer.body))
        return answer

    monkeypatch.setattr(transport.Transport, "ask", measured)
    yield one
    one.close()


def due(dialect: str, series: int) -> list[StudyRequest]:
    """Return the rows of the table that a study of so many series needs."""
    rows = [one for one in REQUESTS if one.only in {"", dialect}]
    return [one for one in rows for _ in range(series if one.each_scan else 1)]


def is_as_told(sent: str, row: StudyRequest) -> bool:
    """Return whether a request is of this row."""
    line, _, query = sent.partition("?")
    method, _, path = line.partition(" ")
    told, said = _segments(row.path), _segments(path)
    named = all(one == two or one.isupper() for one, two in zip(told, said, strict=False))
    return method == row.method and len(told) == len(said) and named and all(one in query for one in row.query)


def _segments(path: str) -> list[str]:
    return path.replace("PLACE", "/data/prearchive/projects/P/TIME/FOLDER").strip("/").split("/")


@pytest.mark.parametrize("series", [1, 3])
def test_a_new_study_needs_no_request_that_the_table_does_not_justify(site: Counting, series: int) -> None:
    site.carry(1)
    for study in (2, 3):
        sent, rows = site.carry(study, series=series, name="Wombat^Another"), due(site.dialect, series)
        if study == 3:
            del rows[-2:]  # nothing is left to be written to the subject
        assert len(sent) == len(rows)
        assert [one for one, row in zip(sent, rows, strict=True) if not is_as_told(one, row)] == []


def test_a_new_study_with_one_series_needs_twelve_requests_at_most(site: Counting) -> None:
    site.carry(1)
    assert len(site.carry(2, name="Wombat^Another")) <= MOST
    assert len(site.carry(3)) <= MOST


def test_no_answer_grows_with_a_site(site: Counting) -> None:
    site.carry(1)
    site.carry(2, name="Wombat^Another")
    before = [*site.lengths]
    for number in range(20):
        site.xnat.add_project(f"Q{number}", 0)
        site.xnat.grant("tech", f"Q{number}", "member")
    with Visitor(site.xnat) as other:
        for number in range(20):
            place = f"/prearchive/projects/P1/20240101_0000000{number:02d}/theirs{number}"
            other.sent(
                zipped([("1.dcm", instance(100 + number, name=f"Numbat^{number}"))]), dest=place, session=f"T{number}"
            )
            other.archived(place, subject=f"Numbat{number}", session=f"T{number}")
    site.carry(3, name="Wombat^Furtherer")
    assert [long for long, short in zip(site.lengths, before, strict=True) if abs(long - short) > 60] == []


def test_every_request_of_the_table_proves_something() -> None:
    assert all(one.proves.endswith(".") for one in REQUESTS)
    assert {one.step for one in REQUESTS} == {"upload", "archive", "demographics"}
