"""The page as a WSGI application: who asks is known before any page of it is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from flask import Flask, Response, g, make_response, redirect, render_template, request
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException

from xnat_watchd.adapters.operator_socket import Requester
from xnat_watchd.core.access import HOW_TO_JOIN, WHO_DECIDES, UserAccess
from xnat_watchd.core.errors import Impossible, LedgerUnusable, NoLedger, Refusal, WatchdError
from xnat_watchd.core.printable import plain
from xnat_watchd.interfaces.web import buttons, layout, pages
from xnat_watchd.interfaces.web.guard import LONGEST_BODY, Guard
from xnat_watchd.interfaces.web.reading import Reading
from xnat_watchd.interfaces.web.visitors import COOKIE, COOKIE_HOLDS, Visitors, connected, cookie_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

OPEN = frozenset({"static", "enter"})  #: what somebody may ask for whom nobody knows
FOR_PROGRAMS = frozenset({"pages.metrics"})  #: what a program may ask for that has no cookie: it holds no names
TRY_AGAIN = "5"  #: seconds
OPEN_IT = "Type `xnat-watchd web --open` on this machine: it opens this page."
NOT_KNOWN = (
    "The kernel does not say whose program has connected. Connect to 127.0.0.1 from an IPv4 socket, and do not close "
    "it before the answer."
)
NO_SUCH_USER = "This machine has no user of the name that you have logged in with. Ask its administrator."
_AS_OF = re.compile(rb'<time id="as-of".*?</time>')


@dataclass(frozen=True)
class PageParts:
    """What the page is made for. `address`: where it is reached over loopback TCP; empty if it is not."""

    reading: Reading
    visitors: Visitors
    address: str = ""
    origins: tuple[str, ...] = ()


def application(site: PageParts) -> WSGIApplication:
    """Return the page behind its guard."""
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=LONGEST_BODY, MAX_FORM_MEMORY_SIZE=LONGEST_BODY, MAX_FORM_PARTS=50)
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.finalize = _shown
    app.jinja_env.filters.update(layout.FILTERS)
    app.jinja_env.globals.update(layout.WORDS, visitor=_visitor, shared_ledger=site.reading.shared)
    app.before_request(_who(site.visitors))
    app.after_request(_fresh)
    app.after_request(_renewed(site.visitors))
    app.register_blueprint(pages.blueprint(site.reading))
    app.register_blueprint(buttons.blueprint(site.reading))
    _add_login(app, site)
    for kind, status in ((Impossible, 409), (Refusal, 503), (LedgerUnusable, 503)):
        app.register_error_handler(kind, _sentence(status))
    app.register_error_handler(HTTPException, _refused)
    return Guard(app, site.origins)


def _shown(value: object) -> object:
    """Return a value as a page shows it: what names hold cannot turn a text around, nor hide a part of it."""
    return plain(value) if type(value) is str else value


def _visitor() -> Requester | None:
    known: Requester | None = g.get("visitor")
    return known


def _who(visitors: Visitors) -> Callable[[], Response | None]:
    def ask() -> Response | None:
        if request.endpoint in OPEN:
            return None
        visitor = visitors.at(request.environ)
        if visitor is None and request.endpoint in FOR_PROGRAMS:
            visitor = visitors.program_at(request.environ)
        if connected(request.environ) is None:
            return _message("Who are you?", 401, NOT_KNOWN)
        if visitor is None:
            return _message("Who are you?", 401, NO_SUCH_USER if visitors.is_by_proxy(request.environ) else OPEN_IT)
        if visitor.access < UserAccess.LOOK:
            return _message("This user may not look.", 403, HOW_TO_JOIN)
        if request.method == "POST" and request.endpoint != "link" and visitor.access < UserAccess.DECIDE:
            return _message("This user may not decide.", 403, WHO_DECIDES)
        g.visitor = visitor
        return None

    return ask


def _add_login(app: Flask, site: PageParts) -> None:
    visitors = site.visitors

    def link() -> Response:
        """Make a link by which a browser of the user gets in over TCP."""
        if not site.address or not request.environ["REMOTE_ADDR"].startswith("unix:"):
            return _message("There is no such link here.", 404, "")
        return make_response({"link": f"{site.address}/enter/{visitors.links.new(g.visitor.uid)}"})

    def enter(token: str) -> Response:
        """Let the browser in for which a link was made. A browser that fetches ahead does not use the link up."""
        uid = connected(request.environ)
        ahead = request.method != "GET" or "Sec-Purpose" in request.headers
        if uid is None or ahead or not visitors.links.spend(token, uid):
            return _message("This link holds no more.", 403, "Type `xnat-watchd web --open` for a new one.")
        response = make_response(redirect("/", 303))
        return _with_cookie(response, visitors.cookies.new(uid))

    app.add_url_rule("/link", view_func=link, methods=["POST"])
    app.add_url_rule("/enter/<token>", view_func=enter, methods=["GET"])


def _renewed(visitors: Visitors) -> Callable[[Response], Response]:
    """Have a browser that looks keep its cookie: a screen on the wall looks day and night."""

    def renew(response: Response) -> Response:
        uid, cookie = connected(request.environ), cookie_of(request.environ)
        is_due = _visitor() is not None and uid is not None and visitors.cookies.renew(cookie, uid)
        return _with_cookie(response, cookie) if is_due else response

    return renew


def _with_cookie(response: Response, cookie: str) -> Response:
    response.set_cookie(COOKIE, cookie, int(COOKIE_HOLDS), httponly=True, samesite="Strict")
    return response


def _fresh(response: Response) -> Response:
    """Let no answer be kept, but let a page that looks again be told in a word that nothing has changed."""
    response.headers["Cache-Control"] = "no-store"
    if request.endpoint != "static" and request.method == "GET" and response.status_code == 200:  # noqa: PLR2004 - HTTP's
        content = _AS_OF.sub(b"", response.get_data())
        response.set_etag(sha256(content).hexdigest()[:32])
        response.make_conditional(request)
    return response


def _sentence(status: int) -> Callable[[WatchdError | LedgerUnusable], Response]:
    def tell(error: WatchdError | LedgerUnusable) -> Response:
        is_new = isinstance(error, NoLedger)
        response = _message("Nothing was ever carried here." if is_new else f"{error}.", status, error.advice)
        if status == 503:  # noqa: PLR2004 - HTTP's
            response.headers["Retry-After"] = TRY_AGAIN
        return response

    return tell


def _refused(error: HTTPException) -> Response:
    status = error.code or 500
    return _message("There is no such page." if status == 404 else f"{error.name}.", status, "")  # noqa: PLR2004 - HTTP's


def _message(what: str, status: int, advice: str) -> Response:
    return make_response(render_template("message.html", what=what, advice=advice), status)
