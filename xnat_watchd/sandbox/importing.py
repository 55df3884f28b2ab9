"""The destination of an upload, by its request and by its headers (F11, F12, F16, F66, F135, F142)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import answers
from .answers import Refused, Reply
from .dicom import ObjectHeader
from .request import Parameters
from .site import Site, escaped
from .store import UNASSIGNED

NOTHING_PARSABLE = "Upload did not include parseable files for session generation."
PREARCHIVE = re.compile(
    r"(?:/data)?/prearchive(?:/projects/(?P<project>[^/]+)(?:/(?P<stamp>[^/]+)(?:/(?P<folder>[^/]+))?)?)?/?"
)
ARCHIVE = re.compile(
    r"(?:/data)?/archive(?:/projects/(?P<project>[^/]+)(?:/subjects/(?P<subject>[^/]+)(?:/experiments/(?P<session>[^/]+))?)?)?/?"
)
ROUTED = re.compile(r"\b(Project|Subject|Session|AA):\s*([^\s,;]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Destination:
    """The destination and the labels of an upload; a value is empty where the request leaves it to XNAT."""

    project: str = ""
    subject: str = ""
    session: str = ""
    stamp: str = ""
    folder: str = ""
    to_prearchive: bool = False
    to_archive: bool = False
    overwrite: str = ""


def destination(site: Site, query: Parameters) -> Destination:
    """Return the destination that `dest` and the label parameters name (F135)."""
    dest = query.get("dest")
    in_prearchive = PREARCHIVE.fullmatch(dest)
    in_archive = ARCHIVE.fullmatch(dest)
    named = in_prearchive or in_archive
    if dest and not named:
        raise Refused(500 if site.is_old else 400)
    found = named.groupdict() if named else {}
    only_ids = site.is_old and query.get("import-handler") == "DICOM-zip"
    return Destination(
        project=found.get("project") or query.get("PROJECT_ID", *([] if only_ids else ["project"])),
        subject=_label(site, found.get("subject") or query.get("SUBJECT_ID", *([] if only_ids else ["subject"]))),
        session=_label(site, found.get("session") or query.get("EXPT_LABEL", *([] if only_ids else ["session"]))),
        stamp="" if only_ids else found.get("stamp") or query.get("PREARC_TIMESTAMP"),
        folder="" if only_ids else found.get("folder") or query.get("PREARC_SESSION_FOLDER"),
        to_prearchive=bool(in_prearchive),
        to_archive=bool(in_archive),
        overwrite=query.get("overwrite"),
    )


def value_in_comments(header: ObjectHeader, key: str) -> str:
    """Return the value of `Project`, `Subject`, `Session` or `AA` in a comment of the header, or "" (F12, F142)."""
    for comment in (header.patient_comments, header.study_comments, header.history):
        for name, value in ROUTED.findall(comment):
            if name.lower() == key.lower():
                return str(value)
    return ""


def routed_project(site: Site, header: ObjectHeader) -> str:
    """Return the project that the header names, or Unassigned (F141)."""
    candidates = (value_in_comments(header, "Project"), header.study_description, header.accession)
    return next((name for name in candidates if name in site.store.projects), UNASSIGNED)


def places_reply(lines: list[str]) -> Reply:
    """Return the answer to an import: each place once, after `/data` unless it is a direct one (F10, F138)."""
    return answers.uris(dict.fromkeys(line if line.startswith("/xapi/") else f"/data{line}" for line in lines))


def _label(site: Site, value: str) -> str:
    return escaped(value, letters_too=site.is_old)
