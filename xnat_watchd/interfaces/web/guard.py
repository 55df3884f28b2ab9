"""The guard before the page: it refuses what a browser was led to send, and bounds all that is sent.

A page on another site can have a browser send requests here, to any address that it likes. It cannot choose the Host
that the browser names, nor where the browser says that the request comes from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LONGEST_BODY = 64 << 10  #: bytes
LONGEST_QUERY = 4000  #: characters
FORM = "application/x-www-form-urlencoded"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),  # with `no-referrer`, Chromium says of a form that its origin is null
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)  # fmt: skip
"""What each answer carries: no script, frame or request of anybody else, and nothing told to other sites."""

_LOOPBACK = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?")
"""The names by which a person reaches the Unix socket, through a tunnel whose port they have chosen."""

Refused = tuple[str, str]  #: the status line, and a sentence


class Guard:
    """A WSGI application that lets only such requests through to the page as one of its own pages may send.

    `origins`: those under which the page is reached, as `https://watchd.example.org`: by a proxy or over TCP. Over the
    Unix socket it is also reached under the names of loopback, with any port.
    """

    def __init__(self, page: WSGIApplication, origins: Collection[str]) -> None:
        self._page = page
        self._origins = {origin.partition("://")[2]: origin for origin in origins}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        start = _with_headers(start_response)
        refused = self._refused(environ)
        if refused is None:
            return self._page(environ, start)
        status, sentence = refused
        start(status, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")])
        return [f"{sentence}\n".encode()]

    def _refused(self, environ: WSGIEnvironment) -> Refused | None:
        method, host = environ["REQUEST_METHOD"], environ.get("HTTP_HOST", "").lower()
        over_unix = environ.get("REMOTE_ADDR", "").startswith("unix:")
        origin = self._origins.get(host) or (f"http://{host}" if over_unix and _LOOPBACK.fullmatch(host) else None)
        if origin is None:
            return "403 Forbidden", "This page is not reached under this name."
        if method not in ("GET", "HEAD", "POST"):
            return "405 Method Not Allowed", "This page is only looked at, and its forms are sent."
        if len(environ.get("QUERY_STRING", "")) > LONGEST_QUERY:
            return "414 URI Too Long", "This address is too long."
        if not _is_own(environ, origin, changes=method == "POST"):
            return "403 Forbidden", "This was not sent by a page of this service."
        return _unfit_body(environ) if method == "POST" else None


def _is_own(environ: WSGIEnvironment, origin: str, *, changes: bool) -> bool:
    """Return whether a request comes from a page of ours, or from a person who follows a link or types the address.

    Browsers say so since 2020 to 2023 (Sec-Fetch-Site), but not to a plain-http address beyond loopback: there only
    Origin tells it, which comes with each form. Another port of this machine is another site's, `same-site`.
    """
    site, said = environ.get("HTTP_SEC_FETCH_SITE"), environ.get("HTTP_ORIGIN")
    if said not in (None, origin):
        return False
    if changes:
        return site == "same-origin" if site is not None else said == origin
    return site in (None, "same-origin", "none") or environ.get("HTTP_SEC_FETCH_MODE") == "navigate"


def _unfit_body(environ: WSGIEnvironment) -> Refused | None:
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        return "400 Bad Request", "This has no length."
    if len(length) > len(str(LONGEST_BODY)) or int(length) > LONGEST_BODY:
        return "413 Content Too Large", "This is too long."
    if int(length) and environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != FORM:
        return "415 Unsupported Media Type", "This is no form."
    return None


def _with_headers(start_response: StartResponse) -> StartResponse:
    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
        return start_response(status, [*headers, *HEADERS], *rest)

    return start
