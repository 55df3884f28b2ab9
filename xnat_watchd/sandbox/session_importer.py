"""The importer SI: it unpacks the whole upload, then sorts it into sessions (F9 to F20, F64 to F76, F162)."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from shutil import rmtree

from .answers import Refused, Reply
from .archiving import archive_row, find_subject
from .building import build, scan_id
from .collisions import add_foreign_files, cache_of, lose_to_other_import
from .dicom import ObjectHeader, read_header
from .importing import Destination, places_reply, value_in_comments
from .merging import ArchiveRequest, ArchiveRoute
from .placing import add_file
from .request import Request
from .rewriting import anonymise
from .site import Site, folder_name
from .store import UNASSIGNED, ReceivedFile, StoredRow
from .unpacking import is_filtered, sessions_in, unpacked

SEVERAL = "Upload included files for multiple imaging sessions."
MATCHING = "Session already exists with matching files."
OTHER_STUDY = "Invalid modification of session UID via archive process."


def import_file(site: Site, request: Request, spool: Path, dest: Destination) -> Reply:
    """Sort an upload in the cache into sessions, and return their places."""
    folder = site.store.spool()
    folder.mkdir()
    cache = cache_of(site, request.user, folder)
    try:
        files = [file for file in unpacked(site, spool, folder) if not is_filtered(site, file.header)]
        if cache.folder != folder:
            lose_to_other_import(site, cache, files)
        studies = sessions_in(site, files)
        too_many = len(studies) > 1 and not dest.to_prearchive
        if too_many and site.is_old:
            raise Refused(400, SEVERAL)
        with site.lock:
            project = _project(site, request.user, dest)
            try:
                rows = _register(site, studies, project, dest)
            except Refused:
                leave_behind(site, dest, [file for file in files if file.path.exists()], "ERROR")
                raise
            add_foreign_files(site, cache, rows[0])
            if too_many:
                raise Refused(400, SEVERAL)  # but the sessions stay in the prearchive (F162)
            return places_reply([_archive_if_asked(site, request, row, dest) for row in rows])
    finally:
        rmtree(folder, ignore_errors=True)


def leave_behind(site: Site, dest: Destination, files: list[ReceivedFile], status: str) -> None:
    """Keep the files that 1.6 wrote below a requested timestamp and did not move to their place (F87).

    1.6 first writes to a folder that is named by the PatientID. At the next start of the server, that folder is a row.
    """
    if not (site.is_old and dest.stamp and files):
        return
    folder = _free_folder(site, dest.project, dest.stamp, files[0].header)
    row = _make_row(site, (dest.project, dest.stamp, folder), files[0].header, Destination())
    row.status = status
    for file in files:
        add_file(site, row, file)
    site.left_behind.append(row)


def _project(site: Site, user: str, dest: Destination) -> str:
    if not dest.project:
        return UNASSIGNED
    if dest.project not in site.store.projects:
        raise Refused(500, f"java.io.IOException: No project named {dest.project}")
    if not site.may_edit(user, dest.project):
        raise Refused(
            403,
            "org.nrg.xft.exception.InvalidPermissionException: This user has insufficient privileges for the data "
            f"type 'user {user} does not have create permissions for project {dest.project}'.",
        )
    return dest.project


def _register(site: Site, studies: list[list[ReceivedFile]], project: str, dest: Destination) -> list[StoredRow]:
    stamp = dest.stamp or site.stamp()
    rows = []
    for study in studies:
        folder = dest.folder or _free_folder(site, project, stamp, study[0].header)
        row = site.store.rows.get((project, stamp, folder))
        if row is None:
            row = _add_row(site, (project, stamp, folder), study[0].header, dest)
        else:
            _check_merge(site, row, study, dest)
        _store(site, row, study)
        rows.append(row)
    return rows


def _free_folder(site: Site, project: str, stamp: str, header: ObjectHeader) -> str:
    """Return the folder of a study: its PatientID, with a suffix such as `_1` where it is taken (F11, F12)."""
    name = folder_name(header.patient_id or header.study_uid)
    names = (name, *(f"{name}_{number}" for number in range(1, 1000)))
    taken = {*site.store.rows, *(row.key for row in site.left_behind)}
    return next(one for one in names if (project, stamp, one) not in taken)


def _add_row(site: Site, key: tuple[str, str, str], header: ObjectHeader, dest: Destination) -> StoredRow:
    row = _make_row(site, key, header, dest)
    site.store.rows[row.key] = row
    return row


def _make_row(site: Site, key: tuple[str, str, str], header: ObjectHeader, dest: Destination) -> StoredRow:
    project, stamp, folder = key
    known = site.store.projects.get(project)
    return StoredRow(
        project, stamp, folder,
        name=dest.session or value_in_comments(header, "Session") or header.patient_id,
        subject=dest.subject or value_in_comments(header, "Subject") or header.patient_name,
        tag=header.study_uid, status="READY", lastmod=site.now(),
        autoarchive=known.autoarchive if known else "Manual",
    )  # fmt: skip


def _check_merge(site: Site, row: StoredRow, study: list[ReceivedFile], dest: Destination) -> None:
    """Refuse another study at a place that is taken, and the same files again unless `overwrite` is set (F66)."""
    if row.tag != study[0].header.study_uid:
        raise Refused(409 if site.is_old else 400, OTHER_STUDY)
    there = row.received.keys()
    again = any((scan_id(file.header), PurePosixPath(file.name).name) in there for file in study)
    if again and dest.overwrite != "delete":
        raise Refused(409, MATCHING)


def _store(site: Site, row: StoredRow, study: list[ReceivedFile]) -> None:
    """Move the files to their scans and build the row."""
    for file in study:
        add_file(site, row, file)
    build(site, row)


def _archive_if_asked(site: Site, request: Request, row: StoredRow, dest: Destination) -> str:
    """Archive a row where the request or the project's policy says so (F16), and return its URI."""
    if dest.to_prearchive or not (dest.to_archive or row.archives_itself):
        return row.uri
    if site.is_old and site.options.anonymises:  # not when it is archived from the prearchive later (F18)
        for file in row.files:
            anonymise(file.path, dest.subject or row.subject, dest.session or row.name)
            file.header, file.size = read_header(file.path), file.path.stat().st_size
    wanted = ArchiveRequest(
        dest.subject, dest.session, dest.overwrite, overwrite_files=False, route=ArchiveRoute.IMPORT
    )
    try:
        return archive_row(site, row, request.user, wanted)
    except Refused:
        if subject := find_subject(site, row.project, dest.subject or row.subject):
            row.subject = subject.id  # the row that stays names its subject by ID (F167)
        raise
