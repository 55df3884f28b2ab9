"""GET /data/services/dicomdump: the header of one file of a session or scan (F24, F211)."""

from __future__ import annotations

import html
import re

from pydicom.datadict import dictionary_description, dictionary_has_tag, dictionary_VR, tag_for_keyword

from . import answers
from .answers import Refused, Reply
from .dicom import text_of
from .headers import Element, UnreadableError, elements
from .request import Request
from .site import Site
from .store import StoredFile

LONGEST_VALUE = 255
HEX_TAG = re.compile(r"[0-9A-Fa-f]{8}")
SCAN = r"(?:/scans/(?P<scan>[^/]+)(?:/resources/[^/]+/files/(?P<file>[^/]+)|/.*)?)?"
PREARCHIVED = re.compile(rf"/prearchive/projects/(?P<project>[^/]+)/(?P<stamp>[^/]+)/(?P<folder>[^/]+){SCAN}")
ARCHIVED = re.compile(
    rf"/archive/projects/(?P<project>[^/]+)(?:/subjects/[^/]+)?/experiments/(?P<experiment>[^/]+){SCAN}"
)
TEXTS = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)


def dump(site: Site, request: Request) -> Reply:
    """Return the requested elements, or all; none for an unknown source."""
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
    """Return the first file below a source; None for a source that begins with `/data` (F24)."""
    if found := PREARCHIVED.fullmatch(src):
        files = _prearchived(site, request, found["project"], found["stamp"], found["folder"])
    elif found := ARCHIVED.fullmatch(src):
        files = _archived(site, request, found["project"], found["experiment"])
    else:
        return None
    fits = (file for scan, file in files if found["scan"] in {None, scan} and found["file"] in {None, file.name})
    return next(fits, None)


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
    return [
        (scan.id, file)
        for scan in experiment.session.scans.values()
        for resource in scan.resources.values()
        if resource.label == "DICOM" or not site.is_old  # 1.6 never looks into `secondary` (F79)
        for file in resource.files.values()
    ]


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
