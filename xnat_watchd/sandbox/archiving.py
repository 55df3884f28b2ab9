"""Moving a prearchive row into the archive: labels, conflicts, merging (F27 to F38, F70 to F74)."""

from __future__ import annotations

from dataclasses import dataclass
from shutil import rmtree

from .answers import Refused
from .building import free_id
from .merging import ArchiveRequest, MergeRules, merge_rules
from .site import Site, clean_label, touch
from .store import UNASSIGNED, Experiment, StoredFile, StoredRow, StoredScan, StoredSession, StoredSubject

CODE_NOT_RECORDED = 0


@dataclass(frozen=True)
class ConflictReason:
    """One reason why a row cannot be archived: XNAT's code, text and kind (F202)."""

    code: int
    words: str
    kind: str = "CONFLICT"


EXISTS = ConflictReason(1, "Session already exists, retry with overwrite enabled")
MATCHING = ConflictReason(14, "Session already exists with matching files.")
OTHER_UID = ConflictReason(5, "Invalid modification of session UID via archive process.")
OTHER_SUBJECT = "Invalid modification of session subject via archive process.: {} Already Exists for another Subject"
OTHER_MODALITY = ConflictReason(
    CODE_NOT_RECORDED,
    "Invalid modification of session modality via archive process.  Data may require a manual merge.",
    "FAIL",
)
IN_PROGRESS = ConflictReason(
    CODE_NOT_RECORDED,
    "Session processing may already be in progress: AutoRun.  Concurrent modification is discouraged.",
)
OTHER_NUMBER = "Session already contains a scan ({}) with the same UID, but a different number."
OTHER_SERIES = (
    "Session already contains a scan ({}) with the same number, but a different UID."
    " - New scan will be renamed to {}_1."
)
CR_AND_LF = "Description of the status must not contain CR and LF characters."


class ArchiveConflict(Refused):
    """What the archive already holds prevents the archiving: 409 on 1.6.5, and the row becomes CONFLICT."""

    def __init__(self, words: str) -> None:
        super().__init__(409, words)


def archive_row(site: Site, row: StoredRow, user: str, wanted: ArchiveRequest) -> str:
    """Archive a row and return the URI of the session, without the leading `/data`.

    Raise ArchiveConflict and set the row to CONFLICT, or raise another refusal and set the row to ERROR.
    """
    try:
        experiment, subject = _archive(site, row, user, wanted)
    except Refused as refusal:
        row.status = "CONFLICT" if isinstance(refusal, ArchiveConflict) else "ERROR"
        row.log.append(refusal.words)
        touch(site, row)
        raise
    return f"/archive/projects/{row.project}/subjects/{subject.label}/experiments/{experiment.label}"


def conflicts(
    site: Site, row: StoredRow, subject: StoredSubject, existing: Experiment, rules: MergeRules
) -> list[ConflictReason]:
    """Return every reason why this row cannot be merged into that session, the one that XNAT reports first."""
    session = row.session
    found = []
    if existing.is_in_the_making(site.now()) and not rules.overrides:
        found.append(IN_PROGRESS)
    if not rules.merges:
        found.append(EXISTS)
    if existing.subject_id != subject.id:
        found.append(ConflictReason(4, OTHER_SUBJECT.format(existing.label), "FAIL"))
    if session and existing.session.kind != session.kind:
        found.append(OTHER_MODALITY)
    if session and existing.session.uid != session.uid and not rules.overrides:
        found.append(OTHER_UID)
    return found + (_scan_conflicts(site, session, existing.session, rules) if session else [])


def renamings(row: StoredRow, existing: Experiment) -> list[ConflictReason]:
    """Return the scans that would be renamed, which the preview lists as conflicts too (F202)."""
    there = existing.session.scans
    scans = row.session.scans.values() if row.session else []
    taken = [scan.id for scan in scans if scan.id in there and there[scan.id].uid != scan.uid]
    return [ConflictReason(17, OTHER_SERIES.format(number, number)) for number in taken]


def find_subject(site: Site, project: str, name: str) -> StoredSubject | None:
    """Find a subject by its label, ignoring case on the newer dialect, or by its ID in any project (F27, F199)."""
    wanted = clean_label(name)
    for label, subject in site.store.subjects_in(project):
        if label == wanted or (not site.is_old and label.lower() == wanted.lower()):
            return subject
    return site.store.subjects.get(name)


def _archive(site: Site, row: StoredRow, user: str, wanted: ArchiveRequest) -> tuple[Experiment, StoredSubject]:
    session = row.session
    if row.project == UNASSIGNED:
        raise Refused(500, CR_AND_LF)  # F34: "Unable to save new subject" behind it
    if session is None:
        path = f"/data/xnat/prearchive/{row.project}/{row.timestamp}/{row.folder}.xml"
        raise Refused(500, f"java.io.FileNotFoundException: {path} (No such file or directory)")
    # The subject is created before the conflicts are looked for, and kept in spite of them (F32).
    subject = _find_or_create_subject(site, row, user, wanted)
    label = clean_label(wanted.session or row.name)
    existing = site.store.experiment(row.project, label)
    if existing is None:
        existing = _create_session(site, session, user, subject, (_target_project(site, row, user, wanted), label))
    else:
        rules = merge_rules(site, row, wanted)
        if reasons := conflicts(site, row, subject, existing, rules):
            raise ArchiveConflict(reasons[0].words)
        _merge(site, session, existing)
    existing.prearchive_path = f"/data/xnat/prearchive/{row.project}/{row.timestamp}/{row.folder}"
    existing.workflow_ends = site.now() + site.options.pipelines_take if wanted.pipelines else None
    _delete_row(site, row)
    return existing, subject


def _find_or_create_subject(site: Site, row: StoredRow, user: str, wanted: ArchiveRequest) -> StoredSubject:
    name = wanted.subject or row.subject
    if not name:
        raise Refused(400 if site.is_old else 500, "Unable to identify subject.")  # F75
    found = find_subject(site, row.project, name)
    if found:
        return found
    subject = StoredSubject(site.store.accession("S"), clean_label(name), row.project, user, site.now())
    site.store.subjects[subject.id] = subject
    return subject


def _target_project(site: Site, row: StoredRow, user: str, wanted: ArchiveRequest) -> str:
    """Return the project of the new session: the one in the request, or the row's (F190).

    The subject and the URI in the answer stay with the project of the row.
    """
    if wanted.project and wanted.project not in site.store.projects:
        raise Refused(500)
    if wanted.project and not site.may_edit(user, wanted.project):
        raise Refused(403)
    return wanted.project or row.project


def _create_session(
    site: Site, session: StoredSession, user: str, subject: StoredSubject, place: tuple[str, str]
) -> Experiment:
    """Create an archived session; `place` is its project and label."""
    project, label = place
    empty = StoredSession(label, subject.id, session.uid, session.kind, session.modality, session.header)
    experiment = Experiment(site.store.accession("E"), label, project, subject.id, empty, "", user, site.now())
    site.store.experiments[experiment.id] = experiment
    _merge(site, session, experiment)
    return experiment


def _scan_conflicts(
    site: Site, session: StoredSession, existing: StoredSession, rules: MergeRules
) -> list[ConflictReason]:
    """Return the conflicts of scans: files of the same name in a scan (F73), and one series under two numbers."""
    by_uid = {scan.uid: scan for scan in existing.scans.values()}
    for scan in session.scans.values():
        there = by_uid.get(scan.uid)
        if there and there.id != scan.id and not rules.overrides and not site.is_old:
            return [ConflictReason(CODE_NOT_RECORDED, OTHER_NUMBER.format(there.id))]
        there = there or (existing.scans.get(scan.id) if site.is_old else None)
        names = {file.name for file in scan.files}
        if there and not rules.overwrites_files and names & {file.name for file in there.files}:
            return [MATCHING]
    return []


def _merge(site: Site, session: StoredSession, experiment: Experiment) -> None:
    """Move the files of a built session into an archived one, which takes over its UID (F31)."""
    target = experiment.session
    target.uid, target.header = session.uid, session.header
    before = list(target.scans.values())
    moved: dict[int, StoredFile] = {}  # a file may lie under several scans (F81)
    for scan in session.scans.values():
        there = _scan_of(before, scan)
        if there is None:
            there = StoredScan(free_id(scan.id, scan.header.modality, target.scans), scan.uid, scan.kind, scan.header)
            there.number = site.store.number("scan")
            target.scans[there.id] = there
        for file in scan.files:
            if id(file) not in moved:
                moved[id(file)] = _move_file(site, experiment, there, file)
            there.add(moved[id(file)])
            resource = there.resources[file.header.resource]
            resource.number = resource.number or site.store.number("resource")


def _scan_of(scans: list[StoredScan], wanted: StoredScan) -> StoredScan | None:
    """Return the existing scan of the same series; where there are several, the one with the same number."""
    found = [one for one in scans if one.uid == wanted.uid]
    return next((one for one in found if one.id == wanted.id), next(iter(found), None))


def _move_file(site: Site, experiment: Experiment, scan: StoredScan, file: StoredFile) -> StoredFile:
    path = site.store.session_folder(experiment) / "SCANS" / scan.id / file.header.resource / file.path.name
    path.parent.mkdir(parents=True, exist_ok=True)
    known = scan.resources.get(file.header.resource)
    if known and file.name in known.files:
        path = known.files[file.name].path
    elif path.exists():
        path = path.with_name(f"{site.store.number('file')}_{path.name}")
    file.path.replace(path)
    return StoredFile(file.name, path, file.header, file.size)


def _delete_row(site: Site, row: StoredRow) -> None:
    """Delete a row and its folder."""
    site.store.rows.pop(row.key, None)
    rmtree(site.store.row_folder(row), ignore_errors=True)
