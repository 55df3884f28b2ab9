"""Answer a request: authenticate it, find its route, and call the handler under the site's lock."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from . import answers, prearchive_actions, schemas, versions
from .answers import Refused, Reply
from .forms import in_form
from .logins import GUEST, LoginRefused, Logins
from .request import Request
from .routes import LOGIN_ROUTES, ROUTES, XAPI_ROUTES, Handler, LoginRoute, Route, below_data, login_route
from .site import Site

LOOPBACK = "127.0.0.1"
ALTERING = frozenset({"PUT", "POST", "DELETE"})


class Application:
    """The practice XNAT without its sockets."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.logins = Logins(site)

    def answer(self, request: Request, *, as_guest: bool = False) -> Reply:
        """Return the answer to any request from anybody; `as_guest` answers it as if a guest had sent it."""
        try:
            with self.site.lock:
                if as_guest:
                    self.logins.begin(request, GUEST)
                else:
                    self.logins.authenticate(request)
                prearchive_actions.run_due_work(self.site)
            return self._answered(request)
        except LoginRefused as refused:
            return refused.answer
        except Refused as refused:
            return refused.answer

    def _answered(self, request: Request) -> Reply:
        self._check_token(request)
        if request.path == "/":
            return Reply(200, b"<html xmlns='http://www.w3.org/1999/xhtml'>XNAT</html>", answers.PAGE)
        if request.path.startswith("/xapi/"):
            return self._xapi(request)
        if request.path.startswith("/schemas/"):
            return schemas.schema(self.site, request.path.removeprefix("/schemas/"))
        if login_route(request.path, LOGIN_ROUTES):
            return self._by_login(request, LOGIN_ROUTES)
        return self._archive(request)

    def _xapi(self, request: Request) -> Reply:
        if request.path.removesuffix("/version") == "/xapi/siteConfig/buildInfo" or self.site.is_old:
            return versions.build_info(self.site, request)
        return self._by_login(request, XAPI_ROUTES)

    def _by_login(self, request: Request, routes: tuple[LoginRoute, ...]) -> Reply:
        """Answer by the one of these routes that matches; refuse with 404 where none does."""
        found = login_route(request.path, routes)
        if found is None:
            raise Refused(404)
        route, request.names = found
        if request.method not in route.methods.split():
            raise Refused(405)
        with self.site.lock:
            return route.handler(self.logins, request)

    def _archive(self, request: Request) -> Reply:
        segments = below_data(request.segments)
        if segments is None:
            raise Refused(404)
        route, request.names = _route(segments)
        handlers = route.handlers_on(self.site)
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            return _other_method(request, handlers)
        guard: AbstractContextManager[Any] = nullcontext() if route.is_long else self.site.lock
        with guard:
            return in_form(request, handler(self.site, request))

    def _check_token(self, request: Request) -> None:
        """Refuse a change by a browser that does not send the CSRF token of XNAT's pages (F7)."""
        by_cookie = request.login and not request.new_cookie
        if request.agent_is_browser and by_cookie and request.method in ALTERING and not self._has_token(request):
            raise Refused(500, _invalid_csrf(request))

    def _has_token(self, request: Request) -> bool:
        session = self.logins.sessions.get(request.login)
        return session is not None and request.query.get("XNAT_CSRF") == session.csrf


def _invalid_csrf(request: Request) -> str:
    """Return the text of that refusal: the whole request, including its cookies (F7)."""
    headers = "".join(f"{name.lower()}: {value}\n" for name, value in request.headers.items())
    who = f"from {LOOPBACK} (0) user: {LOOPBACK}"
    words = f"{request.method} on URL: {request.site_url}{request.path} {who}\nHeaders:\n{headers}"
    return f"java.lang.Exception: INVALID CSRF ({words}\n Cookies:\nJSESSIONID {request.login} -1 null\n)"


def _other_method(request: Request, handlers: Mapping[str, Handler]) -> Reply:
    """Answer OPTIONS, and refuse a method that the route lacks; both answers list the allowed methods (F129)."""
    allowed = [*handlers, *(["HEAD"] if "GET" in handlers else []), "OPTIONS"]
    page = Reply() if request.method == "OPTIONS" else Refused(405).answer
    return Reply(200 if request.method == "OPTIONS" else 405, page.body, page.media, (("Allow", ", ".join(allowed)),))


def _route(segments: tuple[str, ...]) -> tuple[Route, dict[str, str]]:
    for route in ROUTES:
        names = route.match(segments)
        if names is not None:
            return route, names
    raise Refused(404)
