"""The importer DICOM-zip: it stores each object as it arrives, without a transaction (F17, F148, F151, F153)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .answers import Refused, Reply
from .archiving import archive_row
from .building import build
from .dicom import ObjectHeader, read_header
from .headers import UnreadableError
from .importing import Destination, places_reply, routed_project, value_in_comments
from .merging import ArchiveRequest, ArchiveRoute
from .placing import add_file
from .request import Request
from .site import Site, folder_name, touch
from .store import UNASSIGNED, ReceivedFile, StoredProject, StoredRow
from .tracking import final_message, track
from .unpacking import is_filtered
from .zipstream import BrokenZipError, PieceReader, StreamEntry, entries

OTHER_STUDY = "A session for another study exists in the requested prearchive location"
FAILED_PARTWAY = (
    "An import into this session failed partway, so it may be missing files. "
    "Importing the study again adds them. The import failed with:"
)
MAX_DEPTH = 4  # of ZIPs inside ZIPs
UNREADABLE_ZIP = "unable to read data from file"


@dataclass
class Upload:
    """One upload in progress: its request, its destination, and the rows to which it has added files."""

    site: Site
    request: Request
    dest: Destination
    skips_unreadable: bool
    commits: bool
    rows: list[StoredRow] = field(default_factory=list)
    last_fault: str = ""


def import_stream(site: Site, request: Request, dest: Destination) -> Reply:
    """Store each object of the stream, commit where the request asks for it, and return the places.

    Objects that came before an error stay, in rows that are still RECEIVING.
    """
    asked = request.query.get("action") == "commit"
    upload = Upload(
        site, request, dest,
        skips_unreadable=request.query.flag("Ignore-Unparsable", default=asked),
        commits=not site.is_old and (asked or dest.to_prearchive or dest.to_archive),
    )  # fmt: skip
    try:
        _store_all(upload, request.body.read, MAX_DEPTH)
    except BrokenZipError as error:
        _mark_failed(upload, str(error))
        raise Refused(400, f"{UNREADABLE_ZIP}: {error}") from error
    except Refused as refusal:
        _mark_failed(upload, refusal.words)
        raise
    if upload.last_fault and not upload.rows:
        raise Refused(400, upload.last_fault)
    return places_reply(_report_places(upload, _finish(upload)))


def _report_places(upload: Upload, lines: list[str]) -> list[str]:
    """Tell the listener where the sessions are; without commit it gets neither success nor failure (F145)."""
    if not upload.site.is_old:
        tracked = track(upload.site, upload.request, upload.request.query)
        tracked.end(final_message(lines), succeeded=True if upload.commits else None)
    return lines


def _store_all(upload: Upload, read: Callable[[int], bytes], depth: int) -> None:
    """Store every object of a ZIP and of the ZIPs inside it (F133)."""
    for entry in entries(read):
        if entry.is_folder:
            continue
        if depth and entry.name.endswith(".zip"):
            inner = PieceReader(entry.pieces())
            _store_all(upload, inner.read, depth - 1)
            inner.drain()
        else:
            _store_entry(upload, entry)


def _mark_failed(upload: Upload, words: str) -> None:
    """Tell the listener that the upload failed, and mark its rows where the options ask for it (F159)."""
    track(upload.site, upload.request, upload.request.query).end(words, succeeded=False)
    if upload.site.options.marks_failed_imports:
        with upload.site.lock:
            for row in upload.rows:
                row.status = "ERROR"
                row.log.append(f"{FAILED_PARTWAY} {words}")


def _store_entry(upload: Upload, entry: StreamEntry) -> None:
    path = upload.site.store.spool()
    try:
        with path.open("wb") as file:
            for piece in entry.pieces():
                file.write(piece)
        header = read_header(path)
        if not is_filtered(upload.site, header):
            with upload.site.lock:
                _store(upload, ReceivedFile(entry.name, path, header))
    except UnreadableError as error:
        upload.last_fault = f"unable to read DICOM object {entry.name}: {error}"
        if not upload.skips_unreadable:
            raise Refused(400, upload.last_fault) from error
    finally:
        path.unlink(missing_ok=True)


def _store(upload: Upload, file: ReceivedFile) -> None:
    row = _row_for(upload, file.header)
    row.status = "RECEIVING_INTERRUPT" if row.status in {"BUILDING", "RECEIVING_INTERRUPT"} else "RECEIVING"
    touch(upload.site, row)
    add_file(upload.site, row, file)
    if row not in upload.rows:
        upload.rows.append(row)


def _row_for(upload: Upload, header: ObjectHeader) -> StoredRow:
    """Return the row of this project, study and session name, whatever its status, or a new one (F168)."""
    site, dest = upload.site, upload.dest
    project = _project(upload, header)
    name = dest.session or folder_name(value_in_comments(header, "Session") or header.patient_id) or "dicom_upload"
    if direct := _direct_entry(upload, project, name, header):
        return direct
    for row in site.store.rows_of(project):
        if (row.tag, row.name) == (header.study_uid, name):
            return row
    for row in upload.rows:
        if (row.project, row.tag) == (project, header.study_uid) and row.name.startswith(f"{name}_"):
            return row  # its name was given a suffix when it was created
    stamp = dest.stamp or next((row.timestamp for row in upload.rows), "") or site.stamp()
    wanted = dest.folder or name.replace("/", "_")
    folder = _free_folder(site, (project, stamp, wanted), header, asked=bool(dest.stamp and dest.folder))
    row = _new_row(upload, (project, stamp, folder), name + folder.removeprefix(wanted), header)
    site.store.rows[row.key] = row
    return row


def _direct_entry(upload: Upload, project: str, name: str, header: ObjectHeader) -> StoredRow | None:
    """Return the entry of an upload that goes straight into the archive, None where that is impossible (F161)."""
    site = upload.site
    asked = upload.request.query.flag("Direct-Archive") and not site.is_old
    if not asked or project == UNASSIGNED or site.store.experiment(project, name):
        return None
    key = (project, header.study_uid, name)
    if key not in site.store.direct:
        place = (project, site.stamp(), name.replace("/", "_"))
        site.store.direct[key] = _new_row(upload, place, name, header)
        site.store.direct[key].is_direct = True
    return site.store.direct[key]


def _project(upload: Upload, header: ObjectHeader) -> str:
    """Return the project in the request, or by routing where it is missing or the user may not edit it (F141)."""
    site, user = upload.site, upload.request.user
    wanted = upload.dest.project
    if wanted in site.store.projects and site.may_edit(user, wanted):
        return wanted
    found = routed_project(site, header)
    return found if site.may_edit(user, found) else UNASSIGNED


def _free_folder(site: Site, key: tuple[str, str, str], header: ObjectHeader, *, asked: bool) -> str:
    """Return the folder, with a suffix where it is taken; refuse a requested place of another study (F150)."""
    project, stamp, folder = key
    taken = site.store.rows.get(key)
    if taken is None:
        return folder
    if asked and taken.tag != header.study_uid:
        raise Refused(400, OTHER_STUDY)
    return next(
        name for number in range(1, 1000) if (project, stamp, name := f"{folder}_{number}") not in site.store.rows
    )


def _new_row(upload: Upload, key: tuple[str, str, str], name: str, header: ObjectHeader) -> StoredRow:
    site, query = upload.site, upload.request.query
    known = site.store.projects.get(key[0])
    person = header.patient_name if site.is_old else folder_name(header.patient_name)
    return StoredRow(
        *key, name=name, subject=upload.dest.subject or value_in_comments(header, "Subject") or person,
        tag=header.study_uid, status="RECEIVING", lastmod=site.now(),
        autoarchive=_autoarchive_of(site, header, known),
        scan_date=f"{header.date} 00:00:00.0" if header.date else "",
        prevent_anon=query.flag("prevent_anon"), prevent_auto_commit=query.flag("prevent_auto_commit"),
        source=query.get("SOURCE"), visit=query.get("VISIT"), timezone=query.get("TIMEZONE"),
    )  # fmt: skip


def _autoarchive_of(site: Site, header: ObjectHeader, known: StoredProject | None) -> str:
    """Return whether a row archives itself: as the header says, or as the project's policy does (F142, F166)."""
    said = "" if site.is_old else value_in_comments(header, "AA").lower()
    by_project = known.autoarchive if known else ""
    return {"true": "AutoArchive", "false": "Manual"}.get(said, by_project)


def _finish(upload: Upload) -> list[str]:
    """Build the rows, and archive them if asked for, where the request commits; return the places."""
    if not upload.commits:
        return [row.uri for row in upload.rows]
    with upload.site.lock:
        return [row.uri if row.is_direct else _commit(upload, row) for row in upload.rows]


def _commit(upload: Upload, row: StoredRow) -> str:
    site, query, dest = upload.site, upload.request.query, upload.dest
    if not build(site, row):
        raise Refused(400, row.log[-1])
    asked = query.flag("AA") or query.flag("auto-archive") or dest.to_archive or row.archives_itself
    stays = dest.to_prearchive and not (site.options.archives_anyway and row.archives_itself)
    if stays or not asked or row.project == UNASSIGNED:
        return row.uri
    wanted = ArchiveRequest(
        dest.subject, dest.session, dest.overwrite, query.flag("overwrite_files"), route=ArchiveRoute.IMPORT
    )
    try:
        return archive_row(site, row, upload.request.user, wanted)
    except Refused as refusal:
        raise Refused(400, f"unable to archive {row.uri}: {refusal.words}") from refusal
