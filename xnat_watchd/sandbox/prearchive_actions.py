"""Actions on prearchive rows: delete, build, commit, move, and the services that queue them (F179 to F183)."""

from __future__ import annotations

from contextlib import suppress
from shutil import rmtree

from . import answers
from .answers import Refused, Reply
from .archiving import ArchiveConflict, archive_row
from .building import build
from .direct_archive import finish
from .merging import ArchiveRequest, ArchiveRoute
from .prearchive import COLUMNS, cells, find, row_at
from .request import Parameters, Request
from .site import Site, touch
from .store import LOCKED, UNASSIGNED, QueuedAction, StoredRow
from .tracking import LISTENER, final_message, track

QUEUED_STATES = {"delete": "QUEUED_DELETING", "move": "QUEUED_MOVING", "rebuild": "QUEUED_BUILDING"}
SETTABLE = frozenset({"READY", "CONFLICT", "ERROR", "RECEIVING", "BUILDING"})


def delete(site: Site, request: Request) -> Reply:
    """DELETE one session; 200 also where there is none, and where it is locked and stays (F25, F179)."""
    row = row_at(site, request)
    if row and not row.is_locked and row.status != "DELETING":
        remove(site, row)
    return Reply()


def remove(site: Site, row: StoredRow) -> None:
    """Delete a row and its files."""
    site.store.rows.pop(row.key, None)
    rmtree(site.store.row_folder(row), ignore_errors=True)


def run_action(site: Site, request: Request) -> Reply:
    """POST an `action` to one session (F39, F181)."""
    action = (request.query + request.form()).get("action")
    row = row_at(site, request)
    actions = {"build": _build, "commit": _commit, "move": _move, "set-status": _set_status, "reset-status": _build}
    if action not in actions:
        raise Refused(400, f"unsupported action on prearchive session: {action}")
    if row is None:
        raise Refused({"build": 500, "set-status": 400, "reset-status": 500}.get(action, 404))
    return actions[action](site, request, row)


def _build(site: Site, _: Request, row: StoredRow) -> Reply:
    if row.is_locked:
        raise Refused(409)
    build(site, row)
    return Reply(200, f"/data{row.uri}".encode("iso-8859-1", "replace"), answers.URIS)


def _commit(site: Site, request: Request, row: StoredRow) -> Reply:
    """Build a row, and archive it where the row, request or policy says so: 301 with the URI as body (F39)."""
    built = _build(site, request, row)
    known = site.store.projects.get(row.project)
    if not (request.query.flag("AA") or row.archives_itself or (known and known.autoarchive != "Manual")):
        return built
    try:
        uri = archive_row(site, row, request.user, ArchiveRequest(route=ArchiveRoute.COMMIT))
    except ArchiveConflict as conflict:
        raise conflict if site.is_old else Refused(500, conflict.words) from conflict
    listener = track(site, request, request.query)
    listener.end(final_message([uri]), succeeded=True)
    if LISTENER in request.query and not site.is_old:
        return answers.text("Archival initiated")
    return answers.text(f"/data{uri}", 301)


def _move(site: Site, request: Request, row: StoredRow) -> Reply:
    if row.is_locked:
        return Reply()
    target = request.query.get("newProject")
    if not site.may_edit(request.user, target):
        raise Refused(403)
    if (target, row.timestamp, row.folder) in site.store.rows:
        raise Refused(409)
    move(site, row, target)
    return answers.text(f"/data{row.uri}", 301)


def _set_status(site: Site, request: Request, row: StoredRow) -> Reply:
    status = request.query.get("status")
    if status not in SETTABLE:
        raise Refused(400)
    row.status = status
    touch(site, row)
    return Reply()


def move(site: Site, row: StoredRow, project: str) -> None:
    """Move a row to another project; timestamp and folder stay the same (F182)."""
    old = site.store.row_folder(row)
    site.store.rows.pop(row.key)
    row.project = project
    new = site.store.row_folder(row)
    new.parent.mkdir(parents=True, exist_ok=True)
    old.replace(new)
    for file in row.files:
        file.path = new / file.path.relative_to(old)
    site.store.rows[row.key] = row
    touch(site, row)


def batch(site: Site, request: Request) -> Reply:
    """POST /data/services/prearchive/{delete,move,rebuild}: queue rows and return their table (F25, F183)."""
    query = request.query + request.form()
    verb = request.names["verb"]
    if verb not in QUEUED_STATES:
        raise Refused(404)
    found = [_source(site, src) for src in query.all("src")]
    if any(row and not site.may_edit(request.user, row.project) for row in found):
        raise Refused(403)
    rows = [_queue(site, verb, row, query) for row in found]
    shown = [cells(row) for row in rows]
    run_due_work(site)
    return answers.xml_or_json(shown, COLUMNS, query.get("format"))


def _source(site: Site, src: str) -> StoredRow | None:
    try:
        return find(site, src)
    except Refused as refusal:
        raise Refused(400 if site.is_old else 500) from refusal


def _queue(site: Site, verb: str, row: StoredRow | None, query: Parameters) -> StoredRow:
    """Queue an action on one row; a locked row is skipped in silence (F183)."""
    if row is None:
        raise Refused(404 if verb == "move" else 500)
    if verb == "rebuild" and query.flag("overrideLock"):
        row.status = row.status.removeprefix(LOCKED)
    if not row.is_locked:
        row.status = QUEUED_STATES[verb]
        row.queued = QueuedAction(verb, query.get("newProject"), site.now() + site.options.queue_takes)
    return row


def _run_queued(site: Site, row: StoredRow, queued: QueuedAction) -> None:
    row.queued = None
    if queued.verb == "delete":
        remove(site, row)
    else:
        build(site, row)
        if queued.verb == "move" and queued.project in site.store.projects:
            _move_if_free(site, row, queued.project)


def _move_if_free(site: Site, row: StoredRow, project: str) -> None:
    """Move a queued row; only now is it noticed that its place in the other project is taken (F183)."""
    if (project, row.timestamp, row.folder) in site.store.rows:
        row.status = "ERROR"
        row.log.append(f"Session {row.folder} already exists in {project}")
    else:
        move(site, row, project)


def run_due_work(site: Site) -> None:
    """Run the queued actions that are due, and build rows that are RECEIVING but idle for too long (F17, F146)."""
    idle = site.now() - site.options.rebuild_after
    for entry in list(site.store.direct.values()):
        if entry.lastmod <= idle:
            finish(site, entry)
    for row in list(site.store.rows.values()):
        if row.queued and row.queued.due <= site.now():
            _run_queued(site, row, row.queued)
        left_alone = row.prevent_auto_commit or row.source == "uploader"
        if row.status == "RECEIVING" and row.lastmod <= idle and not left_alone:
            _build_idle_row(site, row)


def _build_idle_row(site: Site, row: StoredRow) -> None:
    if build(site, row) and row.archives_itself and row.project != UNASSIGNED:
        with suppress(Refused):  # the row and its log say why
            archive_row(site, row, "admin", ArchiveRequest(route=ArchiveRoute.POLICY))
