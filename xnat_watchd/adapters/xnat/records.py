"""XNAT's records in our words: rows, sessions, scans with their counts, subjects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from xnat_watchd.adapters.xnat.answers import Node, SessionXml, count
from xnat_watchd.core.delivery import Holding, Place, PrearchiveRow, Scan, Subject
from xnat_watchd.core.errors import NotYet, Permanent, Transient
from xnat_watchd.core.escapes import unescaped

Cells = Mapping[str, str]

JSON = {"format": "json"}  #: without it some answers are pages (F123)
DEMOGRAPHIC_TAGS = {"(0010,1010)": "PatientAge", "(0010,0030)": "PatientBirthDate", "(0010,0040)": "PatientSex"}
STUDY_UID = "(0020,000D)"

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_CUSTOM = "fields/field"
_DATABASE_KEY = "xnat_abstractdemographicdata_id"  #: a key of XNAT's database among the demographics


def path(*segments: str) -> str:
    """Build a path whose segments stay segments, whatever stands in them."""
    for one in segments:
        if one in {"", ".", ".."}:  # XNAT would be asked for something else
            raise Permanent("a name is empty or only dots, and XNAT cannot be asked for it")
    return "/data/" + "/".join(quote(one, safe="") for one in segments)


def place_path(place: Place, *below: str) -> str:
    """Return the path of a prearchive row, or of something below it."""
    return path("prearchive", "projects", place.project, place.timestamp, place.folder, *below)


def is_dicom(resource: str) -> bool:
    """Whether XNAT keeps DICOM files under this label (F64)."""
    return resource.lower() in {"dicom", "secondary"}


def row_at(place: Place, rows: Sequence[Cells]) -> PrearchiveRow | None:
    """Find the row of a place in a table."""
    ours = (place.project, place.timestamp, place.folder)
    for one in rows:
        if (one.get("project"), one.get("timestamp"), one.get("folderName")) == ours:
            if not one.get("status"):
                raise Transient("XNAT lists our prearchive row without a status")
            return PrearchiveRow(place, one["status"], one.get("subject", ""), one.get("tag", ""))
    return None


def row_holding(session: SessionXml, resources: Sequence[Cells]) -> Holding:
    """Put together what a prearchive row holds: UIDs from its XML, counts from its resources (F176)."""
    counts, labels = _counted(resources), _labels(resources)
    scans = [Scan(one, uid, counts.pop(one, 0), labels.get(one, ())) for one, uid in session.scans.items()]
    # Nothing that lies there is overlooked.
    scans += [Scan(one, "", files, labels.get(one, ())) for one, files in counts.items()]
    return Holding(session.study_uid, tuple(scans))


def session_holding(session: Node, resources: Sequence[Cells] | None) -> Holding | None:
    """Put together what a session holds. None if the item has no counts and there is no table of resources."""
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
    """Read a header dump, None where it names no study. `NotYet` where it names another one (F210).

    It names none where XNAT has no file to read, or one whose elements are all of unknown type.
    """
    top = {one.get("tag1", ""): unescaped(one.get("value", "")) for one in rows if not one.get("tag2")}
    said = top.get(STUDY_UID, "").strip("\0 ")
    if not _UID.fullmatch(said):
        return None
    if said != study_uid:
        raise NotYet("the header dump was another session's")
    return {name: top[tag] for tag, name in wanted.items() if tag in top}


def subject(node: Node, project: str) -> Subject:
    """Read a subject's item; its label is the one in this project. XNAT escapes values on the way in (F41, F122)."""
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
    """Whether an item has this label in this project, as its own or as a shared one (F235).

    A GET takes accession IDs too, of any project (F221).
    """
    return label in {node.fields.get("label"), _label_in(node, project)}


def _label_in(node: Node, project: str) -> str:
    """Return the label of a thing in a project: its own, or the one that it is shared there under (F235)."""
    own = node.fields.get("label", "")
    if node.fields.get("project", project) == project:
        return own
    shares = node.children.get("sharing/share", ())
    return next((one.fields.get("label", own) for one in shares if one.fields.get("project") == project), own)


def values_to_write(fields: Mapping[str, str], demographics: Mapping[str, str]) -> dict[str, str]:
    """Return a subject's values by their paths. Empty ones change nothing at best (F42)."""
    named = {f"xnat:subjectData/fields/field[name={name}]/field": value for name, value in fields.items()}
    person = "xnat:subjectData/demographics[@xsi:type=xnat:demographicData]"
    named |= {f"{person}/{name}": value for name, value in demographics.items()}
    return {name: value for name, value in named.items() if value}


def _scans(session: Node) -> tuple[Node, ...]:
    return session.children.get("scans/scan", ())


def _files(scan: Node) -> int | None:
    """Count a scan's DICOM files; None where XNAT has not counted them (F259)."""
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
    """Add up DICOM files by scan ID. `NotYet` where XNAT has not counted them (F259)."""
    total: Counter[str] = Counter()
    for one in resources:
        if one.get("category") != "scans" or not is_dicom(one.get("label", "")):
            continue
        files = count(one.get("file_count", ""))
        if files is None:
            raise NotYet("XNAT has not counted the files yet")
        total[one.get("cat_id", "")] += files
    return total
