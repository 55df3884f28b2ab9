"""A login for XNAT as the program holds it: a text that hides itself, and a credential that contains one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class Secret:
    """A text that is shown only by `reveal`. It is not a dataclass, since `asdict` would show it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, to send it and for nothing else."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret()"


@dataclass(frozen=True, slots=True)
class Lease:
    """How long an alias token, which stands in for a password, is valid, and for whom."""

    owner: str  #: the user that the token acts for
    issued: datetime
    expires: datetime | None  #: None where the server does not tell: 1.6 (F6)


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and a password, and where they were found, described for people.

    An alias token is one too (F6, F109); `lease` is there where it was `login` that stored it.
    """

    user: str
    password: Secret
    source: str
    lease: Lease | None = None
