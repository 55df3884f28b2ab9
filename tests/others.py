"""What other people and programs do to an XNAT that we work with too: plain HTTP, nothing of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from tests.sandbox.kit import Visitor
from tests.station import Station, Time
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatGateway, XnatServer
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.sandbox import Options, Sandbox
from xnat_watchd.sandbox.building import build
from xnat_watchd.sandbox.dicom import read_header
from xnat_watchd.sandbox.placing import add_file
from xnat_watchd.sandbox.store import ReceivedFile, StoredFile

STAMP = "20240131_101112001"


def sent_by_others(
    xnat: Sandbox,
    folder: str,
    content: bytes,
    *,
    project: str = "P1",
    stamp: str = STAMP,
    ready: bool = True,
    who: tuple[str, str] = ("tech", "secret"),
) -> str:
    """Put a study into a project's prearchive as a DICOM sender does; return its address there."""
    address = f"/prearchive/projects/{project}/{stamp}/{folder}"
    with Visitor(xnat, *who) as other:
        other.sent(content, dest=address, session=folder)
        if ready and not other.is_old:
            other.ask("POST", f"/data{address}", params={"action": "build"})
    if not ready:
        xnat._site.store.rows[(project, stamp, folder)].status = "RECEIVING"
    return address


def mixed_by_others(xnat: Sandbox, row: tuple[str, str, str], content: bytes) -> None:
    """Put images of a study of theirs into a row of somebody else's, as who moves files on the server does."""
    sent_by_others(xnat, "theirs", content)
    with xnat._site.lock:
        rows = xnat._site.store.rows
        theirs, target = rows.pop(("P1", STAMP, "theirs")), rows[row]
        for file in theirs.files:
            add_file(xnat._site, target, ReceivedFile(f"theirs_{file.name}", file.path, file.header))
        build(xnat._site, target)


def archived_by_others(
    xnat: Sandbox, folder: str, content: bytes, subject: str, session: str, *, who: tuple[str, str] = ("tech", "secret")
) -> None:
    """Put a study into the archive of P1 under these labels."""
    address = sent_by_others(xnat, folder, content, who=who)
    with Visitor(xnat, *who) as other:
        other.archived(address, subject=subject, session=session)


def entered_by_others(xnat: Sandbox, subject: str, who: tuple[str, str] = ("tech", "secret"), **values: str) -> None:
    """Enter demographics of a subject of P1 by hand; a subject that is not there is made."""
    with Visitor(xnat, *who) as other:
        assert other.put(f"/data/projects/P1/subjects/{subject}", values).ok


def restored_without(xnat: Sandbox, *sop_uids: str) -> None:
    """Take instances out of the archive, as a server does that was restored from a backup before they came."""
    with xnat._site.lock:
        store = xnat._site.store
        for one in [*store.experiments.values()]:
            for scan in one.session.scans.values():
                for resource in scan.resources.values():
                    for name, file in [*resource.files.items()]:
                        if file.header.sop_uid in sop_uids:
                            del resource.files[name]
            for path in [path for path in store.session_folder(one).rglob("*") if path.is_file()]:
                if read_header(path).sop_uid in sop_uids:
                    path.unlink()
            one.session.scans = {name: scan for name, scan in one.session.scans.items() if scan.files}
            if not one.session.scans:
                del store.experiments[one.id]


def exchanged_by_others(xnat: Sandbox, sop_uid: str, content: bytes, project: str = "") -> bool:
    """Remove an archived image, of one project or any, and add another to its series, as a person may file by file.

    Return whether there was any.
    """
    found_any = False
    with xnat._site.lock:
        for one in xnat._site.store.experiments.values():
            for resource in (found for scan in one.session.scans.values() for found in scan.resources.values()):
                for name, file in [*resource.files.items()]:
                    if file.header.sop_uid == sop_uid and project in {"", one.project}:
                        found_any = True
                        file.path.write_bytes(content)
                        header = read_header(file.path)
                        resource.files[f"{header.sop_uid}.dcm"] = StoredFile(
                            f"{header.sop_uid}.dcm", file.path, header, len(content)
                        )
                        del resource.files[name]
    return found_any


@contextmanager
def beside_others(
    folder: Path,
    dialect: str,
    rules: Callable[[], ProjectRules],
    options: Options | None = None,
    **station_options: Any,
) -> Iterator[tuple[Sandbox, XnatGateway, Station]]:
    """Yield an XNAT with two projects, a gateway to it, and a workstation that works through this gateway."""
    with Sandbox(folder / "xnat", dialect, users={"tech": "secret"}, projects=["P1", "P2"], options=options) as xnat:
        server = XnatServer(xnat.url, user="tech", password=Secret("secret"), clock=SystemClock(), stop=Event())
        gateway = server.gateway()
        station = Station(folder / "watchd", gateway, Time(), rules=lambda _: rules(), **station_options)
        yield xnat, gateway, station
        station.close()
        server.close()
