"""The session XML that a build writes (F22, capture 167)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.sax import saxutils

from .dicom import ELEMENTS
from .store import Scan, Session

SPACES = (
    'xmlns:xnat="http://nrg.wustl.edu/xnat" xmlns:cat="http://nrg.wustl.edu/catalog" '
    'xmlns:xdat="http://nrg.wustl.edu/security" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
UNWRITABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class About:
    """What stands in the XML beside the session: id, project, label, subject and the path it came by."""

    id: str
    project: str
    label: str
    subject: str
    path: str


def session_xml(session: Session, about: About) -> str:
    """Give the XML of a session."""
    name = element_name(session)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        (
            f"<xnat:{name} ID={quoteattr(about.id)} project={quoteattr(about.project)} label={quoteattr(about.label)} "
            f"modality={quoteattr(session.modality)} UID={quoteattr(session.uid)} {SPACES}>"
        ),
        _element("date", session.header.date),
        _element("time", session.header.time),
        _element("subject_ID", about.subject),
        _element("prearchivePath", about.path),
        "<xnat:scans>",
        *(line for scan in session.scans.values() for line in _scan(scan)),
        "</xnat:scans>",
        _element("dcmPatientId", session.header.patient_id),
        _element("dcmPatientName", session.header.patient_name),
        f"</xnat:{name}>",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def element_name(session: Session) -> str:
    """Give the name of the outermost element: `CTSession`, `OtherDicomSession`, ..."""
    kind = session.kind.removeprefix("xnat:").removesuffix("SessionData")
    return f"{ELEMENTS.get(kind, kind.upper())}Session"


def _scan(scan: Scan) -> list[str]:
    head = f"<xnat:scan ID={quoteattr(scan.id)} UID={quoteattr(scan.uid)} xsi:type={quoteattr(scan.kind)}>"
    return [
        head,
        _element("series_description", scan.header.series_description),
        _element("frames", str(scan.frames)),
        *(
            f'<xnat:file label={quoteattr(label)} URI="SCANS/{scan.id}/{label}/scan_{scan.id}_catalog.xml" '
            'format="DICOM" content="RAW" xsi:type="xnat:resourceCatalog"/>'
            for label in scan.resources
        ),
        "</xnat:scan>",
    ]


def quoteattr(value: str) -> str:
    """Quote an attribute; what XML cannot hold is left out."""
    return saxutils.quoteattr(UNWRITABLE.sub("", value))


def _element(name: str, value: str) -> str:
    content = saxutils.escape(UNWRITABLE.sub("", value))
    return f"<xnat:{name}>{content}</xnat:{name}>" if value else ""
