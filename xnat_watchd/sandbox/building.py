"""Building a session from received files: one scan per series, as the prearchive does it (F143, F177)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from .dicom import SESSION_KINDS, ObjectHeader, leading
from .site import Site, folder_name, touch
from .store import StoredFile, StoredRow, StoredScan, StoredSession


def session_of(row: StoredRow, *, by_number: bool = False) -> StoredSession | None:
    """Return the session that the files of a row form, None where it has no files. `by_number`: see `scans_of`.

    Files that form no session of a known kind become a session of no kind. Only the streaming importer lets them
    come here; the importer SI drops them before (F69, F76).
    """
    files = row.files
    if not files:
        return None
    modality = leading([file.header for file in files])
    first = min(files, key=lambda file: (*_header_sort_key(file.header, modality, row.tag), file.name))
    kind = f"xnat:{SESSION_KINDS.get(modality, 'otherDicom')}SessionData"
    modality = modality or first.header.modality
    session = StoredSession(row.name, row.subject, first.header.study_uid, kind, modality, first.header)
    for scan in scans_of(files, by_number=by_number):
        session.scans[scan.id] = scan
    return session


def _header_sort_key(header: ObjectHeader, modality: str, study: str) -> tuple[bool, bool, str]:
    """Return the sort key that chooses the header of a session: an object of the row's study and leading modality."""
    return header.study_uid != study, header.leads != modality, header.series_number


def scans_of(files: Iterable[StoredFile], *, by_number: bool = False) -> list[StoredScan]:
    """Return the files as scans, one for each series; where two series share a number, the second has a suffix (F143).

    `by_number`: a series with several numbers becomes a scan for each, and each has all its files, as on 1.6 (F81).
    """
    series: dict[str, list[StoredFile]] = {}
    for file in files:
        series.setdefault(file.header.series_uid, []).append(file)
    scans: dict[str, StoredScan] = {}
    for uid, members in series.items():
        for header in _headers_by_number(members) if by_number else [members[0].header]:
            scan = StoredScan(free_id(scan_id(header), header.modality, scans), uid, header.scan_kind, header)
            scans[scan.id] = scan
            for file in members:
                scan.add(file)
    return list(scans.values())


def _headers_by_number(members: Iterable[StoredFile]) -> Iterable[ObjectHeader]:
    """Return a header for each number that occurs in the files of a series."""
    return {scan_id(file.header): file.header for file in members}.values()


def scan_id(header: ObjectHeader) -> str:
    """Return the preferred ID of a scan: its series number, or its UID where it has none (F143)."""
    return folder_name(header.series_number or header.series_uid)


def free_id(wanted: str, modality: str, taken: Iterable[str]) -> str:
    """Return the ID, or where it is taken the first free one of `1-MR1`, `1-MR2`, ... (F31, F143)."""
    used = set(taken)
    if wanted not in used:
        return wanted
    return next(name for number in count(1) if (name := f"{wanted}-{folder_name(modality)}{number}") not in used)


def build(site: Site, row: StoredRow) -> bool:
    """Build a row, and return whether it is READY with a session; else it is ERROR with a reason in its log."""
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
