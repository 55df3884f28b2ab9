"""Making a session of received files: one scan per series, as the build in the prearchive does (F143, F177)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from .dicom import SESSION_KINDS, ObjectHeader, leading
from .site import Site, folder_name, touch
from .store import StoredFile, StoredRow, StoredScan, StoredSession


def session_of(row: StoredRow, *, by_number: bool = False) -> StoredSession | None:
    """Return the session that these files make; None where there are none. `by_number`: see `scans_of`.

    The importer SI has left out what makes none (F69, F76); the streaming one keeps it, as a session of no kind.
    """
    files = row.files
    if not files:
        return None
    modality = leading([file.header for file in files])
    first = min(files, key=lambda file: (*_order(file.header, modality, row.tag), file.name))
    kind = f"xnat:{SESSION_KINDS.get(modality, 'otherDicom')}SessionData"
    modality = modality or first.header.modality
    session = StoredSession(row.name, row.subject, first.header.study_uid, kind, modality, first.header)
    for scan in scans_of(files, by_number=by_number):
        session.scans[scan.id] = scan
    return session


def _order(header: ObjectHeader, modality: str, study: str) -> tuple[bool, bool, str]:
    """Return what decides which object speaks for the session: one of the row's own study that leads it."""
    return header.study_uid != study, header.leads != modality, header.series_number


def scans_of(files: Iterable[StoredFile], *, by_number: bool = False) -> list[StoredScan]:
    """Group files by series; a number that two series share gets a suffix for the second (F143).

    `by_number`: a series under several numbers is a scan for each, and each holds all its files, as on 1.6 (F81).
    """
    series: dict[str, list[StoredFile]] = {}
    for file in files:
        series.setdefault(file.header.series_uid, []).append(file)
    scans: dict[str, StoredScan] = {}
    for uid, members in series.items():
        for header in _numbered(members) if by_number else [members[0].header]:
            scan = StoredScan(free_id(scan_id(header), header.modality, scans), uid, header.scan_kind, header)
            scans[scan.id] = scan
            for file in members:
                scan.add(file)
    return list(scans.values())


def _numbered(members: Iterable[StoredFile]) -> Iterable[ObjectHeader]:
    """Return a header for each number that the files of a series bear."""
    return {scan_id(file.header): file.header for file in members}.values()


def scan_id(header: ObjectHeader) -> str:
    """Return the id a scan would like: its series number, else its UID (F143)."""
    return folder_name(header.series_number or header.series_uid)


def free_id(wanted: str, modality: str, taken: Iterable[str]) -> str:
    """Return the id, or the first free of `1-MR1`, `1-MR2`, ... (F31, F143)."""
    used = set(taken)
    if wanted not in used:
        return wanted
    return next(name for number in count(1) if (name := f"{wanted}-{folder_name(modality)}{number}") not in used)


def build(site: Site, row: StoredRow) -> bool:
    """Build a row: READY with a session, or ERROR with a reason; says which."""
    session = session_of(row, by_number=site.is_old)
    touch(site, row)
    if session is None:
        row.status, row.session = "ERROR", None
        row.log.append("Unable to build the session: there are no files")
        return False
    row.session, row.status, row.tag = session, "READY", session.uid
    row.uploaded = row.uploaded or site.now()
    row.scan_date = f"{session.header.date} 00:00:00.0" if session.header.date else ""
    row.scan_time = session.header.time
    return True
