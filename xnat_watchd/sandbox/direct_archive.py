"""Uploads that go straight into the archive: entries beside the prearchive until they are built (F161)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from . import answers
from .answers import Refused, Reply
from .archiving import archive_row
from .building import build
from .merging import ArchiveRequest, ArchiveRoute
from .request import Request
from .site import Site, sql_time
from .store import StoredRow

if TYPE_CHECKING:
    from .logins import Logins

SERVER = "admin"  # the user as which the server itself acts


def entry(logins: Logins, request: Request) -> Reply:
    """GET or POST /xapi/direct-archive/P/UID/NAME: show an entry, or build and archive it."""
    site, names = logins.site, request.names
    row = site.store.direct.get((names["project"], names["uid"], names["name"]))
    if row is None or not site.may_read(request.user, row.project):
        raise Refused(404)
    if request.method == "POST":
        if not site.may_edit(request.user, row.project):
            raise Refused(403)
        finish(site, row)
        return Reply()
    told = {
        "id": list(site.store.direct.values()).index(row) + 1, "project": row.project, "subject": row.subject,
        "session": row.name, "tag": row.tag, "status": row.status, "lastBuiltDate": sql_time(row.lastmod),
    }  # fmt: skip
    return answers.as_json(told)


def finish(site: Site, row: StoredRow) -> None:
    """Archive an entry; where that fails, it becomes a prearchive row whose status and log say why."""
    site.store.direct.pop((row.project, row.tag, row.name))
    row.is_direct = False
    site.store.rows[row.key] = row
    if build(site, row):
        with suppress(Refused):
            archive_row(site, row, SERVER, ArchiveRequest(route=ArchiveRoute.POLICY))
