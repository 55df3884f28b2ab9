"""The commands that the service carries out for other users of this machine, and the words that each may have.

A command with any other option is not among them: no user can have the service read a file or ask a server of
their choice. The words are read here and written anew, so that none is taken for something else by the command itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from xnat_watchd.core.access import UserAccess
from xnat_watchd.core.place_names import is_place_name

ITEM = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")
SUDO = "`sudo xnat-watchd "
MOST_WORDS, LONGEST_WORD = 1000, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PermittedWords:
    """A command that users may have carried out, and its words. `always`: options that are added to it."""

    access: UserAccess
    items: bool = False
    places: bool = False  #: so may names of places in the prearchive, which tell nothing of a patient
    names: bool = False  #: parts of names may be looked for, by those who may see names
    flags: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()  #: options with a value
    always: tuple[str, ...] = ()


_LOOK, _DECIDE = UserAccess.LOOK, UserAccess.DECIDE
_JSON, _WHY = frozenset({"--json"}), frozenset({"--why"})

PERMITTED = {
    "status": PermittedWords(
        access=_LOOK,
        flags=frozenset({"--json", "--watch", "--fleet"}),
        values=frozenset({"--height", "--page", "--seen"}),
    ),
    "items": PermittedWords(access=_LOOK, flags=frozenset({"--stuck"})),
    "deliveries": PermittedWords(
        access=_LOOK,
        names=True,
        flags=frozenset({"--all", "--json", "--csv"}),
        values=frozenset({"--state", "--since", "--project", "--station"}),
    ),
    "show": PermittedWords(access=_LOOK, items=True, places=True, names=True, flags=_JSON),
    "retry": PermittedWords(
        access=_DECIDE,
        items=True,
        flags=frozenset({"--all-held", "--later"}),
        values=frozenset({"--label", "--subject", "--project"}),
        always=("--later",),  # the service does the work; a watching process would only hold a connection
    ),
    "accept": PermittedWords(access=_DECIDE, items=True, values=_WHY),
    "skip": PermittedWords(access=_DECIDE, items=True, values=_WHY),
    "resend": PermittedWords(access=_DECIDE, items=True, values=_WHY),
    "verify": PermittedWords(access=_DECIDE, items=True, values=frozenset({"--since"})),
    "pause": PermittedWords(access=_DECIDE),
    "resume": PermittedWords(access=_DECIDE),
}


def with_sudo(advice: str) -> str:
    """Return an advice for users, with `sudo` before each command that the service carries out for none of them."""
    return re.sub(r"`xnat-watchd (?=([a-z]+))", lambda found: found[0] if found[1] in PERMITTED else SUDO, advice)


class NotPermitted(Exception):
    """These words are no command that users may have carried out."""


@dataclass(frozen=True, slots=True)
class UserCommand:
    """A permitted command with its words."""

    name: str
    options: tuple[str, ...]
    items: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, words: Sequence[str]) -> Self:
        """Return the command that these words are, or raise `NotPermitted`."""
        if not words or len(words) > MOST_WORDS or not all(map(_is_plain, words)):
            raise NotPermitted
        name, *rest = words
        if name not in PERMITTED:
            raise NotPermitted
        options, items, names = _read(PERMITTED[name], iter(rest))
        return cls(name, tuple(options), tuple(items), tuple(names))

    @property
    def watches(self) -> bool:
        """Whether it is shown again and again: each look is a command of its own."""
        return "--watch" in self.options

    @property
    def looks_again(self) -> bool:
        """Whether it is one of the later looks of who watches."""
        return self.watches and any(one.startswith(("--page=", "--seen=")) for one in self.options)

    @property
    def access(self) -> UserAccess:
        """What its sender must be allowed to do."""
        return UserAccess.DECIDE if self.names else PERMITTED[self.name].access

    def words(self) -> list[str]:
        """Return the words for the command: no value can be taken for an option, and no item either."""
        always = PERMITTED[self.name].always
        return [self.name, *dict.fromkeys((*self.options, *always)), "--", *self.items, *self.names]


def _is_plain(word: str) -> bool:
    return len(word) <= LONGEST_WORD and word.isprintable()


def _read(permitted: PermittedWords, words: Iterator[str]) -> tuple[list[str], list[str], list[str]]:
    """Return the options, each with its value in one word, the items, and what is a part of a name."""
    options, items, names = [], [], []
    for word in words:
        name, has_value, value = word.partition("=")
        if word in permitted.flags:
            options.append(word)
        elif name in permitted.values and (has_value or (value := next(words, ""))):
            options.append(f"{name}={value}")
        elif (permitted.items and ITEM.fullmatch(word)) or (permitted.places and is_place_name(word)):
            items.append(word)
        elif permitted.names and word and not word.startswith("-"):
            names.append(word)
        else:
            raise NotPermitted
    return options, items, names
