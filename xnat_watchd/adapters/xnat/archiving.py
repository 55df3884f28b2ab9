"""Archive our prearchive row, and find out what a failure means (F27 to F38)."""

from __future__ import annotations

from collections.abc import Callable

from xnat_watchd.adapters.xnat.answer_meanings import MERGE, OTHER_MODALITY, Purpose
from xnat_watchd.adapters.xnat.answers import Answer
from xnat_watchd.adapters.xnat.client import XnatClient
from xnat_watchd.adapters.xnat.transport import XnatRequest
from xnat_watchd.core.delivery import Place, PrearchiveRow
from xnat_watchd.core.errors import Conflict, InDoubt, NotYet, RepeatOnce, Scope, WatchdError
from xnat_watchd.core.labels import as_stored_by_1_6, clean

BUSY = ("may already be in progress", "concurrent modification")  #: an open workflow (F29)
FAILED = 500
REDIRECTS = frozenset({301, 303})  #: redirects to the archived session, which mean success (F192)

RowLookup = Callable[[Place], PrearchiveRow | None]
LabelPair = tuple[str | None, str]


def archive(client: XnatClient, look: RowLookup, place: Place, labels: LabelPair, options: set[str]) -> None:
    """Archive a row under these labels of subject and session. Options: `join`, `pipelines`.

    A subject label that 1.6 would garble is not sent: 1.6 then takes the correct one from the row (F70, F278).
    `overwrite` is sent to 1.6 only. A newer server merges sessions of one study without it; with it, the server
    ignores conflicts (F196).
    """
    # The 404 that a guest gets would look like "archived already". First: the server may have been upgraded.
    client.confirm_login()
    subject, label = labels
    query = {"src": place.path, "session": label}
    if subject is not None and stored(client, subject) == clean(subject):
        query["subject"] = subject
    if "pipelines" not in options:
        query["triggerPipelines"] = "false"
    if not client.dialect.is_old:
        query["event_reason"] = "xnat-watchd"  # a site may require a reason (F222)
    elif "join" in options:
        query["overwrite"] = "append"
    request = XnatRequest(method="POST", path="/data/services/archive", purpose=Purpose.ARCHIVE, query=query)
    try:
        answer = client.act(request, place.project, expected=REDIRECTS | {FAILED})
    except Conflict as error:
        raise _conflict(error.detail) from None
    if answer.status == FAILED:
        raise _failure(look(place), answer)


def stored(client: XnatClient, label: str) -> str:
    """Return a cleaned label as the server stores it (F37, F70)."""
    return as_stored_by_1_6(label) if client.dialect.is_old else label


def _failure(row: PrearchiveRow | None, answer: Answer) -> WatchdError:
    """Return what a 500 means, by the state of the row: newer servers answer 500 to everything (F33, F34, F193)."""
    detail = answer.reason
    if row is None:
        return InDoubt("XNAT failed while archiving, and our row is gone", detail=detail)
    if row.is_at_work:  # XNAT's own time-out, while the job goes on (F194)
        return NotYet("XNAT is still archiving", detail=detail)
    if row.status == "CONFLICT":
        return _conflict(detail)
    if row.status == "ERROR":
        return RepeatOnce("XNAT cannot archive the session", detail=detail, scope=Scope.PROJECT)  # a full disk?
    return InDoubt("XNAT failed while archiving", detail=detail)


def _conflict(detail: str) -> WatchdError:
    words = detail.lower()
    if any(busy in words for busy in BUSY):
        return NotYet("XNAT is still at work on the session of this label", detail=detail)
    if OTHER_MODALITY in words:
        return Conflict("XNAT holds this study as another kind of session", detail=detail, advice=MERGE)
    return Conflict("XNAT holds something else under this label", detail=detail)
