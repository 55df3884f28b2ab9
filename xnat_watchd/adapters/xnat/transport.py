"""The transport to XNAT: xnatpy's session on our own HTTP session. Every foreign error becomes one of ours.

Some of xnatpy does not suit a daemon and is not used: it sends the password to wherever `GET /` redirects, keeps a
thread that dies at the first error, takes a login page for a success, and has no time-out for uploads (F280, F281,
F286).
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
from xnat_watchd.adapters.xnat.causes import cause
from xnat_watchd.adapters.xnat.connection import StoppableAdapter
from xnat_watchd.adapters.xnat.memory import MemoryBudget
from xnat_watchd.adapters.xnat.sockets import AnswerTooLong, ConnectionState, Interrupted
from xnat_watchd.adapters.xnat.trust import openssl_message, trusted_certificates
from xnat_watchd.adapters.xnat.turns import stopping, unheard
from xnat_watchd.adapters.xnat.zip_body import ZipBody, ZipUnreadable
from xnat_watchd.core.errors import InDoubt, Transient, Unavailable, WatchdError
from xnat_watchd.core.ports import Clock

AGENT = "xnat-watchd (python-requests)"
"""It must not look like a browser: XNAT then sends a login page instead of a 401 and requires a token (F7)."""

LARGEST_ANSWER = 64 << 20  #: bytes; a listing of 100,000 sessions takes about a third
MOST_COOKIES, LARGEST_COOKIE = 20, 4096  #: number and bytes of cookies that are sent back; XNAT and proxies set three
EXPIRY = "SESSION_EXPIRATION_TIME"  #: a cookie with "now,length" in milliseconds (F4); it is not sent back
SLOWEST_PIECE = 60.0  #: seconds for one piece of an upload, which is 17 kB/s
_EXPIRY = re.compile(r'"?[0-9]{1,20},([0-9]{1,12})"?')
TOO_LONG = "XNAT's answer is longer, or takes longer, than any answer should"
CHECK_CA = "If the site has its own certificate authority, name its file as `xnat.ca_file`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How the server is reached, for all gateways of a process. Time-outs are in seconds."""

    address: str
    ca_file: Path | None = None
    strict_certificates: bool = False
    connect_timeout: float = 10.0
    read_timeout: float = 3600.0  #: for requests that take XNAT long: imports, archiving
    proxies: Mapping[str, str] = field(default_factory=dict)  #: by scheme; the environment's are not used


@dataclass(frozen=True, slots=True, kw_only=True)
class XnatRequest:
    """One request. `limit`: bytes of the answer to read; `cut`: whether a longer answer is cut instead of refused."""

    method: str
    path: str
    purpose: Purpose
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    body: ZipBody | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None  #: seconds until the answer must begin, if less than `read_timeout`
    limit: int = LARGEST_ANSWER
    cut: bool = False


class SessionLost(Exception):
    """XNAT no longer knows our login session (401), or has begun a guest session instead (F116)."""

    def __init__(self, *, refused: bool, answer: Answer | None = None) -> None:
        super().__init__()
        self.refused = refused  #: XNAT answered 401 and did nothing
        self.answer = answer  #: the answer to the guest


class _NoRedirectSession(requests.Session):
    """An HTTP session that follows no redirect, so that no credential or body goes to another address."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: no answer counts as a redirect."""


class _PassiveXnatSession(XNATSession):  # type: ignore[misc]  # xnatpy has no types
    """xnatpy's session without its keep-alive thread and without a request at its end."""

    def connect(self, server: object = None, user: object = None, password: object = None) -> None:
        """Do nothing: we log in ourselves, and no thread keeps the session alive (F280)."""

    def __del__(self) -> None:
        """Send nothing at garbage collection (F284)."""


class _SilentLogger(logging.Logger):
    """A logger that drops everything: xnatpy logs whole URLs, which contain labels and birth dates."""

    def __init__(self) -> None:
        super().__init__("xnat", logging.CRITICAL)

    def verbose(self, *_: object) -> None:
        """Drop a message of a level that only xnatpy has."""


class Transport:
    """The transport of one login session: one connection, one cookie jar. Belongs to one thread."""

    def __init__(self, access: Access, state: ConnectionState, clock: Clock, memory: MemoryBudget) -> None:
        self.jsession = ""  #: once set, an answer that begins another session raises `SessionLost`
        self.who = ""  #: the user name as XNAT tells it
        self._access = access
        self._state = state
        self._clock = clock
        self._memory = memory
        self._confirmed_at = -inf  #: when XNAT last showed that this session and this connection are in use (monotonic)
        self._expires_at = inf  #: when the login session expires without another request (monotonic)
        self._request: XnatRequest | None = None
        self._body: tuple[bytes, BodyRemainder | None] = b"", None
        self._http = _NoRedirectSession()
        self._http.trust_env = False
        self._http.verify = trusted_certificates(access.ca_file)
        self._http.proxies.update(access.proxies)
        self._http.stream = True  # lets the hook read with a limit
        self._http.headers.update({"User-Agent": AGENT, "Accept-Encoding": "identity"})
        self._http.hooks["response"].append(self._receive)
        adapter = StoppableAdapter(state, strict=access.strict_certificates)
        self._http.mount("http://", adapter)
        self._http.mount("https://", adapter)
        self._xnat = _PassiveXnatSession(
            access.address, _SilentLogger(), interface=self._http, original_uri=access.address, keepalive=False
        )
        self._xnat.skip_response_check = True  # `answer_meanings` knows more about answers

    def ask(self, request: XnatRequest) -> Answer:
        """Send one request, once. Raise `SessionLost`, or the error that a failure of the connection means."""
        if not self._state.may_begin(change=request.purpose.changes_xnat):
            raise unheard()
        self._request, self._state.spoke, self._confirmed_at = request, False, -inf
        with _translated(request, self._state):
            response = self._send(request)
        headers = {name.lower(): value for name, value in response.headers.items()}
        body, rest = self._body
        answer = Answer(response.status_code, body, headers, rest, self._check_stop, self._memory)
        if self.jsession and self._began_another(response):
            raise SessionLost(refused=False, answer=answer)
        if self.jsession and _is_ours(answer) and headers.get("connection", "").lower() != "close":
            self._confirmed_at = self._clock.monotonic()
        return answer

    def cookie(self, answer: Answer) -> str:
        """Return the ID of the login session that XNAT has begun, from the body if a proxy lost the cookie (F101)."""
        found = [one.value for one in self._http.cookies if one.name == "JSESSIONID" and one.value]
        if found:
            return found[-1]
        named = answer.text.strip()
        if named and len(named) <= 128 and all(c.isalnum() or c in "-._!~" for c in named):  # noqa: PLR2004
            self._http.cookies.set("JSESSIONID", named)
            return named
        return ""

    def reset_session(self) -> None:
        """Forget a login session that XNAT did not accept, so that another one can begin."""
        self.jsession = ""
        self._http.cookies.clear()

    @property
    def has_expired(self) -> bool:
        """Whether the last request is longer ago than XNAT keeps a login session (F4), so that it need not be tried."""
        return self._clock.monotonic() > self._expires_at

    def was_confirmed_within(self, seconds: float) -> bool:
        """Return whether the last request was answered so lately, in our login session, on a connection that is open.

        To a login session that it has forgotten, XNAT answers 401 or begins another one (F103, F116).
        """
        return self._clock.monotonic() - self._confirmed_at <= seconds

    def ignore_stop(self) -> None:
        """Go on although the program stops, so that we can still log out."""
        self._state.stop, self._state.lease = Event(), None

    def drop(self) -> None:
        """Close the connection, so that remains of a broken exchange cannot disturb the next one."""
        self._confirmed_at = -inf
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
        """Return the seconds for the connection and for the answer. The first also applies to each piece of a body."""
        connect, read = self._access.connect_timeout, self._access.read_timeout
        if request.body is not None:
            return max(connect, SLOWEST_PIECE), read
        return (
            (connect, read) if request.timeout is None else (min(connect, request.timeout), min(read, request.timeout))
        )

    def _receive(self, response: requests.Response, **_: Any) -> requests.Response:
        """Read every answer before requests or xnatpy do."""
        with ExitStack() as failing:
            failing.callback(response.close)  # otherwise an error here would leak the connection
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
        """Return whether to send a cookie back. Without a limit, a server could make us send megabytes."""
        known = [one.name for one in self._http.cookies]
        small = len(cookie.name) + len(cookie.value or "") <= LARGEST_COOKIE
        return small and (cookie.name in known or len(known) < MOST_COOKIES)

    def _take_body(self, response: requests.Response) -> None:
        request = self._request
        assert request is not None  # noqa: S101 - no answer without a request
        beginning, rest, longer = split_body(response.raw.stream(PIECE, decode_content=True), request.limit)
        if longer:
            response.raw.close()
            if not request.cut:
                raise Transient(TOO_LONG)
        self._body = beginning, rest
        response.raw = BytesIO()  # nobody else may read it

    def _check_stop(self) -> None:
        if self._state.stop.is_set():
            raise stopping()


def _is_ours(answer: Answer) -> bool:
    """Return whether an answer is XNAT's own: neither a page nor an error of a proxy."""
    if answer.status == requests.codes.not_found:
        return answer.is_from_xnat
    return answer.is_success and not answer.is_page


def _length(expiry: str) -> float:
    """Return the seconds that a login session lasts without a request; infinity if XNAT does not tell."""
    found = _EXPIRY.fullmatch(expiry)
    return int(found[1]) / 1000 if found else inf


@contextmanager
def _translated(request: XnatRequest, state: ConnectionState) -> Iterator[None]:
    """Let only our own errors and `SessionLost` out. Foreign error texts may contain URLs, and these contain labels."""
    try:
        yield
    except Interrupted:  # SIGTERM while we waited for the connection, or the end of the lease
        ended = stopping if state.stop.is_set() else unheard
        raise ended(spoke=request.purpose.changes_xnat and state.spoke) from None
    except ZipUnreadable as error:  # the disk failed, or the ZIP was changed meanwhile
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
    except (line_errors.HTTPError, AnswerTooLong) as error:  # broken off, undecodable, or too long
        said = TOO_LONG if isinstance(error, AnswerTooLong) else "the answer of XNAT broke off"
        raise _connection_broken(said, error, request, state) from None
    except http_errors.RequestException as error:  # an invalid address or header
        raise _unreachable("XNAT cannot be asked", error, "", request, state) from None
    except XNATError as error:  # xnatpy's own: a path without a slash, a closed session
        raise _unreachable("XNAT cannot be asked", error, "", request, state) from None


def _connection_broken(message: str, error: Exception, request: XnatRequest, state: ConnectionState) -> WatchdError:
    """Return what a broken connection means: XNAT was not reached, a read failed, or XNAT may have acted."""
    if not state.spoke:
        return Unavailable("XNAT cannot be reached", detail=cause(error))
    if request.body is not None and not request.body.is_sent:
        return _upload_broken("the connection to XNAT broke in the middle of the upload", cause(error), request, state)
    return (InDoubt if request.purpose.changes_xnat else Transient)(message, detail=cause(error))


def _upload_broken(message: str, why: str, request: XnatRequest, state: ConnectionState) -> WatchdError:
    """Return what an incomplete upload means. A newer server keeps what it received (F158), so it must be asked."""
    if not state.spoke or request.body is None:
        return Transient(message, detail=why)
    sent = f"{request.body.sent} of {request.body.size} bytes sent"
    return InDoubt(message, detail="; ".join(filter(None, (why, sent))))


def _unreachable(
    message: str, error: Exception, advice: str, request: XnatRequest, state: ConnectionState
) -> Unavailable:
    spoke = request.purpose.changes_xnat and state.spoke
    return Unavailable(message, detail=cause(error), advice=advice, spoke=spoke)
