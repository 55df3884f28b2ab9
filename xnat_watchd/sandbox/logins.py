"""Authentication: accounts, login sessions, alias tokens, expiry and lockout (F1 to F6)."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime

from . import answers
from .answers import Reply
from .request import Request
from .site import Site

GUEST = "guest"
OPEN_PATHS = frozenset({"/", "/data/services/auth"})
REALM = 'Basic realm="XNAT Protected Area"'


@dataclass
class Account:
    """One account; `failures` counts failed logins in a row."""

    password: str
    failures: int = 0
    locked_until: datetime | None = None
    expired: str = ""
    """What has expired: the `password`, or the `account` because it was idle for long (F108)."""


@dataclass
class IssuedToken:
    """An alias token, which replaces a user's name and password."""

    user: str
    secret: str
    created: datetime
    expires: datetime
    is_valid: bool = True

    def is_usable(self, now: datetime) -> bool:
        """Return whether the token is accepted now."""
        return self.is_valid and now < self.expires


@dataclass
class LoginSession:
    """The login session that a JSESSIONID cookie names."""

    user: str
    used: datetime
    csrf: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Logins:
    """All accounts, login sessions and tokens of one site."""

    site: Site
    accounts: dict[str, Account] = field(default_factory=dict)
    sessions: dict[str, LoginSession] = field(default_factory=dict)
    tokens: dict[str, IssuedToken] = field(default_factory=dict)
    anonymous_cookies: set[str] = field(default_factory=set)
    """Cookies that the login form of 1.6 set, which are not logged in."""
    tries: int = 0
    """How often a name and a password or token were sent."""

    def authenticate(self, request: Request) -> None:
        """Set the user of a request, or raise LoginRefused."""
        cookie = request.cookie("JSESSIONID")
        session = self._live_session(cookie)
        basic = _basic(request.headers.get("Authorization", ""))
        if basic and not (session and self._keeps_session(session, *basic)):
            self._switch_session(request, cookie, self._authenticated_user(*basic))
        elif session and (session.user != GUEST or self._is_open(request)):
            request.user, request.login, session.used = session.user, cookie, self.site.now()
            self._check_expiry(session.user)
        elif self._is_open(request):
            request.user = GUEST
            if request.path == "/data/JSESSION":
                self.begin(request, GUEST)
        else:
            raise LoginRefused(self._not_authenticated(request))

    def begin(self, request: Request, user: str) -> str:
        """Start a login session for this request and return its ID."""
        self._check_limit(user)
        if user in self.accounts:
            self.accounts[user].failures = 0
        request.user = user
        request.login = request.new_cookie = secrets.token_hex(16).upper()
        self.sessions[request.login] = LoginSession(user, self.site.now())
        return request.login

    def _check_limit(self, user: str) -> None:
        """Refuse a login beyond the limit of sessions; it counts as a wrong password (F105)."""
        if user != GUEST and sum(one.user == user for one in self.sessions.values()) >= self.site.options.session_limit:
            for cookie in list(self.sessions):
                self._live_session(cookie)
            if sum(one.user == user for one in self.sessions.values()) >= self.site.options.session_limit:
                self._count_failure(self.accounts[user])
                raise LoginRefused(self._bad_password())

    def issue_anonymous_cookie(self, request: Request) -> None:
        """Set a cookie that is not logged in, as the login form of 1.6 does (F78)."""
        request.new_cookie = secrets.token_hex(16).upper()
        self.anonymous_cookies.add(request.new_cookie)

    def end(self, login: str) -> None:
        """End a login session."""
        self.sessions.pop(login, None)

    def check(self, user: str, password: str) -> bool:
        """Return whether the password is accepted; too many wrong ones lock the account for a while."""
        self.tries += 1
        account = self.accounts.get(user)
        if account is None:
            return False
        now = self.site.now()
        if account.locked_until and now < account.locked_until:
            return False
        if hmac.compare_digest(account.password.encode(), password.encode()):
            return account.expired != "account"
        self._count_failure(account)
        return False

    def _check_expiry(self, user: str) -> None:
        """Redirect a user with an expired password to the page for a new one, whatever was asked (F108)."""
        if user in self.accounts and self.accounts[user].expired == "password":
            raise LoginRefused(Reply(302, headers=(("Location", "/app/template/ChangePassword.vm"),)))

    def _count_failure(self, account: Account) -> None:
        """Count a failed login; too many lock the account."""
        account.failures += 1
        if account.failures >= self.site.options.lock_after:
            account.locked_until = self.site.now() + self.site.options.lock_for

    def issue(self, user: str) -> tuple[str, IssuedToken]:
        """Return a new alias token for a user, as its alias and the token."""
        now = self.site.now()
        alias, token = str(uuid.uuid4()), IssuedToken(user, self._secret(), now, now + self.site.options.token_life)
        self.tokens[alias] = token
        return alias, token

    def change_password(self, user: str, password: str) -> None:
        """Create an account or change its password; newer servers then delete its tokens (F114)."""
        if user in self.accounts and not self.site.is_old:
            self.tokens = {alias: token for alias, token in self.tokens.items() if token.user != user}
        self.accounts[user] = Account(password)

    def _secret(self) -> str:
        """Return a new secret: digits on 1.6.5, 64 characters on newer servers (F6, F109)."""
        return str(10**12 + secrets.randbelow(10**12)) if self.site.is_old else secrets.token_hex(32)

    def _live_session(self, cookie: str) -> LoginSession | None:
        session = self.sessions.get(cookie)
        if session and self.site.now() - session.used > self.site.options.session_timeout:
            self.end(cookie)
            return None
        return session

    def _keeps_session(self, session: LoginSession, name: str, password: str) -> bool:
        """Return whether a valid session is used although basic credentials came too (F3, Spring on 1.8)."""
        if self.site.is_old:
            token = self.tokens.get(name)
            stands_for = token.user if token else name
            return stands_for == session.user or not self.check(name, password)
        return name == session.user

    def _authenticated_user(self, name: str, password: str) -> str:
        """Return the user of these credentials, or raise LoginRefused as the dialect answers."""
        token = self.tokens.get(name)
        if token and hmac.compare_digest(token.secret.encode(), password.encode()):
            self.tries += 1
            if token.is_usable(self.site.now()):
                return token.user
            if self.site.is_old:
                words = "Your security token has expired. Please try again after updating your session."
                raise LoginRefused(answers.tomcat_page(403, words))
        elif self.check(name, password):
            if self.accounts[name].expired:
                raise LoginRefused(answers.tomcat_page(403, "Your password has expired."))
            return name
        raise LoginRefused(self._bad_password())

    def _switch_session(self, request: Request, cookie: str, user: str) -> None:
        """Start a session for a user with basic credentials, and end the one of the old cookie (F3)."""
        if cookie in self.sessions:
            self.end(cookie)
        self.begin(request, user)

    def _is_open(self, request: Request) -> bool:
        if request.path in OPEN_PATHS:
            return True
        if self.site.is_old:
            return request.path == "/data/version"
        return request.path in {"/data/JSESSION", "/xapi/siteConfig/buildInfo"} or request.path == "/data/version"

    def _bad_password(self) -> Reply:
        page = answers.tomcat_page(401, "Login attempt failed. Please try again.")
        return page if self.site.is_old else Reply(401, page.body, page.media, (("WWW-Authenticate", REALM),))

    def _not_authenticated(self, request: Request) -> Reply:
        """Return the answer to a request without valid credentials (F2, F3, F102, F104)."""
        if request.agent_is_browser and not self.site.is_old:
            return Reply(302, headers=(("Location", "/app/template/Login.vm"),))
        if request.cookie("JSESSIONID") in self.anonymous_cookies:
            return answers.tomcat_page(401)
        page = answers.status_page(401, answers.RESTLET_WORDS[401])
        if not self.site.is_old:
            page = answers.tomcat_page(401, "Full authentication is required to access this resource")
        return Reply(401, page.body, page.media, (("WWW-Authenticate", REALM),))


class LoginRefused(Exception):
    """The request ends at the login, with this answer: a refusal or a redirect."""

    def __init__(self, answer: Reply) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _basic(header: str) -> tuple[str, str] | None:
    """Return the name and password of an Authorization header, None where it has none."""
    kind, _, coded = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(coded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password
