"""Who may come in: accounts, login sessions, alias tokens, expiry and lockout (C8 1, F1 to F6)."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime

from . import answers
from .answers import Answer, Refused
from .request import Request
from .site import Site

GUEST = "guest"
OPEN_PATHS = frozenset({"/", "/data/services/auth"})
REALM = 'Basic realm="XNAT Protected Area"'


@dataclass
class Account:
    """One account; the counter is of failed logins in a row."""

    password: str
    failures: int = 0
    locked_until: datetime | None = None


@dataclass
class Token:
    """An alias token: a stand-in for name and password."""

    user: str
    secret: str
    is_valid: bool = True


@dataclass
class LoginSession:
    """What a JSESSIONID cookie stands for."""

    user: str
    used: datetime


@dataclass
class Logins:
    """All accounts and sessions of one site."""

    site: Site
    accounts: dict[str, Account] = field(default_factory=dict)
    sessions: dict[str, LoginSession] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)

    def admit(self, request: Request) -> None:
        """Find out who asks and note it on the request; leaves with a refusal where nobody may."""
        cookie = request.cookie("JSESSIONID")
        session = self._alive(cookie)
        basic = _basic(request.headers.get("Authorization", ""))
        if basic and not (session and self._keeps(session, *basic)):
            self._change(request, cookie, self._owner(*basic))
        elif session and (session.user != GUEST or self._is_open(request)):
            request.user, request.login, session.used = session.user, cookie, self.site.now()
        elif self._is_open(request):
            request.user = GUEST
            if request.path == "/data/JSESSION":
                self.begin(request, GUEST)
        else:
            raise Turned(self._unknown(request))

    def begin(self, request: Request, user: str) -> str:
        """Start a login session for this request; gives its id."""
        self._check_limit(user)
        request.user = user
        request.login = request.new_cookie = secrets.token_hex(16).upper()
        self.sessions[request.login] = LoginSession(user, self.site.now())
        return request.login

    def _check_limit(self, user: str) -> None:
        """Refuse a login beyond the limit; it counts like a wrong password (C8 1.2)."""
        if user != GUEST and sum(one.user == user for one in self.sessions.values()) >= self.site.options.session_limit:
            for cookie in list(self.sessions):
                self._alive(cookie)
            if sum(one.user == user for one in self.sessions.values()) >= self.site.options.session_limit:
                self._fail(self.accounts[user])
                raise Turned(self._bad_password())

    def end(self, login: str) -> None:
        """End a login session."""
        self.sessions.pop(login, None)

    def check(self, user: str, password: str) -> bool:
        """Whether this password opens this account; wrong ones are counted and lock it for a while."""
        account = self.accounts.get(user)
        if account is None:
            return False
        now = self.site.now()
        if account.locked_until and now < account.locked_until:
            return False
        if hmac.compare_digest(account.password.encode(), password.encode()):
            account.failures, account.locked_until = 0, None
            return True
        self._fail(account)
        return False

    def _fail(self, account: Account) -> None:
        """Count a failed login; too many lock the account."""
        account.failures += 1
        if account.failures >= self.site.options.lock_after:
            account.locked_until = self.site.now() + self.site.options.lock_for

    def issue(self, user: str) -> tuple[str, Token]:
        """Make an alias token for somebody."""
        alias, token = str(uuid.uuid4()), Token(user, self._secret())
        self.tokens[alias] = token
        return alias, token

    def _secret(self) -> str:
        """Make a secret: digits on 1.6.5, 64 characters later (F6, C8 1.4)."""
        return str(10**12 + secrets.randbelow(10**12)) if self.site.is_old else secrets.token_hex(32)

    def _alive(self, cookie: str) -> LoginSession | None:
        session = self.sessions.get(cookie)
        if session and self.site.now() - session.used > self.site.options.session_timeout:
            self.end(cookie)
            return None
        return session

    def _keeps(self, session: LoginSession, name: str, password: str) -> bool:
        """Whether a living session is used although basic credentials came too (F3, Spring on 1.8)."""
        if self.site.is_old:
            token = self.tokens.get(name)
            stands_for = token.user if token else name
            return stands_for == session.user or not self.check(name, password)
        return name == session.user

    def _owner(self, name: str, password: str) -> str:
        """Give the user of these credentials, or leave with the refusal of the dialect."""
        token = self.tokens.get(name)
        if token and hmac.compare_digest(token.secret.encode(), password.encode()):
            if token.is_valid:
                return token.user
            if self.site.is_old:
                words = "Your security token has expired. Please try again after updating your session."
                raise Turned(answers.tomcat_page(403, words))
        elif self.check(name, password):
            return name
        raise Turned(self._bad_password())

    def _change(self, request: Request, cookie: str, user: str) -> None:
        """Begin a session for somebody who came with basic credentials; the old cookie dies (F3)."""
        if cookie in self.sessions:
            self.end(cookie)
        self.begin(request, user)

    def _is_open(self, request: Request) -> bool:
        if request.path in OPEN_PATHS:
            return True
        if self.site.is_old:
            return request.path == "/data/version"
        return request.path in {"/data/JSESSION", "/xapi/siteConfig/buildInfo"} or request.path == "/data/version"

    def _bad_password(self) -> Answer:
        page = answers.tomcat_page(401, "Login attempt failed. Please try again.")
        return page if self.site.is_old else Answer(401, page.body, page.media, (("WWW-Authenticate", REALM),))

    def _unknown(self, request: Request) -> Answer:
        """Give the answer to somebody without any valid credentials (C8 1.2; captures 4, 17)."""
        if request.agent_is_browser and not self.site.is_old:
            return Answer(302, headers=(("Location", "/app/template/Login.vm"),))
        page = answers.status_page(401, answers.RESTLET_WORDS[401])
        if not self.site.is_old:
            page = answers.tomcat_page(401, "Full authentication is required to access this resource")
        return Answer(401, page.body, page.media, (("WWW-Authenticate", REALM),))


class Turned(Exception):
    """Leaves with a ready answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _basic(header: str) -> tuple[str, str] | None:
    """Give name and password of an Authorization header."""
    kind, _, coded = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(coded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


def sign_in(logins: Logins, request: Request) -> Answer:
    """PUT /data/services/auth (C8 1.1, F5)."""
    form = request.form()
    name, password = form.get("username", "j_username"), form.get("password", "j_password")
    token = logins.tokens.get(name)
    right = bool(token and token.is_valid and token.secret == password) or logins.check(name, password)
    user = token.user if token else name
    if right:
        login = logins.begin(request, user)
        return Answer() if logins.site.is_old else answers.text(login)
    if logins.site.is_old:
        raise Refused(500, "Bad credentials" if name in logins.accounts else "Missing login method parameter.")
    raise Refused(401)


def jsession(logins: Logins, request: Request) -> Answer:
    """GET or POST /data/JSESSION gives the session's id, DELETE ends it (F1)."""
    if request.method == "DELETE":
        logins.end(request.login)
        return Answer()
    return answers.text(request.login)


def who(logins: Logins, request: Request) -> Answer:
    """GET /data/auth (F1; the full stop is 1.6.5's, capture 11)."""
    return answers.text(f"User '{request.user}' is logged in" + ("." if logins.site.is_old else ""))


def username(_: Logins, request: Request) -> Answer:
    """GET /xapi/users/username (C8 1.1)."""
    return answers.text(request.user)


def issue_token(logins: Logins, request: Request) -> Answer:
    """GET /data/services/tokens/issue[/user/NAME] (F6, C8 1.4)."""
    user = request.names.get("user", request.user)
    if user != request.user and request.user not in logins.site.admins:
        raise Refused(403, "Only admins can create proxy tokens.")
    alias, token = logins.issue(user)
    if logins.site.is_old:
        return _token_text({"alias": alias, "secret": token.secret})
    now = int(logins.site.now().timestamp() * 1000)
    return _token_text(
        {
            "alias": alias, "secret": token.secret, "xdatUserId": user, "singleUse": False,
            "estimatedExpirationTime": now + 172_800_000, "validIPAddresses": [], "enabled": True,
            "created": now, "timestamp": now, "disabled": 0,
        }
    )  # fmt: skip


def validate_token(logins: Logins, request: Request) -> Answer:
    """GET /data/services/tokens/validate/ALIAS/SECRET (captures 96, 99; C8 1.1)."""
    token = logins.tokens.get(request.names["alias"])
    if token is None and not logins.site.is_old:
        raise Refused(404)
    good = token is not None and token.is_valid and token.secret == request.names.get("secret")
    if good and token:
        return _token_text({"valid": token.user})
    return _token_text({"valid": None} if logins.site.is_old else {})


def invalidate_token(logins: Logins, request: Request) -> Answer:
    """GET /data/services/tokens/invalidate/ALIAS/SECRET (capture 97)."""
    token = logins.tokens.get(request.names["alias"])
    if token is None:
        raise Refused(404)
    token.is_valid = False
    return answers.text('{"result": "OK"}')


def _token_text(value: dict[str, object]) -> Answer:
    return Answer(200, answers.as_json(value).body, answers.TEXT)
