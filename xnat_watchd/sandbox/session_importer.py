"""The importer SI: the upload is unpacked whole, then sorted into sessions (F9 to F20, F64 to F76, C8 3.7)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shutil import rmtree

from .answers import Answer, Refused
from .archiving import Wish, archive_row
from .building import build, scan_id
from .dicom import REPORTS, Header, leading, read_header
from .headers import NoPreambleError, UnreadableError
from .importing import NOTHING_PARSABLE, Destination, landed, routed
from .request import Request
from .site import Site, folder_name
from .store import UNASSIGNED, Row, StoredFile
from .zipstream import BrokenZipError, entries

NO_SYNTAX = 'Cannot invoke "String.equals(Object)" because the transfer syntax is null'
SEVERAL = "Upload included files for multiple imaging sessions."
MATCHING = "Session already exists with matching files."
OTHER_STUDY = "Invalid modification of session UID via archive process."


@dataclass(frozen=True)
class Unpacked:
    """One file of the upload, unpacked under a name of our own."""

    name: str
    path: Path
    header: Header


def take(site: Site, request: Request, spool: Path, dest: Destination) -> Answer:
    """Sort an upload that lies in the cache into sessions, and give their places."""
    folder = site.store.spool()
    folder.mkdir()
    try:
        studies = sessions_in(unpacked(spool, folder))
        if len(studies) > 1 and not dest.to_prearchive:
            raise Refused(400, SEVERAL)
        with site.lock:
            project = _project(site, request.user, dest)
            rows = _register(site, studies, project, dest)
            return landed([_onward(site, request, row, dest) for row in rows])
    finally:
        rmtree(folder, ignore_errors=True)


def unpacked(spool: Path, folder: Path) -> list[Unpacked]:
    """Unpack every DICOM file of a ZIP; what follows a break in the ZIP is not there (F14)."""
    found: list[Unpacked] = []
    lacks_preamble = False
    with spool.open("rb") as stream, suppress(BrokenZipError):
        for number, entry in enumerate(entries(stream.read)):
            path = folder / f"{number:08d}"
            with path.open("wb") as file:
                for piece in entry.pieces():
                    file.write(piece)
            try:
                found.append(Unpacked(entry.name, path, read_header(path)))
            except NoPreambleError:
                lacks_preamble = True
            except UnreadableError:
                path.unlink()  # clutter is skipped without a word
    if lacks_preamble and not found:
        raise Refused(500, NO_SYNTAX)  # F76
    return found


def sessions_in(files: list[Unpacked]) -> list[list[Unpacked]]:
    """Group files by study and leave out what 1.6.5 leaves out; refuses where nothing remains."""
    studies: dict[str, list[Unpacked]] = {}
    for file in files:
        if not is_left_out(file):
            studies.setdefault(file.header.study_uid, []).append(file)
    kept = [study for study in studies.values() if leading([file.header for file in study])]
    if not kept:
        raise _nothing(files)
    return kept


def is_left_out(file: Unpacked) -> bool:
    """Whether the object is dropped without a word: a structured report whose name has no extension.

    The reports of p04 have none and are dropped, those of p11 end in `.SR` and are kept (F64, F65, F77). An extension
    holds a letter; the last number of a UID is none.
    """
    suffix = PurePosixPath(file.name).suffix
    return file.header.sop_class.startswith(REPORTS) and not any(one.isalpha() for one in suffix)


def _nothing(files: list[Unpacked]) -> Refused:
    """Give the refusal of an upload of which no session comes: captures only (F69), or no images at all (F76)."""
    others = [file for file in files if not file.header.is_primary and file.header.modality not in {"CT", "MR", "PT"}]
    return Refused(500, "Premature end of file.") if others else Refused(400, NOTHING_PARSABLE)


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


def _register(site: Site, studies: list[list[Unpacked]], project: str, dest: Destination) -> list[Row]:
    stamp = dest.stamp or site.stamp()
    rows = []
    for study in studies:
        folder = dest.folder or _free_folder(site, project, stamp, study[0].header)
        row = site.store.rows.get((project, stamp, folder))
        if row is None:
            row = _new_row(site, (project, stamp, folder), study[0].header, dest)
        else:
            _check_merge(site, row, study, dest)
        _store(site, row, study)
        rows.append(row)
    return rows


def _free_folder(site: Site, project: str, stamp: str, header: Header) -> str:
    """Give the folder of a study: its PatientID, with `_1` where that is taken (F11, F12)."""
    name = folder_name(routed(header, "Session") or header.patient_id or header.study_uid)
    names = (name, *(f"{name}_{number}" for number in range(1, 1000)))
    return next(one for one in names if (project, stamp, one) not in site.store.rows)


def _new_row(site: Site, key: tuple[str, str, str], header: Header, dest: Destination) -> Row:
    project, stamp, folder = key
    known = site.store.projects.get(project)
    row = Row(
        project, stamp, folder,
        name=dest.session or routed(header, "Session") or header.patient_id,
        subject=dest.subject or routed(header, "Subject") or header.patient_name,
        tag=header.study_uid, status="READY", lastmod=site.now(),
        autoarchive=known.autoarchive if known else "Manual",
    )  # fmt: skip
    site.store.rows[row.key] = row
    return row


def _check_merge(site: Site, row: Row, study: list[Unpacked], dest: Destination) -> None:
    """Refuse another study in a taken place, and the same files again unless told to overwrite (F66)."""
    if row.tag != study[0].header.study_uid:
        raise Refused(409 if site.is_old else 400, OTHER_STUDY)
    there = {(scan_id(file.header), file.name) for file in row.files}
    again = any((scan_id(file.header), PurePosixPath(file.name).name) in there for file in study)
    if again and dest.overwrite != "delete":
        raise Refused(409, MATCHING)


def _store(site: Site, row: Row, study: list[Unpacked]) -> None:
    """Move the files to their scans and build the row."""
    for file in study:
        add_file(site, row, file)
    build(site, row)


def add_file(site: Site, row: Row, file: Unpacked) -> None:
    """Move a file to its scan; the same name replaces the same object and makes way for another one."""
    wanted = PurePosixPath(file.name.replace("\\", "/")).name or file.header.sop_uid
    scan = scan_id(file.header)
    there = {one.name: one for one in row.files if scan_id(one.header) == scan}
    name = _free_name(wanted, file.header.sop_uid, there)
    if name in there:
        row.files.remove(there[name])
        there[name].path.unlink()
    path = _free_path(site, site.store.place(row) / "SCANS" / scan / file.header.resource / safe_name(name))
    file.path.replace(path)
    row.files.append(StoredFile(name, path, file.header, path.stat().st_size))


def _free_name(wanted: str, sop_uid: str, there: dict[str, StoredFile]) -> str:
    holder = there.get(wanted)
    if holder is None or holder.header.sop_uid == sop_uid:
        return wanted
    return f"{sop_uid}.dcm"


def _free_path(site: Site, path: Path) -> Path:
    """Give the path, or one beside it where two names became one on disk; its folder is there then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{site.store.number('file')}_{path.name}") if path.exists() else path


def safe_name(name: str) -> str:
    """Make a name that is safe on this disk; what XNAT lists is the name as it came."""
    kept = "".join(one if one.isalnum() or one in "._- " else "_" for one in name)[:120]
    return kept if kept.strip(". ") else f"_{kept}"


def _onward(site: Site, request: Request, row: Row, dest: Destination) -> str:
    """Leave a row where it is, or archive it where the request or the project's policy says so (F16)."""
    if dest.to_prearchive or not (dest.to_archive or row.autoarchive != "Manual"):
        return row.uri
    wish = Wish(dest.subject, dest.session, dest.overwrite, overwrite_files=False)
    return archive_row(site, row, request.user, wish)
