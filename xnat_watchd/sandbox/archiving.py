"""Carrying a prearchive row into the archive: labels, conflicts, merging (F27 to F38, F70 to F74, C8 5)."""

from __future__ import annotations

from dataclasses import dataclass
from shutil import rmtree

from .answers import Refused
from .building import free_id
from .site import Site, clean_label, touch
from .store import UNASSIGNED, Experiment, Row, Scan, Session, StoredFile, Subject

EXISTS = "Session already exists, retry with overwrite enabled"
MATCHING = "Session already exists with matching files."
OTHER_UID = "Invalid modification of session UID via archive process."
OTHER_SUBJECT = "Invalid modification of session subject via archive process.: {} Already Exists for another Subject"
OTHER_MODALITY = "Invalid modification of session modality via archive process.  Data may require a manual merge."
IN_PROGRESS = "Session processing may already be in progress: AutoRun.  Concurrent modification is discouraged."
CR_AND_LF = "Description of the status must not contain CR and LF characters."


@dataclass(frozen=True)
class Wish:
    """What a request to archive asks for."""

    subject: str = ""
    session: str = ""
    overwrite: str = ""
    overwrite_files: bool = False
    pipelines: bool = True


@dataclass(frozen=True)
class Switches:
    """What a merge may do (C8 5.3)."""

    merges: bool
    overrides: bool
    overwrites_files: bool


class Conflict(Refused):
    """XNAT holds something that stands in the way: 409 on 1.6.5, and the row becomes CONFLICT."""

    def __init__(self, words: str) -> None:
        super().__init__(409, words)


def archive_row(site: Site, row: Row, user: str, wish: Wish) -> str:
    """Archive a row and give the URI of the session, without the `/data` in front.

    Raises Conflict and leaves the row CONFLICT, or another refusal and leaves it ERROR.
    """
    try:
        experiment, subject = _archive(site, row, user, wish)
    except Refused as refusal:
        row.status = "CONFLICT" if isinstance(refusal, Conflict) else "ERROR"
        row.log.append(refusal.words)
        touch(site, row)
        raise
    return f"/archive/projects/{row.project}/subjects/{subject.label}/experiments/{experiment.label}"


def switches(site: Site, row: Row, wish: Wish) -> Switches:
    """Give what this request may do to an existing session; the dialects differ (F30, C8 5.3)."""
    if site.is_old:
        deletes = wish.overwrite == "delete"
        return Switches(deletes or wish.overwrite == "append", deletes, deletes or wish.overwrite_files)
    overrides = wish.overwrite in {"append", "delete"}
    return Switches(True, overrides, overrides or row.autoarchive == "AutoArchiveOverwrite")  # noqa: FBT003


def conflicts(site: Site, row: Row, subject: Subject, existing: Experiment, may: Switches) -> list[str]:
    """Give every reason against merging this row into that session, the weightiest first."""
    session = row.session
    found = []
    if existing.workflow_ends and existing.workflow_ends > site.now() and not may.overrides:
        found.append(IN_PROGRESS)
    if not may.merges:
        found.append(EXISTS)
    if existing.subject_id != subject.id:
        found.append(OTHER_SUBJECT.format(existing.label))
    if session and existing.session.kind != session.kind:
        found.append(OTHER_MODALITY)
    if session and existing.session.uid != session.uid and not may.overrides:
        found.append(OTHER_UID)
    return found + _scan_conflicts(site, session, existing.session, may)


def find_subject(site: Site, project: str, name: str) -> Subject | None:
    """Find a subject by its label, ignoring case on the newer dialect, else by its id anywhere (C8 5.5, F27)."""
    wanted = clean_label(name)
    for label, subject in site.store.subjects_in(project):
        if label == wanted or (not site.is_old and label.lower() == wanted.lower()):
            return subject
    return site.store.subjects.get(name)


def _archive(site: Site, row: Row, user: str, wish: Wish) -> tuple[Experiment, Subject]:
    session = row.session
    if row.project == UNASSIGNED:
        raise Refused(500, CR_AND_LF)  # F34: "Unable to save new subject" behind it
    if session is None:
        path = f"/data/xnat/prearchive/{row.project}/{row.timestamp}/{row.folder}.xml"
        raise Refused(500, f"java.io.FileNotFoundException: {path} (No such file or directory)")
    subject = _subject(site, row, user, wish)  # made before any conflict is looked for, and it stays (F32)
    label = clean_label(wish.session or row.name)
    existing = site.store.experiment(row.project, label)
    if existing is None:
        existing = _created(site, row, user, subject, label)
    else:
        may = switches(site, row, wish)
        if reasons := conflicts(site, row, subject, existing, may):
            raise Conflict(reasons[0])
        _merge(site, session, existing)
    existing.prearchive_path = f"/data/xnat/prearchive/{row.project}/{row.timestamp}/{row.folder}"
    existing.workflow_ends = site.now() + site.options.pipelines_take if wish.pipelines else None
    _forget(site, row)
    return existing, subject


def _subject(site: Site, row: Row, user: str, wish: Wish) -> Subject:
    name = wish.subject or row.subject
    if not name:
        raise Refused(400 if site.is_old else 500, "Unable to identify subject.")  # F75
    found = find_subject(site, row.project, name)
    if found:
        return found
    subject = Subject(site.store.accession("S"), clean_label(name), row.project, user, site.now())
    site.store.subjects[subject.id] = subject
    return subject


def _created(site: Site, row: Row, user: str, subject: Subject, label: str) -> Experiment:
    session = row.session
    assert session is not None  # noqa: S101 - the caller looked
    empty = Session(label, subject.id, session.uid, session.kind, session.modality, session.header)
    experiment = Experiment(site.store.accession("E"), label, row.project, subject.id, empty, "", user, site.now())
    site.store.experiments[experiment.id] = experiment
    _merge(site, session, experiment)
    return experiment


def _scan_conflicts(site: Site, session: Session | None, existing: Session, may: Switches) -> list[str]:
    """Give the conflicts of single scans: files by name (F73), and one series under two numbers."""
    if session is None:
        return []
    by_uid = {scan.uid: scan for scan in existing.scans.values()}
    for scan in session.scans.values():
        there = by_uid.get(scan.uid)
        if there is None:
            continue
        if there.id != scan.id and not may.overrides and not site.is_old:
            return [f"Session already contains a scan ({there.id}) with the same UID, but a different number."]
        if not may.overwrites_files and {file.name for file in there.files} & {file.name for file in scan.files}:
            return [MATCHING]
    return []


def _merge(site: Site, session: Session, experiment: Experiment) -> None:
    """Move the files of a built session into an archived one, whose UID becomes theirs (F31, capture 291)."""
    target = experiment.session
    target.uid, target.header = session.uid, session.header
    for scan in session.scans.values():
        there = next((one for one in target.scans.values() if one.uid == scan.uid), None)
        if there is None:
            there = Scan(free_id(scan.id, scan.header.modality, target.scans), scan.uid, scan.kind, scan.header)
            there.number = site.store.number("scan")
            target.scans[there.id] = there
        for file in scan.files:
            _move(site, experiment, there, file)


def _move(site: Site, experiment: Experiment, scan: Scan, file: StoredFile) -> None:
    path = site.store.home(experiment) / "SCANS" / scan.id / file.header.resource / file.path.name
    path.parent.mkdir(parents=True, exist_ok=True)
    known = scan.resources.get(file.header.resource)
    if known and file.name in known.files:
        path = known.files[file.name].path
    elif path.exists():
        path = path.with_name(f"{site.store.number('file')}_{path.name}")
    file.path.replace(path)
    scan.add(StoredFile(file.name, path, file.header, file.size))
    resource = scan.resources[file.header.resource]
    resource.number = resource.number or site.store.number("resource")


def _forget(site: Site, row: Row) -> None:
    """Take a row and its folder away."""
    site.store.rows.pop(row.key, None)
    rmtree(site.store.place(row), ignore_errors=True)
