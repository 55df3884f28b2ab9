"""Alias tokens: what stands in for a password for some days, and can be taken back (F6, F109).

There is no question here whether a token is still good. XNAT's own, `validate`, wants the secret in its path,
where every log on the way keeps it, and passes over the time (F109): a login is the proof.
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

LONGEST_LIFE = timedelta(days=3660)  #: what says that it lives longer says nothing
_SECRET = re.compile(r"[!-~]{8,256}")

WITHOUT_ONE = "Log in with the password: `xnat-watchd login`, without --token."


@dataclass(frozen=True, slots=True)
class Token:
    """An alias token, fresh from the server."""

    alias: str
    secret: Secret
    life: timedelta | None  #: by the server's own clock; None where it does not tell (F6)


class Tokens:
    """The tokens of the account, asked for in a login session of its own, which ends with the `with` block."""

    def __init__(self, server: ServerState) -> None:
        self._client = XnatClient(server)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.log_out()

    def issue(self) -> Token:
        """Have XNAT make a token for us. `Permanent` where it makes none."""
        try:
            answer = self._client.find("/data/services/tokens/issue")
        except RepeatOnce as error:  # 403
            raise Permanent("XNAT makes no token for this account", detail=error.detail, advice=WITHOUT_ONE) from None
        if answer is None:
            raise Permanent("this XNAT knows no tokens", advice=WITHOUT_ONE)
        return _token(answer)

    def invalidate(self, alias: str, secret: Secret) -> None:
        """Take a token back; one that XNAT does not know any more is no matter. Who has it may do so."""
        segments = ["services", "tokens", "invalidate", alias]
        if self._client.dialect.is_old:  # newer ones do without, and the secret stays out of their logs (F110)
            segments.append(secret.reveal())
        self._client.find(path(*segments))


def _token(answer: Answer) -> Token:
    """Read a token. Its life is told by two times of the server's, so that its clock is no matter (F109)."""
    try:
        said: dict[str, Any] = dict(document(answer))
    except (Transient, ValueError, TypeError):  # not chained: the text holds the secret
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
    return Permanent("XNAT gave a token in a form that cannot be read", advice=WITHOUT_ONE)
