"""One worker's talk with XNAT: logged in when it must be, asked again once when the login was lost, judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from xnat_watchd.adapters.xnat.answer_meanings import A_PAGE, Purpose, error_for
from xnat_watchd.adapters.xnat.answers import Answer
from xnat_watchd.adapters.xnat.login import Dialect, ask_user
from xnat_watchd.adapters.xnat.server import ServerState
from xnat_watchd.adapters.xnat.transport import SessionLost, Transport, XnatRequest
from xnat_watchd.core.errors import AuthRefused, InDoubt, Transient, Unavailable, WatchdError

QUESTION_TIMEOUT = 300.0  #: seconds that the answer to a question may take to begin
LOGOUT_TIMEOUT = 2.0  #: seconds for logging out: the program is to stop soon, also when the server is gone

Query = Mapping[str, str | Sequence[str]]


class XnatClient:
    """A login session and what is asked in it. Belongs to one thread."""

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._transport: Transport | None = None
        self._dialect: Dialect | None = None
        self._credential = -1

    @property
    def dialect(self) -> Dialect:
        """Which XNAT this is; asked at every login, since servers are upgraded."""
        self._logged_in(probing=False)
        assert self._dialect is not None  # noqa: S101 - the login has found it
        return self._dialect

    def whoami(self, *, probing: bool) -> str:
        """Return our user's name as XNAT says it now. Only `probing` tries a credential that was refused."""
        if self._transport is not None and self._credential == self._server.credential_number:
            try:
                if ask_user(self._transport, self._server.clock.now()) == self._transport.who:
                    return self._transport.who
            except SessionLost:  # expired, or evicted by another login (F105)
                pass
            except Transient as error:
                raise Unavailable(str(error), detail=error.detail) from None
        self.drop_session()
        return self._logged_in(probing=probing).who

    def read(self, path: str, query: Query | None = None, *, project: str = "", limit: int | None = None) -> Answer:
        """Ask a question that must have an answer."""
        return self._read(_get_request(path, query, limit), project, frozenset())

    def find(
        self, path: str, query: Query | None = None, *, project: str = "", limit: int | None = None
    ) -> Answer | None:
        """Ask for a thing. None if XNAT says itself that there is none; the 404 of a stranger says nothing."""
        answer = self._read(_get_request(path, query, limit), project, frozenset({404}))
        if answer.status != 404:  # noqa: PLR2004
            return answer
        if not answer.is_from_xnat:  # a later version's page, or a proxy's: does XNAT answer at all?
            self.whoami(probing=False)
        return None

    def act(self, request: XnatRequest, project: str, *, expected: frozenset[int] = frozenset()) -> Answer:
        """Ask for a deed that may be asked for again where the login was lost before it was done."""
        return self._judged(self._asked(request), request.purpose, project, expected)

    def act_once(self, request: XnatRequest, project: str) -> Answer:
        """Ask for a deed that is never asked for twice. What a guest did says itself where it went."""
        try:
            return self._judged(self._logged_in(probing=False).ask(request), request.purpose, project, frozenset())
        except SessionLost as lost:
            self.drop_session()
            if lost.refused:  # by the filter before XNAT's services: nothing was done (F106)
                raise Transient(f"the login was lost during {request.purpose.value}") from None
            if lost.answer is not None and lost.answer.is_success:
                return lost.answer
            raise InDoubt(f"the login was lost during {request.purpose.value}") from None

    def drop_connection(self) -> None:
        """Leave the connection, not the login session."""
        if self._transport is not None:
            self._transport.drop()

    def drop_session(self) -> None:
        """Leave a login session that is lost."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.drop()

    def log_out(self) -> None:
        """End the login session as far as XNAT can be reached: sessions are counted there (F105)."""
        if self._transport is None:
            return
        self._transport.ignore_stop()
        logout = XnatRequest(method="DELETE", path="/data/JSESSION", purpose=Purpose.READ, timeout=LOGOUT_TIMEOUT)
        with suppress(WatchdError, SessionLost):  # it dies by itself
            self._transport.ask(logout)
        self.drop_session()

    def _read(self, request: XnatRequest, project: str, expected: frozenset[int]) -> Answer:
        try:
            return self._judged(self._asked(request), Purpose.READ, project, expected)
        except Transient as error:
            if type(error) is not Transient:
                raise
            raise self._attributed(error) from None

    def _attributed(self, error: Transient) -> WatchdError:
        """Find out whether a question that failed is this study's trouble or the server's."""
        try:
            self.whoami(probing=False)
        except (Unavailable, AuthRefused) as worse:
            return worse
        return error

    def _asked(self, request: XnatRequest) -> Answer:
        try:
            return self._logged_in(probing=False).ask(request)
        except SessionLost:
            self.drop_session()
        try:
            return self._logged_in(probing=False).ask(request)
        except SessionLost:
            self.drop_session()
            raise Unavailable("XNAT forgets our login at once", advice=A_PAGE) from None

    def _judged(self, answer: Answer, purpose: Purpose, project: str, expected: frozenset[int]) -> Answer:
        if answer.status in expected:
            return answer
        if not answer.is_success:
            raise error_for(answer, purpose, project, self._server.clock.now())
        if answer.is_page:  # a login page, a set-up page, a proxy's: nothing that we ask has pages (F108)
            raise Unavailable("a page came where XNAT should answer", advice=A_PAGE, spoke=purpose.changes_xnat)
        return answer

    def _logged_in(self, *, probing: bool) -> Transport:
        if (
            self._transport is not None
            and self._credential == self._server.credential_number
            and not self._transport.has_expired
        ):
            return self._transport
        self.drop_session()
        self._transport, self._dialect, self._credential = self._server.log_in(probing=probing)
        return self._transport


def _get_request(path: str, query: Query | None, limit: int | None = None) -> XnatRequest:
    given = dict(query or {})
    request = XnatRequest(method="GET", path=path, purpose=Purpose.READ, query=given, timeout=QUESTION_TIMEOUT)
    if limit is None:
        return request
    return XnatRequest(
        method="GET", path=path, purpose=Purpose.READ, query=given, timeout=QUESTION_TIMEOUT, limit=limit, cut=True
    )
