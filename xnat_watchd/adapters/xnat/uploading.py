"""Send one ZIP to a place of our own, and accept only an answer that names that place (F66, F138, F141)."""

from __future__ import annotations

from xnat_watchd.adapters.xnat.answer_meanings import Purpose
from xnat_watchd.adapters.xnat.answers import Answer, uris
from xnat_watchd.adapters.xnat.client import XnatClient
from xnat_watchd.adapters.xnat.transport import XnatRequest
from xnat_watchd.adapters.xnat.turns import Turns
from xnat_watchd.adapters.xnat.zip_body import ZipBody
from xnat_watchd.core.delivery import Place
from xnat_watchd.core.errors import InDoubt, Misplaced, RepeatOnce, Transient

TYPE = {"Content-Type": "application/zip"}  #: XNAT treats any other type differently (F9, F131)
NEWER_OPTIONS = {
    "import-handler": "DICOM-zip",  # it streams, and has no shared cache that mixes uploads (F149)
    "inbody": "true",
    "prevent_auto_commit": "true",  # the server's timer must not archive an incomplete upload (F146)
    "Ignore-Unparsable": "false",  # otherwise a full disk looks like a success (F152)
    "event_reason": "xnat-watchd",
}
MOST_MISPLACED = 10  #: places that are recorded from one answer, which should name one
UNASSIGNED = (
    "Ask an XNAT administrator to delete the upload in Unassigned, and whether the program's user may create data in "
    "the project. Then `xnat-watchd retry ITEM`."
)


def send(client: XnatClient, turns: Turns, place: Place, body: ZipBody, *, alone: bool) -> None:
    """Send a ZIP when it is our turn. Return once XNAT confirms that it is at this place.

    Imports overlap, on 1.6 too, where it sleeps during most of one. There it is their starts that must lie apart, those
    of all stations with one account (F94, F96).
    """
    if not body.size:
        raise Transient("the ZIP to send is empty")
    with turns.importing(alone=alone, waiting=body.waiting):
        client.confirm_login()  # opens the connection, so that an early answer is seen (F282)
        request = _request(client, place, body)  # not before: the server may have been upgraded while we waited
        turns.wait_for_gap(among_stations=client.dialect.is_old)
        try:
            answer = client.act_once(request, place.project)
        finally:
            if not body.is_sent:
                client.drop_connection()
    _check(place, answer)


def _request(client: XnatClient, place: Place, body: ZipBody) -> XnatRequest:
    options = {} if client.dialect.is_old else NEWER_OPTIONS
    query = {"dest": place.path, "session": place.folder, **options}
    path = "/data/services/import"
    return XnatRequest(method="POST", path=path, purpose=Purpose.IMPORT, query=query, body=body, headers=TYPE)


def _check(place: Place, answer: Answer) -> None:
    """Raise unless the answer names our place and nothing else (F138, F141)."""
    lines = uris(answer)
    if lines == [f"/data{place.path}"]:
        return
    if not lines:  # XNAT saw no ZIP in it, or filtered out everything (F139)
        raise RepeatOnce("XNAT took the upload and made nothing of it")
    if len(lines) == 1 and lines[0].startswith("/data/archive/"):  # the project archives by itself (F160)
        raise InDoubt("XNAT has archived the upload by itself", detail=answer.reason)
    if not all(one.startswith(("/data/prearchive/", "/data/archive/", "/xapi/")) for one in lines):
        raise InDoubt("XNAT took the upload and does not say where it is", detail=answer.reason)
    if any(one.startswith("/data/prearchive/projects/Unassigned/") for one in lines):
        raise Misplaced(
            "XNAT put the upload into Unassigned", lines[:MOST_MISPLACED], detail=answer.reason, advice=UNASSIGNED
        )
    raise Misplaced("XNAT put the upload elsewhere than we asked", lines[:MOST_MISPLACED], detail=answer.reason)
