"""Why a connection failed, in words: the system's own, or ours for what the libraries have only a name for.

Texts of libraries are never passed on: they contain URLs, and these contain labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from http.client import BadStatusLine, RemoteDisconnected

from urllib3.exceptions import (
    ConnectTimeoutError,
    IncompleteRead,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

LONGEST_CHAIN = 8  #: errors of which one is the cause of the next that are looked at

_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (NameResolutionError, "its name is not known here"),
    (NewConnectionError, "it takes no connection"),
    (ConnectTimeoutError, "nothing answered in time"),
    (ReadTimeoutError, "no answer came in time"),
    (RemoteDisconnected, "the other side hung up"),
    (BadStatusLine, "what answered is no web server"),
    (IncompleteRead, "the answer was cut short"),
)
"""The first that fits counts: each of the first two is one of the next, and so is the one who hung up."""


def cause(error: BaseException) -> str:
    """Return why a connection failed, by the innermost error that has words; empty if none has."""
    return next(filter(None, map(_words, reversed([*_chain(error)]))), "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it. Libraries keep the cause in different places."""
    seen: BaseException | None = error
    for _ in range(LONGEST_CHAIN):
        if seen is None:
            return
        yield seen
        inner = (getattr(seen, "reason", None), *seen.args, seen.__cause__, seen.__context__)
        seen = next((one for one in inner if isinstance(one, BaseException)), None)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and isinstance(error.strerror, str):
        return error.strerror
    return next((words for kind, words in _WORDS if isinstance(error, kind)), "")
