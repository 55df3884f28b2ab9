"""The prearchive as clients see it: lists of rows, one session, its scans, files and logs (F21 to F26)."""

from __future__ import annotations

import re
from typing import Any

from . import answers
from .answers import Refused, Reply
from .downloads import zip_of
from .request import Request
from .session_xml import SessionContext, session_xml
from .site import Site, sql_time
from .store import UNASSIGNED, StoredRow, StoredScan

COLUMNS = (
    "project", "timestamp", "lastmod", "uploaded", "scan_date", "scan_time", "subject", "folderName", "name", "tag",
    "status", "url", "autoarchive", "prevent_anon", "prevent_auto_commit", "SOURCE", "VISIT", "PROTOCOL", "TIMEZONE",
)  # fmt: skip
SOURCE = re.compile(r"(?:/data)?/prearchive/projects/(?P<project>[^/]+)/(?P<stamp>[^/]+)/(?P<folder>[^/]+)/?")
QUEUED_STATES = {"delete": "QUEUED_DELETING", "move": "QUEUED_MOVING", "rebuild": "QUEUED_BUILDING"}
SETTABLE = frozenset({"READY", "CONFLICT", "ERROR", "RECEIVING", "BUILDING"})


def cells(row: StoredRow) -> dict[str, Any]:
    """Return the cells of a row in the listing (F21)."""
    return {
        "project": row.project, "timestamp": row.timestamp, "lastmod": sql_time(row.lastmod),
        "uploaded": sql_time(row.uploaded), "scan_date": row.scan_date, "scan_time": row.scan_time,
        "subject": row.subject, "folderName": row.folder, "name": row.name, "tag": row.tag, "status": row.status,
        "url": row.uri, "autoarchive": row.autoarchive, "prevent_anon": row.prevent_anon,
        "prevent_auto_commit": row.prevent_auto_commit, "SOURCE": row.source, "VISIT": row.visit, "PROTOCOL": "",
        "TIMEZONE": row.timezone,
    }  # fmt: skip


def list_rows(site: Site, request: Request) -> Reply:
    """GET /data/prearchive[/projects[/P]] (F21, F23, F171)."""
    rows = list(site.store.rows.values())
    tag = request.query.get("tag")
    wanted = [name for name in request.names.get("project", "").split(",") if name]
    if not site.is_old:
        _check_listing(site, request.user, wanted, tag)
    if wanted:
        all_data = request.user in site.admins and not site.is_old
        rows = [row for row in rows if row.project in wanted or (all_data and row.project == UNASSIGNED)]
        rows = [row for row in rows if site.may_see(request.user, row.project) or request.user in site.admins]
    else:
        rows = [row for row in rows if site.may_edit(request.user, row.project)]
    return answers.table([cells(row) for row in rows if tag in {"", row.tag}])


def _check_listing(site: Site, user: str, wanted: list[str], tag: str) -> None:
    """Refuse a listing as the newer dialect does, with 404 (F171)."""
    if tag and user not in site.admins:
        raise Refused(404)
    for name in wanted:
        readable = site.may_read(user, name) if name != UNASSIGNED else user in site.admins
        if not readable:
            raise Refused(404)


def one_row(site: Site, request: Request) -> Reply:
    """GET one session: its row as a table, or the XML of the last build (F22, F176)."""
    form = request.query.get("format", default="xml")
    row = row_at(site, request)
    if form == "json":
        return answers.table([cells(row)] if row else [])
    if row is None or row.session is None:
        raise Refused(404)
    if form == "zip":
        return zip_of(site, row.session.scans.values(), row.folder)
    path = f"/data/xnat/prearchive/{row.project}/{row.timestamp}/{row.folder}"
    context = SessionContext("", row.project, row.name, row.subject, path)
    return answers.xml(session_xml(row.session, context, located=not site.is_1_6_4))


def scans(site: Site, request: Request) -> Reply:
    """GET .../scans: ID, type and description only (F22)."""
    return answers.table(
        {"ID": scan.id, "xsiType": scan.kind, "series_description": scan.header.series_description}
        for scan in _session_scans(site, request)
    )


def scan(site: Site, request: Request) -> Reply:
    """GET .../scans/S, which cannot answer in JSON (F22)."""
    _session_scans(site, request)
    raise Refused(400, "Requested type application/json is not supported")


def resources(site: Site, request: Request) -> Reply:
    """GET .../resources: the file counts of all scans (F22, F176)."""
    return answers.table(
        {"category": "scans", "cat_id": one.id, **_counts(one, label)}
        for one in _session_scans(site, request)
        for label in one.resources
    )


def scan_resources(site: Site, request: Request) -> Reply:
    """GET .../scans/S/resources (F22)."""
    one = _scan(site, request)
    return answers.table(_counts(one, label) for label in one.resources)


def scan_files(site: Site, request: Request) -> Reply:
    """GET .../scans/S/resources/R/files (F22)."""
    one = _scan(site, request)
    resource = one.resources.get(request.names["resource"])
    if resource is None:
        raise Refused(404)
    base = f"/data{_uri(request)}/scans/{one.id}/resources/{resource.label}/files"
    return answers.table(
        {"Name": file.name, "Size": file.size, "URI": f"{base}/{file.name}"} for file in resource.files.values()
    )


def scan_file(site: Site, request: Request) -> Reply:
    """GET .../scans/S/resources/R/files/NAME: its bytes (F22)."""
    resource = _scan(site, request).resources.get(request.names["resource"])
    file = resource.files.get(request.names["file"]) if resource else None
    if file is None:
        raise Refused(404)
    return Reply(200, file.path, "application/octet-stream")


def logs(site: Site, request: Request) -> Reply:
    """GET .../logs: the log entries of a row, or one of them as text (F184)."""
    row = row_at(site, request)
    entries = row.log if row else []
    if wanted := request.names.get("log"):
        chosen = {**{str(number): entry for number, entry in enumerate(entries, 1)}, "last": "".join(entries[-1:])}
        return answers.text(chosen.get(wanted, ""))
    rows = [{"id": number, "date": "", "entry": entry} for number, entry in enumerate(entries, 1)]
    brief = request.query.get("template", default="details") != "details"
    return answers.table([{"id": row["id"]} for row in rows] if brief else rows)


def find(site: Site, src: str) -> StoredRow | None:
    """Return the row that `src` names, with or without a leading `/data`; None where there is none."""
    found = SOURCE.fullmatch(src)
    if found is None:
        raise Refused(400)
    return site.store.rows.get((found["project"], found["stamp"], found["folder"]))


def row_at(site: Site, request: Request) -> StoredRow | None:
    """Return the row that a path names, None where there is none; refuse a user who may not edit it (F23, F176)."""
    names = request.names
    if names["project"] not in site.store.projects and names["project"] != UNASSIGNED:
        raise Refused(500)
    if not site.may_edit(request.user, names["project"]):
        words = f"user {request.user} does not have create permissions for project {names['project']}"
        raise Refused(403, f"This user has insufficient privileges for the data type '{words}'.")
    return site.store.rows.get((names["project"], names["stamp"], names["folder"]))


def _uri(request: Request) -> str:
    names = request.names
    return f"/prearchive/projects/{names['project']}/{names['stamp']}/{names['folder']}"


def _session_scans(site: Site, request: Request) -> list[StoredScan]:
    """Return the scans of the last build, or refuse with 404 where there was none (F176)."""
    row = row_at(site, request)
    if row is None or row.session is None:
        raise Refused(404)
    return list(row.session.scans.values())


def _scan(site: Site, request: Request) -> StoredScan:
    for one in _session_scans(site, request):
        if one.id == request.names["scan"]:
            return one
    raise Refused(404)


def _counts(one: StoredScan, label: str) -> dict[str, Any]:
    resource = one.resources[label]
    return {"label": label, "file_count": len(resource.files), "file_size": resource.size}
