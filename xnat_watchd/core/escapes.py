"""The escapes of HTML, in which XNAT keeps what it is given (F122) and in which its pages speak."""

from __future__ import annotations

import html
import re

_ENDLESS = re.compile(r"&#(?=[xX]?[0-9a-fA-F]{10})")  #: a number of no character; Python refuses to read the longest


def unescaped(text: str) -> str:
    """Return a text without them. What stands for no character stays as it is."""
    return html.unescape(_ENDLESS.sub("&amp;#", text))
