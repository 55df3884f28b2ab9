"""Moving a received file into its scan's folder, under a name that is free there (F73, F163)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from .building import scan_id
from .dicom import read_header
from .rewriting import anonymise, remap
from .site import Site
from .store import ReceivedFile, StoredFile, StoredRow


def add_file(site: Site, row: StoredRow, file: ReceivedFile) -> None:
    """Move a file to its scan.

    It replaces a file of the same name and SOP instance UID. Where the UIDs differ, the new file gets another name.
    """
    file = _run_site_script(site, row, file)
    wanted = PurePosixPath(file.name.replace("\\", "/")).name or file.header.sop_uid
    scan = scan_id(file.header)
    name = _free_name(wanted, file.header.sop_uid, row.received.get((scan, wanted)))
    if replaced := row.received.pop((scan, name), None):
        replaced.path.unlink()
    path = _free_path(site, site.store.row_folder(row) / "SCANS" / scan / file.header.resource / safe_name(name))
    file.path.replace(path)
    row.received[scan, name] = StoredFile(name, path, file.header, path.stat().st_size)


def _run_site_script(site: Site, row: StoredRow, file: ReceivedFile) -> ReceivedFile:
    """Return the file after the site's script, which the newer dialect runs at reception (F147)."""
    if site.is_old or not (site.options.remaps_uids or site.options.anonymises):
        return file
    if site.options.remaps_uids:
        remap(file.path)
    if site.options.anonymises and not row.prevent_anon:
        anonymise(file.path, row.subject, row.name)
    return replace(file, header=read_header(file.path))


def _free_name(wanted: str, sop_uid: str, holder: StoredFile | None) -> str:
    if holder is None or holder.header.sop_uid == sop_uid:
        return wanted
    return f"{sop_uid}.dcm"


def _free_path(site: Site, path: Path) -> Path:
    """Return the path, or another name in its folder where it is taken; create the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{site.store.number('file')}_{path.name}") if path.exists() else path


def safe_name(name: str) -> str:
    """Return a file name that is safe on this disk; XNAT lists the name as it was received."""
    kept = "".join(one if one.isalnum() or one in "._- " else "_" for one in name)[:120]
    return kept if kept.strip(". ") else f"_{kept}"
