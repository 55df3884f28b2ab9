"""Alias tokens, which replace a password for some days and can be revoked (F6, F109).

Nothing here asks whether a token is still valid. XNAT's `validate` needs the secret in its path, where every log on
the way keeps it, and it ignores the expiry (F109). Only a login proves a token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from xnat_watchd.adapters.secret import Secret
from xnat_watchd.adapters.xnat.answers import Answer, document
from xnat_watchd.adapters.xnat.client import XnatClient
from xnat_watchd.adapters.xnat.login import NumberedCredential
from xnat_watchd.adapters.xnat.records import path
from xnat_watchd.adapters.xnat.server import ServerState
from xnat_watchd.core.errors import Permanent, RepeatOnce, Transient

LONGEST_LIFE = timedelta(days=3660)  #: a longer lifetime is not believed
_SECRET = re.compile(r"[!-~]{8,256}")

WITHOUT_ONE = "Log in with the password: `xnat-watchd login`, without --token."


@dataclass(frozen=True, slots=True)
class Token:
    """An alias token, fresh from the server."""

    alias: str
    secret: Secret
    life: timedelta | None  #: by the server's own clock; None if it does not tell (F6)


class Tokens:
    """The tokens of the account. The login session ends with the `with` block."""

    def __init__(self, server: ServerState) -> None:
        self._client = XnatClient(server)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.log_out()

    def issue(self) -> Token:
        """Return a new token from XNAT. Raise `Permanent` if it issues none."""
        try:
            answer = self._client.find("/data/services/tokens/issue")
        except RepeatOnce as error:  # 403
            raise Permanent("XNAT issues no token for this account", detail=error.detail, advice=WITHOUT_ONE) from None
        if answer is None:
            raise Permanent("this XNAT has no alias tokens", advice=WITHOUT_ONE)
        return _token(answer)

    def invalidate(self, alias: str, secret: Secret) -> None:
        """Revoke a token, if XNAT still knows it. Whoever has a token may revoke it."""
        segments = ["services", "tokens", "invalidate", alias]
        if self._client.dialect.is_old:  # newer servers need no secret, which keeps it out of their logs (F110)
            segments.append(secret.reveal())
        self._client.find(path(*segments))


def _token(answer: Answer) -> Token:
    """Return a token. Its lifetime is the difference of two server times, so no clock need be right (F109)."""
    try:
        said: dict[str, Any] = dict(document(answer))
    except (Transient, ValueError, TypeError):  # not chained: the text contains the secret
        raise _unreadable() from None
    alias, secret = said.get("alias"), said.get("secret")
    if not (isinstance(alias, str) and isinstance(secret, str) and _SECRET.fullmatch(secret)):
        raise _unreadable()
    token = Token(alias, Secret(secret), _life(said.get("created"), said.get("estimatedExpirationTime")))
    if not NumberedCredential(token.alias, token.secret).is_alias:
        raise _unreadable()
    return token


def _life(created: object, expires: object) -> timedelta | None:
    if not (isinstance(created, int) and isinstance(expires, int) and created < expires):
        return None
    milliseconds = expires - created
    return timedelta(milliseconds=milliseconds) if milliseconds < LONGEST_LIFE // timedelta(milliseconds=1) else None


def _unreadable() -> Permanent:
    return Permanent("XNAT sent a token in a form that cannot be read", advice=WITHOUT_ONE)
