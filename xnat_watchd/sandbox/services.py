"""The services beside the resources: archive, header dump, versions (C8 5, 6; F24, F27 to F39)."""

from __future__ import annotations

import html
import re

from pydicom.datadict import dictionary_description, dictionary_has_tag, dictionary_VR, tag_for_keyword

from . import answers
from .answers import Answer, Refused
from .archiving import Conflict, Wish, archive_row, conflicts, find_subject, switches
from .dicom import text_of
from .headers import Element, UnreadableError, elements
from .prearchive import COLUMNS, cells, find
from .request import Parameters, Request
from .site import Site, clean_label, escaped
from .store import UNASSIGNED, Row, StoredFile

LONGEST_VALUE = 255
HEX_TAG = re.compile(r"[0-9A-Fa-f]{8}")
SCAN = r"(?:/scans/(?P<scan>[^/]+)(?:/.*)?)?"
PREARCHIVED = re.compile(rf"/prearchive/projects/(?P<project>[^/]+)/(?P<stamp>[^/]+)/(?P<folder>[^/]+){SCAN}")
ARCHIVED = re.compile(
    rf"/archive/projects/(?P<project>[^/]+)(?:/subjects/[^/]+)?/experiments/(?P<experiment>[^/]+){SCAN}"
)
TEXTS = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)


def version(site: Site, _: Request) -> Answer:
    """GET /data/version: 1.6 only (F2, C8 2)."""
    if site.is_old:
        return answers.text("1.6.5")
    raise Refused(404)


def build_info(site: Site, request: Request) -> Answer:
    """GET /xapi/siteConfig/buildInfo: newer servers only (F8, C8 2)."""
    if site.is_old:
        words = request.path.replace("/", "&#47;")
        return answers.tomcat_page(404, f"The requested resource [{words}] is not available")
    return answers.as_json({"version": site.options.version, "buildNumber": "1", "isDirty": "false"})


def archive(site: Site, request: Request) -> Answer:
    """POST /data/services/archive (C8 5.1, 5.2, F27, F28)."""
    query = request.query + request.form()
    sources = _sources(site, query)
    with site.lock:
        rows = [_source(site, request, src) for src in sources]
        if len(rows) > 1:
            return _archive_several(site, request, rows)
        project = query.get("project")
        if site.is_old and project and project not in site.store.projects:
            raise Refused(500)
        return _archive_one(site, request, rows[0], _wish(site, query))


def _sources(site: Site, query: Parameters) -> list[str]:
    sources = query.all("src")
    if not sources and "PREARC_TIMESTAMP" in query:
        names = ("project", "PREARC_TIMESTAMP", "PREARC_SESSION_FOLDER")
        sources = ["/prearchive/projects/" + "/".join(query.get(name) for name in names)]
    if not sources:
        raise Refused(500, "Index 0 out of bounds for length 0") if site.is_old else Refused(404)
    return sources


def _source(site: Site, request: Request, src: str) -> Row:
    """Find the row of a source, with the refusals that come before the job (C8 5.4, F28)."""
    if src.removeprefix("/data").startswith("/archive/"):
        raise Refused(400, f"Invalid src URI ({src})")
    row = find(site, src)
    bare = src.removeprefix("/data")
    project = bare.split("/")[3]
    if project != UNASSIGNED and project not in site.store.projects:
        raise Refused(500)
    if not site.may_edit(request.user, project):
        raise Refused(403, bare)
    if row is None:
        raise Refused(404, f"{bare} not found.")
    if row.is_locked:
        raise Refused(423 if site.is_old else 403, "Operation already in progress on this prearchive entry.")
    return row


def _wish(site: Site, query: Parameters) -> Wish:
    return Wish(
        escaped(query.get("subject"), letters_too=site.is_old),
        escaped(query.get("session", "label", "EXPT_LABEL"), letters_too=site.is_old),
        query.get("overwrite"),
        query.flag("overwrite_files") and site.is_old,
        query.flag("triggerPipelines", default=True),
    )


def _archive_one(site: Site, request: Request, row: Row, wish: Wish) -> Answer:
    folder = row.folder
    try:
        return answers.uris(["/data" + archive_row(site, row, request.user, wish)])
    except Refused as refusal:
        if site.is_old:
            if not isinstance(refusal, Conflict) and row.session is None:
                row.status = "ARCHIVING"  # F33: stuck until it is built
            raise
        raise Refused(500, f"FAILED: Unable to archive {folder}: Operation Failed: {refusal.words}") from refusal


def _archive_several(site: Site, request: Request, rows: list[Row]) -> Answer:
    """Archive several rows: the answer is a table of how they looked when it began (F28, C8 5.2)."""
    shown = [{**cells(row), "status": "ARCHIVING"} for row in rows]
    wish = Wish(overwrite=request.query.get("overwrite"), overwrite_files=request.query.flag("overwrite_files"))
    for row in rows:
        try:
            archive_row(site, row, request.user, wish)
        except Refused:
            continue  # the row and its log say why
    return answers.xml_table(shown, COLUMNS)


def validate(site: Site, request: Request) -> Answer:
    """POST /data/services/validate-archive: the conflicts that archiving would meet (C8 5.6, capture 279)."""
    query = request.query + request.form()
    row = _source(site, request, query.get("src"))
    wish = _wish(site, query)
    subject = find_subject(site, row.project, wish.subject or row.subject)
    existing = site.store.experiment(row.project, clean_label(wish.session or row.name))
    found = conflicts(site, row, subject, existing, switches(site, row, wish)) if subject and existing else []
    rows = [{"code": number, "type": "CONFLICT", "message": words} for number, words in enumerate(found, 1)]
    return answers.xml_table(rows, ("code", "type", "message"))


def dump(site: Site, request: Request) -> Answer:
    """GET /data/services/dicomdump: the header of one file of a session or scan (C8 6, F24)."""
    src = request.query.get("src")
    if not src:
        raise Refused(400, "Please set the src parameter")
    wanted = [_tag(name) for name in request.query.all("field")]
    if len(set(wanted)) < len(wanted):
        raise Refused(400, "repeated DICOM attribute tag")
    file = _file_at(site, request, src)
    return answers.table(_dump_rows(file, set(wanted)) if file else [])


def _tag(name: str) -> int:
    if HEX_TAG.fullmatch(name):
        return int(name, 16)
    tag = tag_for_keyword(name)
    if tag is None:
        raise Refused(400, f"not a valid DICOM attribute tag: {name}")
    return int(tag)


def _file_at(site: Site, request: Request, src: str) -> StoredFile | None:
    """Find the first file below a source; a source that begins with `/data` gives nothing (F24)."""
    if found := PREARCHIVED.fullmatch(src):
        files = _prearchived(site, request, found["project"], found["stamp"], found["folder"])
    elif found := ARCHIVED.fullmatch(src):
        files = _archived(site, request, found["project"], found["experiment"])
    else:
        return None
    return next((file for scan, file in files if found["scan"] in {None, scan}), None)


def _prearchived(site: Site, request: Request, project: str, stamp: str, folder: str) -> list[tuple[str, StoredFile]]:
    if not site.may_edit(request.user, project):
        words = f"user {request.user} does not have create permissions for project {project}"
        words = f"This user has insufficient privileges for the data type '{words}'."
        raise Refused(500, words) if site.is_old else Refused(404)
    row = site.store.rows.get((project, stamp, folder))
    if row is None or row.session is None:
        raise Refused(404, f"/data/xnat/prearchive/{project}/{stamp}/{folder}.xml (No such file or directory)")
    return [(scan.id, file) for scan in row.session.scans.values() for file in scan.files]


def _archived(site: Site, request: Request, project: str, name: str) -> list[tuple[str, StoredFile]]:
    experiment = site.store.experiment(project, name)
    if experiment is None or not site.may_read(request.user, project):
        raise Refused(400 if site.is_old else 404, "Experiment or project not found")
    return [(scan.id, file) for scan in experiment.session.scans.values() for file in scan.files]


def _dump_rows(file: StoredFile, wanted: set[int]) -> list[dict[str, str]]:
    try:
        return [
            _dump_row(element, file.header.charset)
            for element in elements(file.path)
            if element.value is not None and (not wanted or element.tag in wanted)
        ]
    except UnreadableError:
        return []


def _dump_row(element: Element, charset: str) -> dict[str, str]:
    known = dictionary_has_tag(element.tag)
    vr = element.vr or (dictionary_VR(element.tag) if known else "UN")
    value = text_of(element, charset) if vr in TEXTS else "\\".join(f"{one:02X}" for one in element.value or b"")
    return {
        "tag1": f"({element.tag >> 16:04X},{element.tag & 0xFFFF:04X})",
        "tag2": "",
        "vr": vr,
        "value": html.escape(value[:LONGEST_VALUE]),
        "desc": dictionary_description(element.tag) if known else "?",
    }
