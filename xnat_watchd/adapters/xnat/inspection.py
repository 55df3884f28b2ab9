"""What the command `check` asks a server. Nothing here changes anything. None means that XNAT does not tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from xnat_watchd.adapters.xnat.answer_meanings import Purpose
from xnat_watchd.adapters.xnat.answers import Answer, date_of, document, table
from xnat_watchd.adapters.xnat.client import Query, XnatClient
from xnat_watchd.adapters.xnat.login import LOGIN_TIMEOUT, Dialect, find_dialect
from xnat_watchd.adapters.xnat.projects import prearchive_code
from xnat_watchd.adapters.xnat.records import JSON, path
from xnat_watchd.adapters.xnat.server import ServerState
from xnat_watchd.adapters.xnat.sockets import ConnectionState
from xnat_watchd.adapters.xnat.transport import Transport, XnatRequest
from xnat_watchd.adapters.xnat.users import listed_role, roles
from xnat_watchd.core.errors import Transient, Unavailable, WatchdError


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What a server tells about itself without a login."""

    dialect: Dialect
    at: datetime | None  #: its time of day, to the second


def identify_server(server: ServerState) -> ServerIdentity:
    """Ask which XNAT this is, without a login (F2, F8, F112). Raise `Unavailable` if none answers."""
    transport = Transport(server.access, ConnectionState(server.stop), server.clock, server.memory)
    try:
        dialect = find_dialect(transport, server.clock.now())
        answer = transport.ask(
            XnatRequest(method="GET", path="/data/version", purpose=Purpose.READ, timeout=LOGIN_TIMEOUT)
        )
    except Transient as error:  # no answer: the server's fault, not a study's
        raise Unavailable(str(error), detail=error.detail) from None
    finally:
        transport.drop()
    return ServerIdentity(dialect, date_of(answer.headers.get("date", "")))


class Inspection:
    """Questions about projects and the account. The login session ends with the `with` block."""

    def __init__(self, server: ServerState) -> None:
        self._client = XnatClient(server)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.log_out()

    def role(self, project: str, user: str) -> str | None:
        """Return our role in a project, as `member`: from its users if we may list them, else from its row (F49)."""
        known = roles(self._client, project)
        if known is not None:
            return known.get(user)
        answer = self._find_or_none("/data/projects", {"accessible": "true", **JSON})
        for row in table(answer) if answer is not None else []:
            if project in {row.get("id"), row.get("ID")}:  # in lower case there (F249)
                shown = listed_role(row)
                return shown.lower().removesuffix("s") or None
        return None

    def prearchive_code(self, project: str) -> int | None:
        """Return how a project archives: 0 on request, 4 and 5 automatically (F251)."""
        try:
            return prearchive_code(self._client, project)
        except WatchdError:
            return None

    def anonymises(self, project: str) -> bool | None:
        """Return whether an anonymization script of the site or the project applies to our uploads.

        From 1.7 on, whoever may read the project may ask for both (`AnonymizeApi` in XNAT's source).
        """
        site = self._flag("/xapi/anonymize/site/enabled")
        own = self._flag(path("projects", project, "enabled").replace("/data/", "/xapi/anonymize/", 1))
        return True if site or own else None if None in (site, own) else False

    def open_sessions(self, user: str) -> int | None:
        """Return how many login sessions the account has open, ours included (`UsersApi` in XNAT's source)."""
        said = self._json(path("users", "active", user).replace("/data/", "/xapi/", 1))
        if isinstance(said, dict):  # older servers: by name, with the IDs below it
            said = said.get("sessions")
        return len(said) if isinstance(said, list) else None

    def _flag(self, where: str) -> bool | None:
        said = self._json(where)
        return said if isinstance(said, bool) else None

    def _json(self, where: str) -> Any:
        answer = self._find_or_none(where)
        try:
            return None if answer is None else document(answer)
        except Transient:
            return None

    def _find_or_none(self, where: str, query: Query | None = None) -> Answer | None:
        """Send a GET request. Return None on any error: refused, absent and out of order mean the same here."""
        try:
            return self._client.find(where, query)
        except WatchdError:
            return None
