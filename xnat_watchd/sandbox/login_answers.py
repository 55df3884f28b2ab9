"""Requests about logins: sessions, the current user, alias tokens (F1, F5, F6, F109, F110)."""

from __future__ import annotations

from . import answers
from .answers import Refused, Reply
from .logins import IssuedToken, Logins
from .request import Request

PROVIDER = "localdb"


def sign_in(logins: Logins, request: Request) -> Reply:
    """PUT /data/services/auth (F5, F101); on 1.6 the cookie in the answer is not logged in (F78)."""
    form = request.form()
    name, password = form.get("username", "j_username"), form.get("password", "j_password")
    if not logins.site.is_old:
        _check_form(request.method, name, form.get("provider", "login_method", "authenticatorId"))
    token = logins.tokens.get(name)
    opens = token is not None and token.is_usable(logins.site.now()) and token.secret == password
    right = opens or logins.check(name, password)
    user = token.user if token else name
    if right and logins.site.is_old:
        logins.issue_anonymous_cookie(request)
        return Reply()
    if right:
        return answers.text(logins.begin(request, user))
    if logins.site.is_old:
        raise Refused(500, "Bad credentials" if name in logins.accounts else "Missing login method parameter.")
    raise Refused(401)


def _check_form(method: str, name: str, provider: str) -> None:
    if method == "GET" or not name:
        raise Refused(404)
    if provider not in {"", PROVIDER}:
        raise Refused(400)


def login_session(logins: Logins, request: Request) -> Reply:
    """GET or POST /data/JSESSION: return the ID of the login session; DELETE ends it (F1)."""
    if request.method == "DELETE":
        logins.end(request.login)
        return Reply()
    if request.query.get("CSRF") == "true":
        return answers.text(f"{request.login};XNAT_CSRF={logins.sessions[request.login].csrf}")
    return answers.text(request.login)


def current_user(logins: Logins, request: Request) -> Reply:
    """GET /data/auth (F1; the full stop is 1.6.5's, F118)."""
    return answers.text(f"User '{request.user}' is logged in" + ("." if logins.site.is_old else ""))


def username(_: Logins, request: Request) -> Reply:
    """GET /xapi/users/username (F117)."""
    return answers.text(request.user)


def issue_token(logins: Logins, request: Request) -> Reply:
    """GET /data/services/tokens/issue[/user/NAME] (F6, F109)."""
    user = request.names.get("user", request.user)
    if user != request.user and request.user not in logins.site.admins:
        raise Refused(403, "Only admins can create proxy tokens.")
    alias, token = logins.issue(user)
    if logins.site.is_old:
        return _token_text({"alias": alias, "secret": token.secret})
    return _token_text(_token_description(logins, alias, token))


def own_tokens(logins: Logins, request: Request) -> Reply:
    """GET /data/services/tokens/show (F110)."""
    own = [
        _token_description(logins, alias, token) for alias, token in logins.tokens.items() if token.user == request.user
    ]
    return _token_text(own)


def _token_description(logins: Logins, alias: str, token: IssuedToken) -> dict[str, object]:
    """Return a token as newer servers describe it (F109)."""
    created, expires = (int(moment.timestamp() * 1000) for moment in (token.created, token.expires))
    return {
        "alias": alias, "secret": token.secret, "xdatUserId": token.user, "singleUse": False,
        "estimatedExpirationTime": expires, "validIPAddresses": [], "id": list(logins.tokens).index(alias) + 1,
        "enabled": True, "created": created, "timestamp": created, "disabled": 0,
    }  # fmt: skip


def validate_token(logins: Logins, request: Request) -> Reply:
    """GET /data/services/tokens/validate/ALIAS/SECRET (F110)."""
    token = logins.tokens.get(request.names["alias"])
    if token is None and not logins.site.is_old:
        raise Refused(404)
    if "secret" not in request.names:
        raise Refused(401)
    good = token is not None and token.is_valid and token.secret == request.names.get("secret")
    if good and token:
        return _token_text({"valid": token.user})
    return _token_text({"valid": None} if logins.site.is_old else {})


def invalidate_token(logins: Logins, request: Request) -> Reply:
    """GET /data/services/tokens/invalidate/ALIAS/SECRET (F110)."""
    token = logins.tokens.get(request.names["alias"])
    if token is None:
        raise Refused(404)
    token.is_valid = False
    return answers.text('{"result": "OK"}')


def _token_text(value: object) -> Reply:
    return Reply(200, answers.as_json(value).body, answers.TEXT)
