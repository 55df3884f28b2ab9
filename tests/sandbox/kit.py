"""Small DICOM objects, ZIPs of them, and a plain HTTP client for the tests of the practice XNAT."""

from __future__ import annotations

import html
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Self

import requests
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from xnat_watchd.sandbox import Sandbox

ROOT = "1.2.826.0.1.3680043.10.1338"
STUDY, OTHER_STUDY = f"{ROOT}.1", f"{ROOT}.2"
MR, CT, SECONDARY_CAPTURE, ENHANCED_SR, SEGMENTATION, RT_PLAN, RT_DOSE = (
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.88.22",
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.481.5",
    "1.2.840.10008.5.1.4.1.1.481.2",
)
Members = Mapping[str, bytes]


def dicom(instance: int = 1, *, study: str = STUDY, series: int = 1, kind: str = MR, **values: Any) -> bytes:
    """Return one small object; `values` replace or add elements by keyword, None leaves one out."""
    sop_uid = f"{study}.{series}.{instance}"
    elements: dict[str, Any] = {
        "SOPClassUID": kind, "SOPInstanceUID": sop_uid, "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.{series}", "SeriesNumber": series, "InstanceNumber": instance,
        "Modality": "CT" if kind == CT else "MR", "PatientName": "Canary^Kim", "PatientID": "CAN01",
        "StudyDate": "20240131", "StudyTime": "101112.5", "SeriesDescription": f"series {series}",
    }  # fmt: skip
    implicit = bool(values.pop("implicit", False))
    dataset = Dataset()
    for name, value in {**elements, **values}.items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.PixelData = bytes(64)
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID(kind)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def series_of(count: int, **values: Any) -> dict[str, bytes]:
    """Return `count` objects of one series as members of a ZIP."""
    number = values.get("series", 1)
    return {f"s{number}_{one}.dcm": dicom(one, **values) for one in range(1, count + 1)}


def zipped(members: Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a ZIP of these members, in this order."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def reason(answer: requests.Response) -> str:
    """Return the reason on an error page."""
    found = re.search(r"<h3>(.*?)</h3>", answer.text, re.DOTALL)
    return html.unescape(found[1]) if found else ""


class Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, 9, 54, 10, 219000, UTC)

    def __call__(self) -> datetime:
        return self.moment

    def move(self, **by: float) -> None:
        """Move forward."""
        self.moment += timedelta(**by)


@dataclass
class Visitor:
    """Somebody who talks HTTP to a practice XNAT."""

    xnat: Sandbox
    name: str = "tech"
    password: str = "secret"
    http: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.http.auth = (self.name, self.password)

    @property
    def is_old(self) -> bool:
        """Whether it speaks to a 1.6."""
        return self.xnat._site.is_old

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send a request, redirects not followed; `params`, `data`, `headers` as `requests` has them."""
        return self.http.request(method, self.xnat.url + path, allow_redirects=False, **more)

    def get(self, path: str, **params: Any) -> requests.Response:
        """GET with these parameters."""
        return self.ask("GET", path, params=params)

    def put(self, path: str, params: Mapping[str, str] | None = None) -> requests.Response:
        """PUT with these parameters in the query."""
        return self.ask("PUT", path, params=params)

    def rows(self, path: str, **params: Any) -> list[dict[str, str]]:
        """GET a table."""
        answer = self.get(path, format="json", **params)
        assert answer.status_code == 200, reason(answer)
        found: list[dict[str, str]] = answer.json()["ResultSet"]["Result"]
        return found

    def item(self, path: str) -> dict[str, Any]:
        """GET a thing in item form."""
        answer = self.get(path, format="json")
        assert answer.status_code == 200, reason(answer)
        found: dict[str, Any] = answer.json()["items"][0]
        return found

    def send(
        self, content: bytes | Iterable[bytes] | BinaryIO, media: str = "application/zip", **params: str
    ) -> requests.Response:
        """POST an import; `handler` stands for `import-handler`."""
        query = {name.replace("handler", "import-handler"): value for name, value in params.items()}
        headers = {"Content-Type": media} if media else {}
        return self.ask("POST", "/data/services/import", params=query, data=content, headers=headers)

    def sent(self, content: bytes, **params: str) -> str:
        """Import and return the one place in the answer, without `/data`."""
        answer = self.send(content, **params)
        assert answer.status_code == 200, reason(answer)
        place = answer.text.removesuffix("\r\n")
        assert "\n" not in place
        return place.removeprefix("/data")

    def sent_file(self, path: Path, **params: str) -> None:
        """Import a ZIP from the disk."""
        with path.open("rb") as file:
            answer = self.send(file, **params)
        assert answer.status_code == 200, (path.name, reason(answer))

    def archive(self, src: str, **params: str) -> requests.Response:
        """POST services/archive."""
        return self.ask("POST", "/data/services/archive", params={"src": src, **params})

    def archived(self, src: str, **params: str) -> str:
        """Archive and return the URI of the session."""
        answer = self.archive(src, **params)
        assert answer.status_code == 200, reason(answer)
        return answer.text.removesuffix("\r\n")


def place(folder: str = "xw_1", stamp: str = "20240131_101112001", project: str = "P1") -> str:
    """Return a place in the prearchive that nobody else uses."""
    return f"/prearchive/projects/{project}/{stamp}/{folder}"


def child(item: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the data fields of an item's children below one name."""
    return [node["data_fields"] for group in item["children"] if group["field"] == name for node in group["items"]]
