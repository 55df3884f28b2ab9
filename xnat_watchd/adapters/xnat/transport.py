"""The line to XNAT: xnatpy's session on an HTTP session of ours, and every foreign error in our own words.

What xnatpy does by itself and a daemon cannot use is left out: it sends the password to wherever `GET /` leads
to, keeps a thread that dies at the first error, takes a login page for a success, and has no time-out for
uploads (F280, F281, F286).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.cookiejar import Cookie
from io import BytesIO
from math import inf
from pathlib import Path
from threading import Event
from typing import Any

import requests
import requests.exceptions as http_errors
import urllib3.exceptions as line_errors
from xnat.exceptions import XNATError
from xnat.session import XNATSession

from xnat_watchd.adapters.xnat.answer_meanings import Purpose
from xnat_watchd.adapters.xnat.answers import Answer
from xnat_watchd.adapters.xnat.body import PIECE, BodyRemainder, split_body
from xnat_watchd.adapters.xnat.connection import StoppableAdapter
from xnat_watchd.adapters.xnat.memory import MemoryBudget
from xnat_watchd.adapters.xnat.sockets import AnswerTooLong, ConnectionState, Interrupted
from xnat_watchd.adapters.xnat.trust import openssl_message, trusted_certificates
from xnat_watchd.adapters.xnat.turns import stopping
from xnat_watchd.adapters.xnat.zip_body import ZipBody, ZipUnreadable
from xnat_watchd.core.errors import InDoubt, Transient, Unavailable, WatchdError
from xnat_watchd.core.ports import Clock

AGENT = "xnat-watchd (python-requests)"
"""Never with the name of a browser: XNAT then sends a login page instead of a 401, and asks for a token (F7)."""

LARGEST_ANSWER = 64 << 20  #: bytes; a listing of a project with 100,000 sessions has about a third of it
MOST_COOKIES, LARGEST_COOKIE = 20, 4096  #: cookies, and bytes of one, that are sent back; XNAT and proxies set three
EXPIRY = "SESSION_EXPIRATION_TIME"  #: a cookie of "now,length" in milliseconds (F4), which is read and not kept
SLOWEST_PIECE = 60.0  #: seconds for one piece of an upload: 17 kB/s are enough
_EXPIRY = re.compile(r'"?[0-9]{1,20},([0-9]{1,12})"?')
TOO_LONG = "XNAT's answer is longer, or takes longer, than any answer should"
CHECK_CA = "If the site has its own certificate authority, name its file as `xnat.ca_file`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How the server is reached; the same for all gateways of a process. Time-outs in seconds."""

    address: str
    ca_file: Path | None = None
    strict_certificates: bool = False
    connect_timeout: float = 10.0
    read_timeout: float = 3600.0  #: for what XNAT may work on for long: imports, archiving
    proxies: Mapping[str, str] = field(default_factory=dict)  #: by scheme; the environment is not asked


@dataclass(frozen=True, slots=True, kw_only=True)
class XnatRequest:
    """One request. `limit`: bytes of the answer that are wanted; `cut`: what is longer is cut, not refused."""

    method: str
    path: str
    purpose: Purpose
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    body: ZipBody | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None  #: seconds for the answer to begin, if not as long as XNAT may work on it
    limit: int = LARGEST_ANSWER
    cut: bool = False


class SessionLost(Exception):
    """XNAT does not know our login session any more (401), or has begun another for a guest (F116)."""

    def __init__(self, *, refused: bool, answer: Answer | None = None) -> None:
        super().__init__()
        self.refused = refused  #: answered with 401, before anything was done
        self.answer = answer  #: what a guest was told


class _NoRedirectSession(requests.Session):
    """Follows no redirect: neither our credentials nor a body go where an answer points."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that no answer is a redirect."""


class _PassiveXnatSession(XNATSession):  # type: ignore[misc]  # xnatpy has no types
    """xnatpy's session without its heartbeat and without surprises at its end."""

    def connect(self, server: object = None, user: object = None, password: object = None) -> None:
        """Begin nothing: we have logged in, and no thread keeps the session alive (F280)."""

    def __del__(self) -> None:
        """Send nothing when the memory is tidied up (F284)."""


class _SilentLogger(logging.Logger):
    """xnatpy logs whole URLs, and these hold labels and birth dates."""

    def __init__(self) -> None:
        super().__init__("xnat", logging.CRITICAL)

    def verbose(self, *_: object) -> None:
        """Take a level that only xnatpy knows."""


class Transport:
    """One login session: one connection, one cookie jar. Belongs to one thread."""

    def __init__(self, access: Access, state: ConnectionState, clock: Clock, memory: MemoryBudget) -> None:
        self.jsession = ""  #: once set, an answer that begins another session is not believed
        self.who = ""  #: the user's name as XNAT says it
        self._access = access
        self._state = state
        self._clock = clock
        self._memory = memory
        self._expires_at = inf  #: when the login session dies if nothing more is asked in it (monotonic)
        self._request: XnatRequest | None = None
        self._body: tuple[bytes, BodyRemainder | None] = b"", None
        self._http = _NoRedirectSession()
        self._http.trust_env = False
        self._http.verify = trusted_certificates(access.ca_file)
        self._http.proxies.update(access.proxies)
        self._http.stream = True  # so that the hook can read with a limit
        self._http.headers.update({"User-Agent": AGENT, "Accept-Encoding": "identity"})
        self._http.hooks["response"].append(self._receive)
        adapter = StoppableAdapter(state, strict=access.strict_certificates)
        self._http.mount("http://", adapter)
        self._http.mount("https://", adapter)
        self._xnat = _PassiveXnatSession(
            access.address, _SilentLogger(), interface=self._http, original_uri=access.address, keepalive=False
        )
        self._xnat.skip_response_check = True  # it knows less of answers than `verdicts.py`

    def ask(self, request: XnatRequest) -> Answer:
        """Make one request, once. Raises `SessionLost`, or what the line's failure means."""
        self._request, self._state.spoke = request, False
        with _translated(request, self._state):
            response = self._send(request)
        headers = {name.lower(): value for name, value in response.headers.items()}
        body, rest = self._body
        answer = Answer(response.status_code, body, headers, rest, self._check_stop, self._memory)
        if self.jsession and self._began_another(response):
            raise SessionLost(refused=False, answer=answer)
        return answer

    def cookie(self, answer: Answer) -> str:
        """Return the login session that XNAT has begun; some proxies lose the cookie, so the body will do (F101)."""
        found = [one.value for one in self._http.cookies if one.name == "JSESSIONID" and one.value]
        if found:
            return found[-1]
        named = answer.text.strip()
        if named and len(named) <= 128 and all(c.isalnum() or c in "-._!~" for c in named):  # noqa: PLR2004
            self._http.cookies.set("JSESSIONID", named)
            return named
        return ""

    def reset_session(self) -> None:
        """Forget a login session that did not hold, so that another one can begin."""
        self.jsession = ""
        self._http.cookies.clear()

    @property
    def has_expired(self) -> bool:
        """Whether nothing has been asked for longer than XNAT keeps a login session (F4): it need not be tried."""
        return self._clock.monotonic() > self._expires_at

    def ignore_stop(self) -> None:
        """Go on although the program stops, for the little that is left to say."""
        self._state.stop = Event()

    def drop(self) -> None:
        """Close the connection, so that nothing of a broken exchange is met by the next one."""
        self._http.close()

    def _send(self, request: XnatRequest) -> requests.Response:
        send = getattr(self._xnat, request.method.lower())
        data = request.form if request.body is None else request.body
        response: requests.Response = send(
            request.path,
            query=dict(request.query),
            headers=dict(request.headers),
            timeout=self._timeout(request),
            **({} if data is None else {"data": data}),
        )
        return response

    def _timeout(self, request: XnatRequest) -> tuple[float, float]:
        """Return the seconds for the connection and for the answer. Each piece of a body goes by the first one."""
        connect, read = self._access.connect_timeout, self._access.read_timeout
        if request.body is not None:
            return max(connect, SLOWEST_PIECE), read
        return (
            (connect, read) if request.timeout is None else (min(connect, request.timeout), min(read, request.timeout))
        )

    def _receive(self, response: requests.Response, **_: Any) -> requests.Response:
        """Look at every answer before anybody else does."""
        with ExitStack() as failing:
            failing.callback(response.close)  # else an error here would leak the connection
            self._check_session(response)
            self._take_body(response)
            failing.pop_all()
        return response

    def _check_session(self, response: requests.Response) -> None:
        for one in response.cookies:
            if one.name == EXPIRY:
                self._expires_at = self._clock.monotonic() + _length(one.value or "")
            elif self._may_keep(one):
                self._http.cookies.set_cookie(one)
        if self.jsession and response.status_code == requests.codes.unauthorized:
            raise SessionLost(refused=True)

    def _began_another(self, response: requests.Response) -> bool:
        return any(one.name == "JSESSIONID" and one.value != self.jsession for one in response.cookies)

    def _may_keep(self, cookie: Cookie) -> bool:
        """Return whether a cookie is to be sent back: a server that sets ever more would have us send megabytes."""
        known = [one.name for one in self._http.cookies]
        small = len(cookie.name) + len(cookie.value or "") <= LARGEST_COOKIE
        return small and (cookie.name in known or len(known) < MOST_COOKIES)

    def _take_body(self, response: requests.Response) -> None:
        request = self._request
        assert request is not None  # noqa: S101 - no answer without a question
        beginning, rest, longer = split_body(response.raw.stream(PIECE, decode_content=True), request.limit)
        if longer:
            response.raw.close()
            if not request.cut:
                raise Transient(TOO_LONG)
        self._body = beginning, rest
        response.raw = BytesIO()  # nobody else is to read it

    def _check_stop(self) -> None:
        if self._state.stop.is_set():
            raise stopping()


def _length(expiry: str) -> float:
    """Return the seconds that a login session lasts without a question, without end where nobody says."""
    found = _EXPIRY.fullmatch(expiry)
    return int(found[1]) / 1000 if found else inf


@contextmanager
def _translated(request: XnatRequest, state: ConnectionState) -> Iterator[None]:
    """Let only our own errors out, and `SessionLost`. URLs are in many foreign texts, and labels in these."""
    try:
        yield
    except Interrupted:  # SIGTERM while we were waiting for the line
        raise stopping(spoke=request.purpose.changes_xnat and state.spoke) from None
    except ZipUnreadable as error:  # the disk, or somebody changed the ZIP under our hands
        raise _upload_broken("the ZIP could not be read to its end", str(error), request, state) from None
    except http_errors.SSLError as error:  # certificate, protocol; XNATSSLError is one of them (F285)
        said = openssl_message(error)
        message = f"no trusted connection to XNAT: OpenSSL says {said!r}" if said else "no trusted connection to XNAT"
        raise _unreachable(message, error, CHECK_CA, request, state) from None
    except http_errors.ProxyError as error:  # the proxy is down, or refuses to connect us
        raise _unreachable("the proxy before XNAT does not connect us", error, "", request, state) from None
    except http_errors.ReadTimeout as error:  # the request was sent, the answer never began
        raise _connection_broken("XNAT did not answer in time", error, request, state) from None
    except http_errors.ConnectionError as error:  # DNS, refused, unreachable; reset, stalled, hung up
        raise _connection_broken("the connection to XNAT broke", error, request, state) from None
    except (
        line_errors.HTTPError,
        AnswerTooLong,
    ) as error:  # it began and broke off, cannot be decoded, or goes on and on
        said = TOO_LONG if isinstance(error, AnswerTooLong) else "the answer of XNAT broke off"
        raise _connection_broken(said, error, request, state) from None
    except http_errors.RequestException as error:  # an address that is none, a header that may not be
        raise _unreachable("XNAT cannot be asked", error, "", request, state) from None
    except XNATError as error:  # xnatpy's own: a path without its slash, a session that is closed
        raise _unreachable("XNAT cannot be asked", error, "", request, state) from None


def _connection_broken(message: str, error: Exception, request: XnatRequest, state: ConnectionState) -> WatchdError:
    """Return what a line that fails means: nothing was said, a question was lost, or perhaps a deed was done."""
    if not state.spoke:
        return Unavailable("XNAT cannot be reached", detail=_cause(error))
    if request.body is not None and not request.body.is_sent:
        return _upload_broken("the connection to XNAT broke in the middle of the upload", _cause(error), request, state)
    return (InDoubt if request.purpose.changes_xnat else Transient)(message, detail=_cause(error))


def _upload_broken(message: str, cause: str, request: XnatRequest, state: ConnectionState) -> WatchdError:
    """XNAT has not the whole ZIP. A newer server keeps what came (F158), so it must be asked all the same."""
    if not state.spoke or request.body is None:
        return Transient(message, detail=cause)
    return InDoubt(message, detail=f"{cause}; {request.body.sent} of {request.body.size} bytes sent")


def _unreachable(
    message: str, error: Exception, advice: str, request: XnatRequest, state: ConnectionState
) -> Unavailable:
    spoke = request.purpose.changes_xnat and state.spoke
    return Unavailable(message, detail=_cause(error), advice=advice, spoke=spoke)


def _cause(error: BaseException) -> str:
    """Return the kinds of a chain of errors, and the words of the system's own; texts of libraries hold URLs."""
    kinds, seen = list[str](), error
    for _ in range(8):
        words = seen.strerror if isinstance(seen, OSError) and isinstance(seen.strerror, str) else ""
        kinds.append(f"{type(seen).__name__}{f' ({words})' if words else ''}")
        inner = getattr(seen, "reason", None) or next(iter(seen.args), None) or seen.__context__
        if not isinstance(inner, BaseException):
            break
        seen = inner
    return ", ".join(dict.fromkeys(kinds))
