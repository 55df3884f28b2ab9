"""Loops that a person might write instead of the program: each study is imported, archived, and its subject written.

The bare loop believes every answer and starts imports whenever it likes. The loop with proofs asks XNAT at each step
whether it is true, with the fewest requests that are known to do (tried on a real 1.6.4; of 1.8 from its source): it is
what the program could be at best. Neither has a memory, so neither survives being killed, and neither decides anything
about what it meets.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import count
from threading import Lock
from urllib.parse import quote, urlencode

from benchmarks.practice import PASSWORD, PROJECT, USER
from benchmarks.zips import ROOT

GAP = 0.05  #: seconds between the starts of two imports: on 1.6 two in one millisecond mix their files
PREARCHIVE = f"/prearchive/projects/{PROJECT}"
ZIP, FORM = "application/zip", "application/x-www-form-urlencoded"
NEWER = {
    "import-handler": "DICOM-zip", "inbody": "true", "prevent_auto_commit": "true", "Ignore-Unparsable": "false",
}  # fmt: skip
SCANS = "xnat:imageSessionData/scans/scan"
BY_UID = {"project": PROJECT, "xsiType": "xnat:imageSessionData", "format": "json"}
PROOF = ",".join((
    "ID", "project", "label", "UID", "subject_ID", "subject_label", "xnat:imageSessionData/prearchivePath",
    f"{SCANS}/ID", f"{SCANS}/UID", f"{SCANS}/file/file_count", f"{SCANS}/file/label",
))  # fmt: skip
VALUES = "ID,label,gender,dob,yob,age,xnat:subjectData/fields/field/name,xnat:subjectData/fields/field/field"
WRITTEN = {
    "xsiType": "xnat:subjectData", "xnat:subjectData/fields/field[name=subject_age]/field": "54",
    "xnat:subjectData/fields/field[name=subject_dob]/field": "1970-01-01",
}  # fmt: skip


@dataclass(frozen=True)
class Scan:
    """One study in a ZIP: its name, which is a part of its UIDs, and the bytes."""

    name: str
    content: bytes

    @property
    def uid(self) -> str:
        """Its StudyInstanceUID."""
        return f"{ROOT}.{self.name}"

    @property
    def subject(self) -> str:
        """The label of its subject."""
        return f"Bench_N{self.name}"


def encoded(query: Mapping[str, str]) -> str:
    """Return a query in which the slashes of places and columns stay as they are."""
    return urlencode(query, quote_via=quote, safe="/")


class Line:
    """A connection with a login session of its own."""

    def __init__(self, url: str) -> None:
        self._http = HTTPConnection(url.removeprefix("http://"), timeout=600)
        basic = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        session = self.ask("GET", "/data/JSESSION", headers={"Authorization": f"Basic {basic}"})
        self.headers = {"Cookie": f"JSESSIONID={session}"}

    def ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes = b"",
        headers: Mapping[str, str] | None = None, media: str = "",
    ) -> str:  # fmt: skip
        """Send a request; raise where the answer is no success."""
        sent = dict(headers or self.headers)
        if media:
            sent["Content-Type"] = media
        target = f"{path}?{encoded(query)}" if query else path
        self._http.request(method, target, body or None, sent)
        answer = self._http.getresponse()
        told = answer.read().decode()
        if answer.status not in {200, 201}:
            raise RuntimeError(f"{method} {path}: {answer.status} {told[:200]}")
        return told.strip()

    def close(self) -> None:
        """End the connection."""
        self._http.close()


class Starts:
    """Lets imports start at a distance from each other."""

    def __init__(self) -> None:
        self._lock, self._next, self._numbers = Lock(), 0.0, count(1)

    def wait(self) -> None:
        """Wait for our turn."""
        with self._lock:
            time.sleep(max(self._next - time.monotonic(), 0.0))
            self._next = time.monotonic() + GAP

    def place(self) -> str:
        """Return a place in the prearchive that nobody else uses."""
        number = next(self._numbers)
        stamp = f"{time.strftime('%Y%m%d_%H%M%S')}{number % 1000:03}"
        return f"{PREARCHIVE}/{stamp}/loop-{number}"


Carry = Callable[[Line, Starts, Scan], None]


def run(url: str, scans: Sequence[Scan], carry: Carry, workers: int) -> float:
    """Carry all of them with so many workers, and return the seconds that it took."""
    starts = Starts()

    def carry_all(line: Line, some: Sequence[Scan]) -> None:
        for one in some:
            carry(line, starts, one)

    with ExitStack() as stack:
        lines = [stack.enter_context(closing(Line(url))) for _ in range(workers)]
        began = time.monotonic()
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(carry_all, lines, [scans[n::workers] for n in range(workers)]))
        return time.monotonic() - began


def bare(*, older: bool) -> Carry:
    """Return the loop of three requests that believes every answer."""

    def carry(line: Line, starts: Starts, scan: Scan) -> None:
        place = _imported(line, starts, scan, older=older)
        _archived(line, place, scan)
        _written(line, f"/data/projects/{PROJECT}/subjects/{scan.subject}", older=older)

    return carry


def proved(*, older: bool) -> Carry:
    """Return the loop that asks for a proof of each step."""

    def carry(line: Line, starts: Starts, scan: Scan) -> None:
        known = {**BY_UID, "columns": "ID,project,label,UID", "UID": scan.uid}
        _must(scan.uid not in line.ask("GET", "/data/experiments", known), "it is there already")
        starts.wait()
        place = _imported(line, starts, scan, older=older)
        if not older:
            _must("READY" in line.ask("GET", f"/data{place}", {"format": "json"}), "not ready")
        _must(scan.uid in line.ask("GET", f"/data{place}", {"format": "xml"}), "another study")
        _must("DICOM" in line.ask("GET", f"/data{place}/resources", {"format": "json"}), "no files")
        path = _archived(line, place, scan)
        if older:
            proof = line.ask("GET", "/data/experiments", {**BY_UID, "columns": PROOF, "UID": scan.uid})
            values = {"project": PROJECT, "label": scan.subject, "columns": VALUES, "format": "json"}
            where, asked = "/data/subjects", values
        else:
            proof = line.ask("GET", path, {"format": "json"})
            where, asked = f"/data/projects/{PROJECT}/subjects/{scan.subject}", {"format": "json"}
        _must(scan.uid in proof, "the archived session is another")
        session = f"/archive{path.removeprefix('/data/archive').removeprefix('/data')}"
        fields = {"src": session, "field": "PatientAge", "format": "json"}
        _must("054Y" in line.ask("GET", "/data/services/dicomdump", fields), "no age")
        _must(scan.subject in line.ask("GET", where, asked), "no subject")
        _written(line, f"/data/projects/{PROJECT}/subjects/{scan.subject}", older=older)
        _must("1970-01-01" in line.ask("GET", where, asked), "not written")

    return carry


def _imported(line: Line, starts: Starts, scan: Scan, *, older: bool) -> str:
    place = starts.place()
    query = {"dest": place, "session": place.rpartition("/")[2], **({} if older else NEWER)}
    line.ask("POST", "/data/services/import", query, scan.content, media=ZIP)
    return place


def _archived(line: Line, place: str, scan: Scan) -> str:
    query = {"src": place, "session": f"{scan.subject}_MR", "subject": scan.subject}
    return line.ask("POST", "/data/services/archive", query)


def _written(line: Line, path: str, *, older: bool) -> None:
    if older:
        line.ask("PUT", path, WRITTEN)
    else:
        line.ask("PUT", path, {"req_format": "form"}, urlencode(WRITTEN).encode(), media=FORM)


def _must(found: bool, otherwise: str) -> None:  # noqa: FBT001 - a condition
    if not found:
        raise RuntimeError(otherwise)
