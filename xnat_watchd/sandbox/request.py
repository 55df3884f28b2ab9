"""One request as the handlers see it: path, parameters, and a body that is read as it arrives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import BinaryIO
from urllib.parse import parse_qsl

FORM = "application/x-www-form-urlencoded"
LARGEST_FORM = 1024 * 1024


class Parameters:
    """The parameters of a query or form, in order and repeatable."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    @classmethod
    def of(cls, encoded: str) -> Parameters:
        """Return the parameters of a query string or of an encoded form."""
        return cls(parse_qsl(encoded, keep_blank_values=True))

    def get(self, *names: str, default: str = "") -> str:
        """Return the first value under any of these names."""
        found = dict(reversed(self.pairs))
        return next((found[name] for name in names if name in found), default)

    def all(self, name: str) -> list[str]:
        """Return every value under a name."""
        return [value for key, value in self.pairs if key == name]

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return whether a flag is set; any value except `false` and `0` sets it (F126)."""
        return self.get(name) not in {"false", "0"} if name in self else default

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.pairs)

    def __add__(self, other: Parameters) -> Parameters:
        return Parameters(self.pairs + other.pairs)


class Body:
    """The body of a request, read in pieces and never whole; `taken` counts the bytes that were read."""

    def __init__(
        self, stream: BinaryIO, length: int | None, watch: Callable[[int], None], stop_at: int | None = None
    ) -> None:
        self._stream, self._watch, self._stop_at = stream, watch, stop_at
        self._read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        self.length = length
        self.taken = 0
        self._left = length or 0
        self._chunked = length is None
        self._ended = False

    @property
    def is_empty(self) -> bool:
        """Whether the request has no body."""
        return self.length == 0

    @property
    def is_cut(self) -> bool:
        """Whether the client went away before it had sent the whole body."""
        return self._ended and (self._left > 0 or (self._chunked and self.length is None))

    def read(self, limit: int) -> bytes:
        """Return up to `limit` bytes, none at the end or where the client has gone; a piece ends at `stop_at`."""
        self._watch(self.taken)
        if self._stop_at is not None and self._stop_at > self.taken:
            limit = min(limit, self._stop_at - self.taken)
        if self._chunked and not self._left and not self._ended:
            self._next_chunk()
        piece = b"" if self._ended else self._some(min(limit, self._left))
        self.taken += len(piece)
        return piece

    def drain(self) -> None:
        """Read and drop the remaining bytes, so that the connection can be used again."""
        while self.read(1024 * 1024):
            pass

    def _some(self, limit: int) -> bytes:
        if not limit:
            return b""
        try:
            piece = self._read(limit)
        except OSError:
            piece = b""
        self._left -= len(piece)
        self._ended = not piece
        if self._chunked and piece and not self._left:
            self._stream.readline(8)
        return piece

    def _next_chunk(self) -> None:
        try:
            self._left = int(self._stream.readline(64).split(b";")[0], 16)
        except (ValueError, OSError):
            self._ended = True
            return
        if not self._left:
            self._stream.readline(8)
            self._ended, self.length = True, self.taken


@dataclass
class Request:
    """One request: its user, its path and parameters, its headers and its body."""

    method: str
    path: str
    segments: tuple[str, ...]
    query: Parameters
    headers: Mapping[str, str]
    body: Body
    raw_query: str = ""
    user: str = ""
    login: str = ""
    new_cookie: str = ""
    names: dict[str, str] = field(default_factory=dict)

    @property
    def media(self) -> str:
        """The body's media type, lower case, without its parameters."""
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()

    @property
    def agent_is_browser(self) -> bool:
        """Whether the client says that it is a browser (F104)."""
        agent = self.headers.get("User-Agent", "")
        return any(word in agent for word in ("Mozilla", "MSIE", "AppleWebKit", "Opera"))

    @property
    def site_url(self) -> str:
        """The URL of this site as the client used it."""
        return f"http://{self.headers.get('Host', '')}"

    def cookie(self, name: str) -> str:
        """Return the value of a cookie, empty where there is none."""
        try:
            morsel = SimpleCookie(self.headers.get("Cookie", "")).get(name)
        except CookieError:
            return ""
        return morsel.value if morsel else ""

    def form(self) -> Parameters:
        """Return the parameters of a form in the body, none where the body is not a form."""
        if self.media != FORM:
            return Parameters([])
        parts = bytearray()
        while len(parts) < LARGEST_FORM and (piece := self.body.read(LARGEST_FORM)):
            parts += piece
        return Parameters.of(parts.decode("utf-8", "replace"))
