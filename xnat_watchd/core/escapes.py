"""HTML escapes: XNAT stores values with them (F122), and its pages are written with them."""

from __future__ import annotations

import html
import re

_ENDLESS = re.compile(r"&#(?=[xX]?[0-9a-fA-F]{10})")  #: a number of no character; Python refuses to read the longest


def unescaped(text: str) -> str:
    """Return a text with its HTML escapes resolved. An escape that stands for no character stays as it is."""
    return html.unescape(_ENDLESS.sub("&amp;#", text))
