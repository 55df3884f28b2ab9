"""Convert XNAT's records to ours: rows, sessions, scans with their counts, subjects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from xnat_watchd.adapters.xnat.answers import Node, SessionXml, count
from xnat_watchd.core.delivery import Holding, Place, PrearchiveRow, Scan, Subject
from xnat_watchd.core.demographics import WRITTEN
from xnat_watchd.core.errors import NotYet, Permanent, Transient
from xnat_watchd.core.escapes import unescaped

Cells = Mapping[str, str]

JSON = {"format": "json"}  #: without it some answers are HTML pages (F123)
DEMOGRAPHIC_TAGS = {attribute.written_tag: attribute.keyword for attribute in WRITTEN}
STUDY_UID = "(0020,000D)"

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_CUSTOM = "fields/field"
_DATABASE_KEY = "xnat_abstractdemographicdata_id"  #: a database key that XNAT lists among the demographics


def path(*segments: str) -> str:
    """Return a URL path. Each segment is quoted, so it stays one segment whatever it contains."""
    for one in segments:
        if one in {"", ".", ".."}:  # it would change what the path points to
            raise Permanent("a name is empty or only dots, and XNAT cannot be asked for it")
    return "/data/" + "/".join(quote(one, safe="") for one in segments)


def place_path(place: Place, *below: str) -> str:
    """Return the URL path of a prearchive row, or of something below it."""
    return path("prearchive", "projects", place.project, place.timestamp, place.folder, *below)


def is_dicom(resource: str) -> bool:
    """Return whether XNAT keeps DICOM files under this resource label (F64)."""
    return resource.lower() in {"dicom", "secondary"}


def is_counted(files: str, resource: str) -> bool:
    """Return whether XNAT has counted the files of a resource, or it is not of images."""
    return count(files) is not None or not is_dicom(resource)


def row_at(place: Place, rows: Sequence[Cells]) -> PrearchiveRow | None:
    """Return the row of a place in a table, or None."""
    ours = (place.project, place.timestamp, place.folder)
    for one in rows:
        if (one.get("project"), one.get("timestamp"), one.get("folderName")) == ours:
            if not one.get("status"):
                raise Transient("XNAT lists our prearchive row without a status")
            return PrearchiveRow(place, one["status"], one.get("subject", ""), one.get("tag", ""))
    return None


def row_outline(session: SessionXml) -> Holding | None:
    """Return what a row's XML tells by itself: UIDs, and where its files are; None if a scan names no resource.

    The table of resources comes from the same build (F177): all that it adds are counts.
    """
    labels = {one: tuple(filter(is_dicom, session.labels.get(one, ()))) for one in session.scans}
    if not all(labels.values()):
        return None
    scans = tuple(Scan(one, uid, 0, labels[one]) for one, uid in session.scans.items())
    return Holding(session.study_uid, scans, session.subject)


def row_holding(session: SessionXml, resources: Sequence[Cells]) -> Holding:
    """Return what a prearchive row holds: UIDs from its XML, counts from its resources (F176)."""
    counts, labels = _counted(resources), _labels(resources)
    scans = [Scan(one, uid, counts.pop(one, 0), labels.get(one, ())) for one, uid in session.scans.items()]
    # Files of a scan that the XML does not list are counted too.
    scans += [Scan(one, "", files, labels.get(one, ())) for one, files in counts.items()]
    return Holding(session.study_uid, tuple(scans), session.subject)


def session_holding(session: Node, resources: Sequence[Cells] | None) -> Holding | None:
    """Return what a session holds, or None if the item has no counts and there is no table of resources."""
    if resources is None:
        files = [_files(scan) for scan in _scans(session)]
        if None in files:
            return None
        counts = [n or 0 for n in files]
    else:
        by_scan = _counted(resources)
        counts = [by_scan[scan.fields.get("ID", "")] for scan in _scans(session)]
    scans = tuple(
        Scan(scan.fields.get("ID", ""), scan.fields.get("UID", ""), n)
        for scan, n in zip(_scans(session), counts, strict=True)
    )
    return Holding(session.fields.get("UID", ""), scans)


def header_values(
    rows: Sequence[Cells], study_uid: str, wanted: Mapping[str, str] = DEMOGRAPHIC_TAGS
) -> dict[str, str] | None:
    """Return the values of a header dump, or None if it names no study. Raise `NotYet` if it names another (F210).

    It names none if XNAT has no file to read, or one whose elements are all of unknown type.
    """
    top = {one.get("tag1", ""): unescaped(one.get("value", "")) for one in rows if not one.get("tag2")}
    said = top.get(STUDY_UID, "").strip("\0 ")
    if not _UID.fullmatch(said):
        return None
    if said != study_uid:
        raise NotYet("the header dump was another session's")
    return {name: top[tag] for tag, name in wanted.items() if tag in top}


def subject(node: Node, project: str) -> Subject:
    """Return a subject, with its label in this project. XNAT escapes values when it stores them (F41, F122)."""
    fields = {
        one.fields["name"].lower(): unescaped(one.fields.get("field", ""))
        for one in node.children.get(_CUSTOM, ())
        if one.fields.get("name")
    }
    demographics = {
        name: unescaped(value)
        for one in node.children.get("demographics", ())
        for name, value in one.fields.items()
        if name.lower() != _DATABASE_KEY
    }
    return Subject(
        id=node.fields.get("ID", ""),
        label=_label_in(node, project),
        fields=fields,
        demographics=demographics,
    )


def is_known_as(node: Node, project: str, label: str) -> bool:
    """Return whether an item has this label in this project, as its own or as a shared one (F235).

    This must be checked, because a GET also accepts accession IDs of any project (F221).
    """
    return label in {node.fields.get("label"), _label_in(node, project)}


def _label_in(node: Node, project: str) -> str:
    """Return the label of an item in a project: its own, or the label of its share there (F235)."""
    own = node.fields.get("label", "")
    if node.fields.get("project", project) == project:
        return own
    shares = node.children.get("sharing/share", ())
    return next((one.fields.get("label", own) for one in shares if one.fields.get("project") == project), own)


def values_to_write(fields: Mapping[str, str], demographics: Mapping[str, str]) -> dict[str, str]:
    """Return a subject's values by their XNAT paths, without empty ones, which at best change nothing (F42)."""
    named = {f"xnat:subjectData/fields/field[name={name}]/field": value for name, value in fields.items()}
    person = "xnat:subjectData/demographics[@xsi:type=xnat:demographicData]"
    named |= {f"{person}/{name}": value for name, value in demographics.items()}
    return {name: value for name, value in named.items() if value}


def _scans(session: Node) -> tuple[Node, ...]:
    return session.children.get("scans/scan", ())


def _files(scan: Node) -> int | None:
    """Return the number of a scan's DICOM files, or None if XNAT has not counted them (F259)."""
    listed = scan.children.get("file", ())
    counts = [count(one.fields.get("file_count", "")) for one in listed if is_dicom(one.fields.get("label", ""))]
    if not listed or None in counts:
        return None
    return sum(n or 0 for n in counts)


def _labels(resources: Sequence[Cells]) -> Mapping[str, tuple[str, ...]]:
    """Return the labels of each scan's DICOM resources."""
    found: dict[str, dict[str, None]] = {}
    for one in resources:
        if one.get("category") == "scans" and is_dicom(one.get("label", "")):
            found.setdefault(one.get("cat_id", ""), {})[one["label"]] = None
    return {scan: tuple(labels) for scan, labels in found.items()}


def _counted(resources: Sequence[Cells]) -> Counter[str]:
    """Return the number of DICOM files by scan ID. Raise `NotYet` if XNAT has not counted them (F259)."""
    total: Counter[str] = Counter()
    for one in resources:
        if one.get("category") != "scans" or not is_dicom(one.get("label", "")):
            continue
        files = count(one.get("file_count", ""))
        if files is None:
            raise NotYet("XNAT has not counted the files yet")
        total[one.get("cat_id", "")] += files
    return total
