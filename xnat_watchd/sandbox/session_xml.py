"""Sessions, subjects and projects as XML (F22, F123)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from xml.sax import saxutils

from .dicom import ELEMENTS, ObjectHeader
from .parameters import as_xml, parameters
from .store import Experiment, StoredProject, StoredScan, StoredSession, StoredSubject

SCHEMAS = {
    "arc": "project/project.xsd", "ext": "ext/ext.xsd", "val": "validation/protocolValidation.xsd",
    "pipe": "pipeline/repository.xsd", "workflow": "pipeline/workflow.xsd", "scr": "screening/screeningAssessment.xsd",
    "security": "security/security.xsd", "catalog": "catalog/catalog.xsd", "prov": "birn/birnprov.xsd",
    "xnat": "xnat/xnat.xsd", "xnat_assessments": "assessments/assessments.xsd",
}  # fmt: skip
PREFIXES = {"workflow": "wrk", "security": "xdat", "catalog": "cat", "xnat_assessments": "xnat_a"}
LOCATED = ("workflow", "catalog", "pipe", "scr", "ext", "arc", "val", "xnat", "xnat_assessments", "prov", "security")
UNWRITABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


@dataclass(frozen=True)
class SessionContext:
    """What the XML says of a session beside its content: ID, project, label, subject, the prearchive path, its folder.

    `home` is the folder of an archived session, empty for a session in the prearchive.
    """

    id: str
    project: str
    label: str
    subject: str
    path: str
    home: str = ""


def context_of(experiment: Experiment) -> SessionContext:
    """Return the context of an archived session."""
    one = experiment
    home = f"/data/xnat/archive/{one.project}/arc001/{one.label}"
    return SessionContext(one.id, one.project, one.label, one.subject_id, one.prearchive_path, home)


def session_xml(session: StoredSession, context: SessionContext, site: str = "", *, located: bool = True) -> str:
    """Return the XML of a session; `site` is the URL of the schemas' site, for an archived session.

    `located`: the XML names the locations of its schemas, which a row on 1.6.4 does not (F287).
    """
    name = element_name(session)
    named = namespace_attributes(site) if located else _namespaces_without_locations()
    return _document([*_session(name, session, context, named), f"</xnat:{name}>"])


def subject_xml(subject: StoredSubject, experiments: list[Experiment], site: str) -> str:
    """Return the XML of a subject with its sessions (F123)."""
    head = f"<xnat:Subject ID={quoteattr(subject.id)} project={quoteattr(subject.project)}"
    lines = [f"{head} label={quoteattr(subject.label)} {namespace_attributes(site)}>"]
    if subject.demographics:
        values = [_element(name, str(value)) for name, value in subject.demographics.items()]
        lines += ['<xnat:demographics xsi:type="xnat:demographicData">', *values, "</xnat:demographics>"]
    if experiments:
        lines.append("<xnat:experiments>")
        for one in experiments:
            kind = f"xsi:type={quoteattr(one.session.kind)}"
            lines += [*_session("experiment", one.session, context_of(one), kind), "</xnat:experiment>"]
        lines.append("</xnat:experiments>")
    return _document([*lines, "</xnat:Subject>"])


def project_xml(project: StoredProject, site: str) -> str:
    """Return the XML of a project (F123)."""
    name = quoteattr(project.id)
    head = f"<xnat:Project ID={name} secondary_ID={name} {namespace_attributes(site)}>"
    lines = [head, _element("name", project.name), _element("description", project.description), "</xnat:Project>"]
    return _document(lines)


def namespace_attributes(site: str) -> str:
    """Return the namespaces and the locations of their schemas: below the site, or beside the file."""
    base = f"{site}/schemas/" if site else ""
    places = " ".join(f"{namespace(name)} {base}{SCHEMAS[name]}" for name in LOCATED)
    return f'{_declarations(SCHEMAS)} xsi:schemaLocation="{places}"'


def _namespaces_without_locations() -> str:
    return _declarations(name for name in SCHEMAS if name != "ext")


def _declarations(schemas: Iterable[str]) -> str:
    known = " ".join(f'xmlns:{PREFIXES.get(name, name)}="{namespace(name)}"' for name in schemas)
    return f'{known} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def namespace(name: str) -> str:
    """Return the namespace of a schema."""
    return f"http://{'www.nbirn.net' if name == 'prov' else 'nrg.wustl.edu'}/{name}"


def element_name(session: StoredSession) -> str:
    """Return the name of the outermost element: `CTSession`, `OtherDicomSession`, ..."""
    kind = session.kind.removeprefix("xnat:").removesuffix("SessionData")
    return f"{ELEMENTS.get(kind, kind.upper())}Session"


def _document(lines: list[str]) -> str:
    return "\n".join(line for line in [HEAD, *lines] if line) + "\n"


def _session(name: str, session: StoredSession, context: SessionContext, more: str) -> list[str]:
    """Return the lines of a session without its closing tag."""
    header = session.header
    kind = f"session_type={quoteattr(header.study_description)} " if header.study_description else ""
    labels = f"ID={quoteattr(context.id)} project={quoteattr(context.project)} label={quoteattr(context.label)}"
    return [
        f"<xnat:{name} {labels} {kind}modality={quoteattr(session.modality)} UID={quoteattr(session.uid)} {more}>",
        _element("date", header.date),
        _element("time", header.time),
        _element("acquisition_site", header.institution),
        _element("subject_ID", context.subject),
        _scanner(header),
        _element("prearchivePath", context.path),
        "<xnat:scans>",
        *(line for scan in session.scans.values() for line in _scan(scan, context, _folder(session, scan, context))),
        "</xnat:scans>",
        _element("dcmPatientId", header.patient_id),
        _element("dcmPatientName", header.patient_name),
    ]


def _folder(session: StoredSession, scan: StoredScan, context: SessionContext) -> str:
    """Return the scan whose folder holds the files of this one: in a row, the first scan of its series (F81)."""
    return scan.id if context.home else next(one.id for one in session.scans.values() if one.uid == scan.uid)


def _scan(scan: StoredScan, context: SessionContext, folder: str) -> list[str]:
    archived = bool(context.home)
    kind = f"type={quoteattr(scan.header.series_description)} " if archived else ""
    return [
        f"<xnat:scan ID={quoteattr(scan.id)} {kind}UID={quoteattr(scan.uid)} xsi:type={quoteattr(scan.kind)}>",
        *([_element("image_session_ID", context.id), _element("quality", "usable")] if archived else []),
        _element("series_description", scan.header.series_description),
        _scanner(scan.header),
        _element("frames", str(scan.frames)),
        *(_catalog(scan, label, context.home, folder) for label in scan.resources),
        _element("startTime", scan.header.clock),
        *as_xml(parameters(scan), archived=archived),
        "</xnat:scan>",
    ]


def _catalog(scan: StoredScan, label: str, home: str, folder: str) -> str:
    resource = scan.resources[label]
    counts = f' file_count="{len(resource.files)}" file_size="{resource.size}"' if home else ""
    return (
        f"<xnat:file label={quoteattr(label)}{counts} URI={quoteattr(catalog_path(scan, label, home, folder))} "
        'format="DICOM" content="RAW" xsi:type="xnat:resourceCatalog"/>'
    )


def catalog_path(scan: StoredScan, label: str, home: str, folder: str = "") -> str:
    """Return the path of a scan's catalog; it keeps the number that the scan had before it was renamed."""
    name = f"SCANS/{folder or scan.id}/{label}/scan_{scan.header.series_number or scan.id}_catalog.xml"
    return f"{home}/{name}" if home else name


def _scanner(header: ObjectHeader) -> str:
    given = {"manufacturer": header.manufacturer, "model": header.model}
    values = "".join(f" {name}={quoteattr(value)}" for name, value in given.items() if value)
    content = saxutils.escape(UNWRITABLE.sub("", header.station))
    return f"<xnat:scanner{values}>{content}</xnat:scanner>" if values or content else ""


def quoteattr(value: str) -> str:
    """Return a quoted attribute value without the characters that XML does not allow."""
    return saxutils.quoteattr(UNWRITABLE.sub("", value))


def _element(name: str, value: str) -> str:
    content = saxutils.escape(UNWRITABLE.sub("", value))
    return f"<xnat:{name}>{content}</xnat:{name}>" if value else ""
