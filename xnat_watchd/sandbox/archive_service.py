"""POST /data/services/archive: one session while the client waits, or several after the answer (F27 to F38)."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from urllib.parse import quote

from . import answers
from .answers import Refused, Reply
from .archiving import ArchiveConflict, archive_row, conflicts, find_subject, renamings
from .merging import ArchiveRequest, ArchiveRoute, merge_rules
from .prearchive import COLUMNS, cells, find
from .request import Parameters, Request
from .site import Site, clean_label, escaped
from .store import UNASSIGNED, StoredRow
from .tracked_request import TrackedRequest
from .tracking import LISTENER, final_message, track

DUPLICATE = "Duplicate archive attempt.  Preachive session already archiving."
IN_PROGRESS = "Operation already in progress on this prearchive entry."
OUT_OF_TIME = "The archive operation did not complete within the configured time-out interval"
TYPED_LABEL = re.compile(r"xnat:\w+SessionData/label")
CR_AND_LF = "Description of the status must not contain CR and LF characters."


@dataclass(frozen=True)
class ArchiveJob:
    """The archiving of one row.

    `subject` is the project and label of its subject, `races` whether another job is creating that subject too.
    `redirect` is the site's URL where the answer is a 303, else empty.
    """

    row: StoredRow
    user: str
    wanted: ArchiveRequest
    subject: tuple[str, str]
    races: bool
    tracked: TrackedRequest
    redirect: str


def archive(site: Site, request: Request) -> Reply:
    """Archive the rows that `src` names (F27, F28, F190, F192)."""
    query = request.query + request.form()
    if "dest" in query and not site.is_old:
        raise Refused(500)
    with site.lock:
        sources = enumerate(_sources(site, query))
        rows = [_source(site, request, src, checks=site.is_old or number == 0) for number, src in sources]
        if len(rows) > 1:
            return _archive_several(site, request, rows)
        job = _begin(site, request, rows[0], query)
    if LISTENER in query and not site.is_old:
        return _archive_in_background(site, job, request)
    return _archive_in_foreground(site, job)


def _begin(site: Site, request: Request, row: StoredRow, query: Parameters) -> ArchiveJob:
    """Lock the row, and note whether another job is creating the same new subject (F38)."""
    wanted = _archive_request(site, query)
    by_policy = site.store.projects[row.project].archives_itself if row.project in site.store.projects else False
    asked = query.get("auto-archive", default="true" if by_policy else "") == "true"
    redirects = query.flag("redirect") or asked or row.archives_itself
    row.status = "_ARCHIVING"
    name = wanted.subject or row.subject
    subject = (row.project, clean_label(name))
    is_new = find_subject(site, row.project, name) is None
    races = is_new and subject in site.creating
    if is_new:
        site.creating.add(subject)
    redirect = request.site_url if redirects and not site.is_old else ""
    return ArchiveJob(row, request.user, wanted, subject, races, track(site, request, query), redirect)


def _archive_in_background(site: Site, job: ArchiveJob, request: Request) -> Reply:
    """Answer at once with a redirect to a page; the client tracks the result by its listener (F191)."""
    if site.options.archiving_takes:
        site.in_background(Thread(target=_finish_later, args=(site, job), name="archiving"))
    else:
        _finish_later(site, job)
    return Reply(303, headers=(("Location", f"{request.site_url}/app/template/XDATScreen_uploaded_xnat.vm"),))


def _archive_in_foreground(site: Site, job: ArchiveJob) -> Reply:
    """Wait for the job; the newer dialect answers 500 after a timeout while the job goes on (F194)."""
    takes, patience = site.options.archiving_takes, site.options.archive_timeout
    if takes > patience and not site.is_old:
        site.in_background(Thread(target=_finish_later, args=(site, job), name="archiving"))
        site.wait(None, patience.total_seconds())
        raise Refused(500, OUT_OF_TIME)
    site.wait(None, takes.total_seconds())
    with site.lock:
        return _finish(site, job)


def _finish_later(site: Site, job: ArchiveJob) -> None:
    site.wait(None, site.options.archiving_takes.total_seconds())
    if site.stopped.is_set():
        return
    with site.lock, suppress(Refused):  # the row and its log say why
        _finish(site, job)


def _finish(site: Site, job: ArchiveJob) -> Reply:
    """Archive the row; a conflict is 409 on 1.6.5, and any failure is 500 on newer servers (F30, F193)."""
    row, folder, was_built = job.row, job.row.folder, job.row.session is not None
    site.creating.discard(job.subject)
    try:
        _check_race(site, job)
        uri = archive_row(site, row, job.user, job.wanted)
    except Refused as refusal:
        job.tracked.end(refusal.words, succeeded=False)
        if site.is_old:
            if not was_built and not isinstance(refusal, ArchiveConflict):
                row.status = "ARCHIVING"  # F33: stuck until it is built
            raise
        raise Refused(500, f"FAILED: Unable to archive {folder}: Operation Failed: {refusal.words}") from refusal
    job.tracked.end(final_message([uri]), succeeded=True)
    if job.redirect:
        return Reply(303, headers=(("Location", f"{job.redirect}/data{quote(uri)}"),))
    return answers.uris([f"/data{uri}"])


def _check_race(site: Site, job: ArchiveJob) -> None:
    """Fail where another job was creating the same subject (F38); newer servers wait and retry (F200)."""
    if job.races and site.is_old:
        job.row.status = "ERROR"
        raise Refused(500, CR_AND_LF)


def _sources(site: Site, query: Parameters) -> list[str]:
    sources = query.all("src")
    names = ("project", "PREARC_TIMESTAMP", "PREARC_SESSION_FOLDER")
    if not sources and all(name in query for name in names):
        sources = ["/prearchive/projects/" + "/".join(query.get(name) for name in names)]
    if not sources:
        raise Refused(500, "Index 0 out of bounds for length 0") if site.is_old else Refused(404)
    return sources


def _source(site: Site, request: Request, src: str, *, checks: bool = True) -> StoredRow:
    """Return the row of a source, or refuse as XNAT does before the job begins (F28, F197)."""
    if src.removeprefix("/data").startswith("/archive/"):
        raise Refused(400, f"Invalid src URI ({src})")
    row = find(site, src)
    bare = src.removeprefix("/data")
    _, _, _, project, stamp, folder = bare.rstrip("/").split("/")
    if project != UNASSIGNED and project not in site.store.projects:
        raise Refused(500)
    if checks and not site.may_edit(request.user, project):
        raise Refused(403, bare)
    if row is None:
        is_there = site.store.row_folder_at((project, stamp, folder)).exists()
        raise Refused(500) if is_there and not site.is_old else Refused(404, f"{bare} not found.")
    if row.is_locked:
        raise Refused(423, DUPLICATE) if site.is_old else Refused(403, IN_PROGRESS)
    return row


def _archive_request(site: Site, query: Parameters) -> ArchiveRequest:
    typed = [name for name, _ in query.pairs if TYPED_LABEL.fullmatch(name)]
    return ArchiveRequest(
        escaped(query.get("subject"), letters_too=site.is_old),
        escaped(query.get("session", *typed, "EXPT_LABEL", "label"), letters_too=site.is_old),
        query.get("overwrite"),
        query.flag("overwrite_files") and site.is_old,
        query.flag("triggerPipelines", default=True),
        query.get("project"),
    )


def _archive_several(site: Site, request: Request, rows: list[StoredRow]) -> Reply:
    """Archive several rows; the answer is a table of their state before it began (F28, F195)."""
    shown = [{**cells(row), "status": "ARCHIVING"} for row in rows]
    query = request.query + request.form()
    files = query.flag("overwrite_files")
    wanted = ArchiveRequest(overwrite=query.get("overwrite"), overwrite_files=files, route=ArchiveRoute.SEVERAL)
    for row in rows:
        with suppress(Refused):  # the row and its log say why
            archive_row(site, row, request.user, wanted)
    return answers.xml_or_json(shown, COLUMNS, query.get("format"))


def validate(site: Site, request: Request) -> Reply:
    """POST /data/services/validate-archive: list the conflicts that archiving would meet (F202)."""
    query = request.query + request.form()
    row = _source(site, request, query.get("src"))
    wanted = _archive_request(site, query)
    subject = find_subject(site, row.project, wanted.subject or row.subject)
    existing = site.store.experiment(row.project, clean_label(wanted.session or row.name))
    found = []
    if subject and existing:
        found = conflicts(site, row, subject, existing, merge_rules(site, row, wanted)) + renamings(row, existing)
    rows = [{"code": one.code, "type": one.kind, "message": one.words} for one in found]
    return answers.xml_or_json(rows, ("code", "type", "message"), query.get("format"))
