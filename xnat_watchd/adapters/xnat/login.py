"""Logging in, without ever locking the account."""

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

LOGIN_TIMEOUT = 60.0  #: seconds for a login and for the cheap question

_ALIAS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LOGGED_IN = re.compile(r"User '([^']{1,200})' is logged in")
_NUMBERS = re.compile(r"(\d{1,4})\.(\d{1,4})")

#: What says that the credentials themselves are wrong. Anything else at a login is the server's trouble.
_REFUSALS = (
    (401, ""),  # 1.8; locked, disabled and unverified accounts too (F102)
    (403, "security token has expired"),  # an alias token of 1.6 that was taken back (F6)
    (500, "bad credentials"),  # 1.6: a wrong password (F5)
    (500, "missing login method parameter"),  # 1.6: an unknown user (F5)
)


@dataclass(frozen=True, slots=True)
class NumberedCredential:
    """Who we are. `number` counts the credentials that this process has been given."""

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
    version: str = ""  #: as the server says it; empty if it does not

    @property
    def is_old(self) -> bool:
        """Whether it behaves as XNAT 1.6 was seen to."""
        return self.name == "1.6"


def log_in(
    transport: Transport, credential: NumberedCredential, now: datetime, previous: Dialect | None = None
) -> Dialect:
    """Begin a login session on a new line, see that it is ours, and ask which XNAT this is.

    `before`: which it was at the last login. Raises `AuthRefused` only when the credentials are refused; everything
    else is `Unavailable`.
    """
    try:
        _begin_session(transport, credential, now, previous)
        dialect = find_dialect(transport, now, previous)
    except SessionLost:  # 401 or another session at once: the cookie does not hold (F103)
        raise Unavailable("XNAT forgets our login at once", advice=A_PAGE) from None
    except Transient as error:  # no answer: nothing of any study's has been done
        raise Unavailable(str(error), detail=error.detail) from None
    if not credential.is_alias and not _is_same_user(transport.who, credential.user):
        raise Unavailable("XNAT takes us for somebody else after the login", advice=A_PAGE)
    return dialect


def _begin_session(
    transport: Transport, credential: NumberedCredential, now: datetime, previous: Dialect | None
) -> None:
    """Begin a login session and prove it. The form keeps the password out of headers, which proxies may log.

    1.6 takes the form, and its cookie is not logged in (seen on 1.6.4 and 1.6.5): there only Basic begins a session.
    A server that was a 1.6 at the last login is not asked by the form again.
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
    """Log in by this request, and ask who we are: nothing before that answer is a login."""
    answer = transport.ask(request)
    _check_login(answer, now)
    transport.jsession = transport.cookie(answer)
    transport.who = ask_user(transport, now)


def ask_user(transport: Transport, now: datetime) -> str:
    """Ask who we are: cheap, and only a working server and a valid login answer it (F1, F103).

    Raises `SessionLost` where XNAT does not know us.
    """
    answer = transport.ask(_get("/data/auth"))
    if answer.status == 401:  # noqa: PLR2004 - also where no cookie came that could be lost
        raise SessionLost(refused=True)
    found = _LOGGED_IN.match(answer.text.strip())
    if answer.status != 200:  # noqa: PLR2004
        raise _as_unavailable(error_for(answer, Purpose.READ, "", now))
    if found is None or found[1] == "guest":
        raise Unavailable("XNAT does not say who we are", advice=A_PAGE)
    return found[1]


def find_dialect(transport: Transport, now: datetime, previous: Dialect | None = None) -> Dialect:
    """Ask for the version: only 1.6 answers at /data/version, the others have buildInfo (F8, F112).

    A server that was new is asked for buildInfo first, and as a rule is new still. Else only a 404 says that it is a
    newer one: a 1.6 that is taken for one is sent what it files elsewhere.
    """
    if previous is not None and not previous.is_old:
        said = version(transport.ask(_get("/xapi/siteConfig/buildInfo")))
        if _NUMBERS.match(said) and not _is_old(said):
            return Dialect("1.8", said)
    answer = transport.ask(_get("/data/version"))
    if answer.status == 404:  # noqa: PLR2004 - nothing else says newer: the newer importer ignores our place on 1.6 (F17)
        return Dialect("1.8", version(transport.ask(_get("/xapi/siteConfig/buildInfo"))))
    if not answer.is_success:
        raise _as_unavailable(error_for(answer, Purpose.READ, "", now))
    said = answer.text.strip()
    if not _NUMBERS.match(said):
        raise Unavailable("XNAT does not say its version", advice=A_PAGE)
    return Dialect("1.6" if _is_old(said) else "1.8", said)


def _is_old(said: str) -> bool:
    """Three and four parts and suffixes occur (F112); what cannot be read is new."""
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
    """Blame the server: a login or the cheap question that fails is never a study's fault."""
    if isinstance(error, Unavailable | AuthRefused):
        return error
    return Unavailable(str(error), detail=error.detail)


def _by_form(credential: NumberedCredential) -> XnatRequest:
    form = {"username": credential.user, "password": credential.password.reveal()}
    return XnatRequest(method="PUT", path="/data/services/auth", purpose=Purpose.READ, form=form, timeout=LOGIN_TIMEOUT)


def _by_basic(credential: NumberedCredential) -> XnatRequest:
    """Log in by Basic: alias tokens (F6), and every credential on 1.6; afterwards the cookie counts."""
    encoded = b64encode(f"{credential.user}:{credential.password.reveal()}".encode()).decode("ascii")
    headers = {"Authorization": f"Basic {encoded}"}
    return XnatRequest(
        method="GET", path="/data/JSESSION", purpose=Purpose.READ, headers=headers, timeout=LOGIN_TIMEOUT
    )


def _get(path: str) -> XnatRequest:
    return XnatRequest(method="GET", path=path, purpose=Purpose.READ, timeout=LOGIN_TIMEOUT)


def _is_same_user(said: str, user: str) -> bool:
    """Compare names: a directory may spell ours otherwise, and `provider/name` is a name too (F113)."""
    return said.casefold() == user.rpartition("/")[2].casefold()
