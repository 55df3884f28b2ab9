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
PROVIDER = "localdb"
REALM = 'Basic realm="XNAT Protected Area"'


@dataclass
class Account:
    """One account; the counter is of failed logins in a row."""

    password: str
    failures: int = 0
    locked_until: datetime | None = None
    expired: str = ""
    """What has expired: the `password`, or the `account` by long idleness (C8 1.3)."""


@dataclass
class Token:
    """An alias token: a stand-in for name and password."""

    user: str
    secret: str
    created: datetime
    expires: datetime
    is_valid: bool = True

    def opens(self, now: datetime) -> bool:
        """Whether one may come in with it."""
        return self.is_valid and now < self.expires


@dataclass
class LoginSession:
    """What a JSESSIONID cookie stands for."""

    user: str
    used: datetime
    csrf: str = field(default_factory=lambda: str(uuid.uuid4()))


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
            self._check_expiry(session.user)
        elif self._is_open(request):
            request.user = GUEST
            if request.path == "/data/JSESSION":
                self.begin(request, GUEST)
        else:
            raise Turned(self._unknown(request))

    def begin(self, request: Request, user: str) -> str:
        """Start a login session for this request; gives its id."""
        self._check_limit(user)
        if user in self.accounts:
            self.accounts[user].failures = 0
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
            return account.expired != "account"
        self._fail(account)
        return False

    def _check_expiry(self, user: str) -> None:
        """Send whoever has an expired password to the screen for a new one, whatever was asked (C8 1.3)."""
        if user in self.accounts and self.accounts[user].expired == "password":
            raise Turned(Answer(302, headers=(("Location", "/app/template/ChangePassword.vm"),)))

    def _fail(self, account: Account) -> None:
        """Count a failed login; too many lock the account."""
        account.failures += 1
        if account.failures >= self.site.options.lock_after:
            account.locked_until = self.site.now() + self.site.options.lock_for

    def issue(self, user: str) -> tuple[str, Token]:
        """Make an alias token for somebody."""
        now = self.site.now()
        alias, token = str(uuid.uuid4()), Token(user, self._secret(), now, now + self.site.options.token_life)
        self.tokens[alias] = token
        return alias, token

    def change_password(self, user: str, password: str) -> None:
        """Make an account, or give one another password; newer servers then forget its tokens (C8 17.3)."""
        if user in self.accounts and not self.site.is_old:
            self.tokens = {alias: token for alias, token in self.tokens.items() if token.user != user}
        self.accounts[user] = Account(password)

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
            if token.opens(self.site.now()):
                return token.user
            if self.site.is_old:
                words = "Your security token has expired. Please try again after updating your session."
                raise Turned(answers.tomcat_page(403, words))
        elif self.check(name, password):
            if self.accounts[name].expired:
                raise Turned(answers.tomcat_page(403, "Your password has expired."))
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
    if not logins.site.is_old:
        _check_form(request.method, name, form.get("provider", "login_method", "authenticatorId"))
    token = logins.tokens.get(name)
    opens = token is not None and token.opens(logins.site.now()) and token.secret == password
    right = opens or logins.check(name, password)
    user = token.user if token else name
    if right:
        login = logins.begin(request, user)
        return Answer() if logins.site.is_old else answers.text(login)
    if logins.site.is_old:
        raise Refused(500, "Bad credentials" if name in logins.accounts else "Missing login method parameter.")
    raise Refused(401)


def _check_form(method: str, name: str, provider: str) -> None:
    if method == "GET" or not name:
        raise Refused(404)
    if provider not in {"", PROVIDER}:
        raise Refused(400)


def jsession(logins: Logins, request: Request) -> Answer:
    """GET or POST /data/JSESSION gives the session's id, DELETE ends it (F1)."""
    if request.method == "DELETE":
        logins.end(request.login)
        return Answer()
    if request.query.get("CSRF") == "true":
        return answers.text(f"{request.login};XNAT_CSRF={logins.sessions[request.login].csrf}")
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
    return _token_text(_told(logins, alias, token))


def own_tokens(logins: Logins, request: Request) -> Answer:
    """GET /data/services/tokens/show (C8 1.1)."""
    own = [_told(logins, alias, token) for alias, token in logins.tokens.items() if token.user == request.user]
    return _token_text(own)


def _told(logins: Logins, alias: str, token: Token) -> dict[str, object]:
    """Give what newer servers tell of a token (C8 1.4)."""
    created, expires = (int(moment.timestamp() * 1000) for moment in (token.created, token.expires))
    return {
        "alias": alias, "secret": token.secret, "xdatUserId": token.user, "singleUse": False,
        "estimatedExpirationTime": expires, "validIPAddresses": [], "id": list(logins.tokens).index(alias) + 1,
        "enabled": True, "created": created, "timestamp": created, "disabled": 0,
    }  # fmt: skip


def validate_token(logins: Logins, request: Request) -> Answer:
    """GET /data/services/tokens/validate/ALIAS/SECRET (captures 96, 99; C8 1.1)."""
    token = logins.tokens.get(request.names["alias"])
    if token is None and not logins.site.is_old:
        raise Refused(404)
    if "secret" not in request.names:
        raise Refused(401)
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


def _token_text(value: object) -> Answer:
    return Answer(200, answers.as_json(value).body, answers.TEXT)
