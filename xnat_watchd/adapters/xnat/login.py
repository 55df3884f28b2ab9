"""Log in without ever locking the account."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.answer_meanings import A_PAGE, Purpose, error_for
from xnat_watchd.adapters.xnat.answers import Answer, version
from xnat_watchd.adapters.xnat.transport import SessionLost, Transport, XnatRequest
from xnat_watchd.core.errors import AuthRefused, Transient, Unavailable, WatchdError

LOGIN_TIMEOUT = 60.0  #: seconds for a login and for the idle check

_ALIAS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LOGGED_IN = re.compile(r"User '([^']{1,200})' is logged in")
_NUMBERS = re.compile(r"(\d{1,4})\.(\d{1,4})")

#: Answers that mean that the credentials are wrong. Anything else at a login is the server's fault.
_REFUSALS = (
    (401, ""),  # 1.8; locked, disabled and unverified accounts too (F102)
    (403, "security token has expired"),  # an alias token of 1.6 that was revoked (F6)
    (500, "bad credentials"),  # 1.6: a wrong password (F5)
    (500, "missing login method parameter"),  # 1.6: an unknown user (F5)
)


@dataclass(frozen=True, slots=True)
class NumberedCredential:
    """A credential. `number` counts the credentials that this process has received."""

    user: str
    password: Secret
    number: int = 0

    @property
    def is_alias(self) -> bool:
        """Whether this is an alias token: its user is a UUID (F6, F109)."""
        return _ALIAS.fullmatch(self.user) is not None


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which XNAT this is."""

    name: Literal["1.6", "1.8"]  #: 1.8 stands for everything newer than 1.6
    version: str = ""  #: as the server tells it; empty if it does not

    @property
    def is_old(self) -> bool:
        """Whether it behaves like XNAT 1.6."""
        return self.name == "1.6"


def log_in(
    transport: Transport, credential: NumberedCredential, now: datetime, previous: Dialect | None = None
) -> Dialect:
    """Begin a login session on a new transport, check that it is ours, and return which XNAT this is.

    `before`: which it was at the last login. Raise `AuthRefused` only if the credentials are refused, and
    `Unavailable` on any other failure.
    """
    try:
        _begin_session(transport, credential, now, previous)
        dialect = find_dialect(transport, now, previous)
    except SessionLost:  # 401 or another session at once: XNAT does not accept its own cookie (F103)
        raise Unavailable("XNAT forgets our login at once", advice=A_PAGE) from None
    except Transient as error:  # no answer: the server's fault, not a study's
        raise Unavailable(str(error), detail=error.detail) from None
    if not credential.is_alias and not _is_same_user(transport.who, credential.user):
        raise Unavailable("XNAT names another user than ours after the login", advice=A_PAGE)
    return dialect


def _begin_session(
    transport: Transport, credential: NumberedCredential, now: datetime, previous: Dialect | None
) -> None:
    """Begin a login session and check it. The form keeps the password out of headers, which proxies may log.

    1.6 accepts the form, but its cookie is not logged in (seen on 1.6.4 and 1.6.5): there only Basic begins a session.
    The form is not sent to a server that was a 1.6 at the last login.
    """
    if not (credential.is_alias or (previous is not None and previous.is_old)):
        try:
            _log_in_by(transport, _by_form(credential), now)
        except SessionLost:
            transport.reset_session()
        else:
            return
    _log_in_by(transport, _by_basic(credential), now)


def _log_in_by(transport: Transport, request: XnatRequest, now: datetime) -> None:
    """Log in by this request, and ask who we are: only the answer to that proves the login."""
    answer = transport.ask(request)
    _check_login(answer, now)
    transport.jsession = transport.cookie(answer)
    transport.who = ask_user(transport, now)


def ask_user(transport: Transport, now: datetime) -> str:
    """Return our user name as XNAT tells it: a cheap request that needs a working server and a valid login (F1, F103).

    Raise `SessionLost` if XNAT does not know us.
    """
    answer = transport.ask(_get("/data/auth"))
    if answer.status == 401:  # noqa: PLR2004 - also if there was never a cookie
        raise SessionLost(refused=True)
    found = _LOGGED_IN.match(answer.text.strip())
    if answer.status != 200:  # noqa: PLR2004
        raise _as_unavailable(error_for(answer, Purpose.READ, "", now))
    if found is None or found[1] == "guest":
        raise Unavailable("XNAT does not say who we are", advice=A_PAGE)
    return found[1]


def find_dialect(transport: Transport, now: datetime, previous: Dialect | None = None) -> Dialect:
    """Return which XNAT this is: only 1.6 answers at /data/version, newer servers have buildInfo (F8, F112).

    A server that was new at the last login is asked for buildInfo first: it is usually still new. Otherwise only a 404
    means that it is newer. If a 1.6 were taken for newer, it would put uploads into a place that we did not choose.
    """
    if previous is not None and not previous.is_old:
        said = version(transport.ask(_get("/xapi/siteConfig/buildInfo")))
        if _NUMBERS.match(said) and not _is_old(said):
            return Dialect("1.8", said)
    answer = transport.ask(_get("/data/version"))
    if answer.status == 404:  # noqa: PLR2004 - nothing else means newer: 1.6 ignores the place in a newer request (F17)
        return Dialect("1.8", version(transport.ask(_get("/xapi/siteConfig/buildInfo"))))
    if not answer.is_success:
        raise _as_unavailable(error_for(answer, Purpose.READ, "", now))
    said = answer.text.strip()
    if not _NUMBERS.match(said):
        raise Unavailable("XNAT does not say its version", advice=A_PAGE)
    return Dialect("1.6" if _is_old(said) else "1.8", said)


def _is_old(said: str) -> bool:
    """Return whether a version is 1.6 or older. Three or four parts and suffixes occur (F112); unreadable means new."""
    found = _NUMBERS.match(said)
    return found is not None and (int(found[1]), int(found[2])) <= (1, 6)


def _check_login(answer: Answer, now: datetime) -> None:
    if answer.status in {200, 201, 204} and not answer.is_page:
        return
    if any(answer.status == status and words in answer.words for status, words in _REFUSALS):
        raise AuthRefused("XNAT refuses the user or the password", detail=answer.reason)
    if answer.is_page and answer.status < 300:  # noqa: PLR2004
        raise Unavailable("a page came where XNAT should answer the login", advice=A_PAGE)
    raise _as_unavailable(error_for(answer, Purpose.READ, "", now))


def _as_unavailable(error: WatchdError) -> WatchdError:
    """Return the error as one of the server: a failed login or idle check is never a study's fault."""
    if isinstance(error, Unavailable | AuthRefused):
        return error
    return Unavailable(str(error), detail=error.detail)


def _by_form(credential: NumberedCredential) -> XnatRequest:
    form = {"username": credential.user, "password": credential.password.reveal()}
    return XnatRequest(method="PUT", path="/data/services/auth", purpose=Purpose.READ, form=form, timeout=LOGIN_TIMEOUT)


def _by_basic(credential: NumberedCredential) -> XnatRequest:
    """Return a login by Basic, for alias tokens (F6) and for every credential on 1.6. Later requests use the cookie."""
    encoded = b64encode(f"{credential.user}:{credential.password.reveal()}".encode()).decode("ascii")
    headers = {"Authorization": f"Basic {encoded}"}
    return XnatRequest(
        method="GET", path="/data/JSESSION", purpose=Purpose.READ, headers=headers, timeout=LOGIN_TIMEOUT
    )


def _get(path: str) -> XnatRequest:
    return XnatRequest(method="GET", path=path, purpose=Purpose.READ, timeout=LOGIN_TIMEOUT)


def _is_same_user(said: str, user: str) -> bool:
    """Compare user names: a directory may use other capitals, and `provider/name` is a user name too (F113)."""
    return said.casefold() == user.rpartition("/")[2].casefold()
