"""A client that logs in when it needs to, repeats a request once after a lost login, and interprets the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from xnat_watchd.adapters.xnat.answer_meanings import A_PAGE, Purpose, error_for
from xnat_watchd.adapters.xnat.answers import Answer
from xnat_watchd.adapters.xnat.login import Dialect, ask_user
from xnat_watchd.adapters.xnat.memory import MemoryBudget
from xnat_watchd.adapters.xnat.server import ServerState
from xnat_watchd.adapters.xnat.transport import SessionLost, Transport, XnatRequest
from xnat_watchd.core.errors import AuthRefused, InDoubt, Transient, Unavailable, WatchdError

QUESTION_TIMEOUT = 300.0  #: seconds until the answer to a GET must begin
STAYS_CONFIRMED = 3.0  #: seconds for which an answer proves our login session. Some proxies close a line after 5
LOGOUT_TIMEOUT = 2.0  #: seconds for logging out: the program must stop soon even if the server is gone

SERVER_ERROR = 500

Query = Mapping[str, str | Sequence[str]]


class XnatClient:
    """A login session and the requests in it. Belongs to one thread."""

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._transport: Transport | None = None
        self._dialect: Dialect | None = None
        self._credential = -1

    @property
    def dialect(self) -> Dialect:
        """Which XNAT this is. Every login asks again, because servers are upgraded."""
        self._logged_in(probing=False)
        assert self._dialect is not None  # noqa: S101 - the login has found it
        return self._dialect

    @property
    def sharing_memory(self) -> MemoryBudget:
        """The memory for what is kept of projects while share tables are applied: a budget of all clients."""
        return self._server.sharing_memory

    def whoami(self, *, probing: bool) -> str:
        """Ask XNAT for our user name and return it. Only with `probing` is a refused credential tried again."""
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

    def confirm_login(self) -> None:
        """Ask who we are, unless the last request was answered a moment ago in this login session.

        The connection is open afterwards.
        """
        transport = self._transport
        is_current = transport is not None and self._credential == self._server.credential_number
        if transport is None or not is_current or not transport.was_confirmed_within(STAYS_CONFIRMED):
            self.whoami(probing=False)

    def read(self, path: str, query: Query | None = None, *, project: str = "", limit: int | None = None) -> Answer:
        """Send a GET request and return its successful answer."""
        return self._read(_get_request(path, query, limit), project, frozenset())

    def find(
        self, path: str, query: Query | None = None, *, project: str = "", limit: int | None = None
    ) -> Answer | None:
        """Send a GET request. Return None on a 404 of XNAT itself; the 404 of a proxy proves nothing."""
        answer = self._read(_get_request(path, query, limit), project, frozenset({404}))
        if answer.status != 404:  # noqa: PLR2004
            return answer
        if not answer.is_from_xnat:  # the page of a newer version or of a proxy: check that XNAT answers at all
            self.whoami(probing=False)
        return None

    def act(self, request: XnatRequest, project: str, *, expected: frozenset[int] = frozenset()) -> Answer:
        """Send a request that may be repeated if the login was lost before XNAT acted on it."""
        return self._judged(self._asked(request), request.purpose, project, expected)

    def act_once(self, request: XnatRequest, project: str) -> Answer:
        """Send a request that is never repeated. If a guest session executed it, its answer says where it went."""
        try:
            return self._judged(self._logged_in(probing=False).ask(request), request.purpose, project, frozenset())
        except SessionLost as lost:
            self.drop_session()
            if lost.refused:  # the security filter refused it: XNAT did nothing (F106)
                raise Transient(f"the login was lost during {request.purpose.value}") from None
            if lost.answer is not None and lost.answer.is_success:
                return lost.answer
            raise InDoubt(f"the login was lost during {request.purpose.value}") from None

    def drop_connection(self) -> None:
        """Close the connection and keep the login session."""
        if self._transport is not None:
            self._transport.drop()

    def drop_session(self) -> None:
        """Forget a login session that is lost."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.drop()

    def log_out(self) -> None:
        """End the login session if XNAT can be reached: XNAT limits their number (F105)."""
        if self._transport is None:
            return
        self._transport.ignore_stop()
        logout = XnatRequest(method="DELETE", path="/data/JSESSION", purpose=Purpose.READ, timeout=LOGOUT_TIMEOUT)
        with suppress(WatchdError, SessionLost):  # the session expires by itself
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
        """Return the error itself, or that of the server if the server fails at a cheap request too."""
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
        is_expected = answer.status in expected
        if not answer.is_success and not (is_expected and answer.status < SERVER_ERROR):
            self._server.writable.forget(project)  # perhaps the project's trouble
        if is_expected:
            return answer
        if not answer.is_success:
            raise error_for(answer, purpose, project, self._server.clock.now())
        if answer.is_page:  # a page for login or set-up, or of a proxy: no request of ours is answered by a page (F108)
            raise Unavailable("a page came where XNAT should answer", advice=A_PAGE, spoke=purpose.changes_xnat)
        self._server.heard = self._server.clock.now()
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
