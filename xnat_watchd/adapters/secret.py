"""Who we are on XNAT, as the program carries it about: a text that hides itself, and a login that holds one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class Secret:
    """A text that shows itself only when it is asked to. No dataclass: `asdict` would show it."""

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
    """What is known of an alias token that stands in for somebody's password."""

    owner: str  #: whose it is
    issued: datetime
    expires: datetime | None  #: None where the server does not tell: 1.6 (F6)


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and a password, and where they were found, in words for people.

    An alias token is one too (F6, F109); `lease` is there where it was `login` that stored it.
    """

    user: str
    password: Secret
    source: str
    lease: Lease | None = None
