"""Requests that a client tracks under a name of its own choice, its listener (F145, F191)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from . import answers
from .answers import Refused, Reply
from .request import Parameters, Request
from .site import Site
from .tracked_request import TrackedRequest

if TYPE_CHECKING:
    from .logins import Logins

LISTENER = "http-session-listener"


def track(site: Site, request: Request, query: Parameters) -> TrackedRequest:
    """Start to track a request; without a listener in the query nobody can ask for the result."""
    found = TrackedRequest(request.login)
    if name := query.get(LISTENER):
        site.tracked_requests[request.user, name] = found
    found.tell("PROCESSING", "Request accepted")
    return found


def final_message(lines: Iterable[str]) -> str:
    """Return the last message of a success: the URIs of the sessions without `/data`."""
    uris = [line.removeprefix("/data") for line in lines]
    archived = uris and all(uri.startswith("/archive/") for uri in uris)
    return f"{'Archive' if archived else 'Prearchive'}:{';'.join(uris)}"


def status_list(site: Site, request: Request) -> Reply:
    """GET /data/status/NAME: the messages so far; a login session that did not start the request sees null."""
    found = site.tracked_requests.get((request.user, request.names["listener"]))
    if found is None or found.login != request.login:
        return answers.as_json({"msgs": [None]})
    last = len(found.messages) - 1
    told = [
        {"status": status, "msg": words, "terminal": str(number == last and found.is_over).lower()}
        for number, (status, words) in enumerate(found.messages)
    ]
    return answers.as_json({"msgs": [told]})


def event_tracking(logins: Logins, request: Request) -> Reply:
    """GET /xapi/event_tracking/NAME: the messages so far, stored by user and so not lost with the login session."""
    found = logins.site.tracked_requests.get((request.user, request.names["listener"]))
    if found is None:
        raise Refused(404)
    final = found.messages[-1][1] if found.is_over else None
    payload = "; ".join(words for _, words in found.messages)
    key = request.names["listener"]
    return answers.as_json({"key": key, "payload": payload, "succeeded": found.succeeded, "finalMessage": final})
