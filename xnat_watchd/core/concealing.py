"""Names taken out of sentences, however many names and sentences there are: anybody who may drop files makes both."""

from __future__ import annotations

import re
from collections.abc import Iterable

CONCEALED = "…"  #: stands for a project's name that may be a patient's

_WORD = re.compile(r"[\w-]+")


class Concealer:
    """Replaces names in texts. A text costs as much as it has words, and not as many names as there are."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._by_word: dict[str, list[str]] = {}
        for name in sorted(filter(None, self.names), key=lambda name: (-len(name), name)):  # a name may hold another
            self._by_word.setdefault(_first_word(name), []).append(name)

    def conceal(self, text: str) -> str:
        """Return the text with the names replaced by `CONCEALED`. A name within a longer word stays."""
        if not self._by_word:
            return text
        for word in ("", *dict.fromkeys(_WORD.findall(text))):  # where a name stands, its first word is one of these
            for name in self._by_word.get(word, ()):
                text = _replaced(text, name)
        return text


def conceal(text: str, names: Iterable[str]) -> str:
    """Return the text with these names replaced, as `Concealer` does it."""
    return Concealer(names).conceal(text)


def _first_word(name: str) -> str:
    found = _WORD.search(name)
    return found[0] if found else ""


def _replaced(text: str, name: str) -> str:
    """Replace a name. A pattern for each of very many names would be compiled again each time."""
    kept, begin = "", 0
    while (at := text.find(name, begin)) >= 0:
        end = at + len(name)
        if _WORD.match(text[at - 1 : at]) or _WORD.match(text[end : end + 1]):
            kept, begin = kept + text[begin : at + 1], at + 1
        else:
            kept, begin = kept + text[begin:at] + CONCEALED, end
    return kept + text[begin:]
