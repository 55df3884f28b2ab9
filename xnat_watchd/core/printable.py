"""Text that shows as it is: without characters that a terminal or a browser would obey instead of showing them."""

from __future__ import annotations

from unicodedata import category

JOINERS = "\u200c\u200d"  #: these only shape letters, for example in Persian
_ORDERS = {"Cc", "Cf", "Cs", "Zl", "Zp"}  #: categories of characters that have an effect where text is shown


def plain(text: object) -> str:
    """Return a text on one line, without characters that control how it is shown."""
    words = str(text)
    return words if words.isprintable() else "".join(" " if controls(c) else c for c in words)


def controls(c: str) -> bool:
    """Return whether a character has an effect of its own, such as to turn the direction of the text after it."""
    return category(c) in _ORDERS and c not in JOINERS
