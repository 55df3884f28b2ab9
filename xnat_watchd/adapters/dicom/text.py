"""Text values of DICOM, decoded by their Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1.2).

What cannot be decoded becomes U+FFFD: no content of a header raises an error here.
"""

from __future__ import annotations

import re

_BY_NUMBER = {  # by the number of the ISO-IR registration, which all spellings of a defined term contain
    "6": "latin-1",
    "13": "shift_jis",
    "58": "gb2312",
    "87": "iso2022_jp",
    "100": "latin-1",
    "101": "iso8859-2",
    "109": "iso8859-3",
    "110": "iso8859-4",
    "126": "iso8859-7",
    "127": "iso8859-6",
    "138": "iso8859-8",
    "144": "iso8859-5",
    "148": "iso8859-9",
    "149": "euc_kr",
    "159": "iso2022_jp_2",
    "166": "iso8859-11",
    "192": "utf-8",
    "203": "iso8859-15",
}
_BY_NAME = {"GB18030": "gb18030", "GBK": "gbk", "ISO 2022 GBK": "gbk", "ISO 2022 58": "gb2312"}
_BY_ESCAPE = {  # PS3.3 tables C.12-3 and C.12-4
    b"\x1b(B": "latin-1",
    b"\x1b(J": "shift_jis",
    b"\x1b)I": "shift_jis",
    b"\x1b-A": "latin-1",
    b"\x1b-B": "iso8859-2",
    b"\x1b-C": "iso8859-3",
    b"\x1b-D": "iso8859-4",
    b"\x1b-F": "iso8859-7",
    b"\x1b-G": "iso8859-6",
    b"\x1b-H": "iso8859-8",
    b"\x1b-L": "iso8859-5",
    b"\x1b-M": "iso8859-9",
    b"\x1b-T": "iso8859-11",
    b"\x1b-b": "iso8859-15",
    b"\x1b$B": "iso2022_jp",
    b"\x1b$(D": "iso2022_jp_2",
    b"\x1b$)C": "euc_kr",
    b"\x1b$)A": "gb2312",
}
_STATEFUL = frozenset({"iso2022_jp", "iso2022_jp_2"})  # Python's codec wants the escape itself
_NUMBER = re.compile(r"IR[ _-]?(\d+)$")
_FRAGMENTS = re.compile(rb"\x1b[^\x1b]*|[^\x1b]+")
_ESCAPE = re.compile(rb"\x1b(?:\$[()].|..)", re.DOTALL)
_DELIMITER = re.compile(rb"(?=[\^=\\\r\n\f\t])")


def decoded(value: bytes, charset: bytes) -> str:
    """Return a text value without the padding at its end. `charset` is the raw value of (0008,0005)."""
    value = value.rstrip(b"\0 ")
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    codec = _codec(charset)
    if codec in {"utf-8", "gb18030", "gbk"}:  # these have no escapes (PS3.5 6.1.2.4)
        return value.decode(codec, "replace").rstrip()
    return "".join(_fragment(part, codec) for part in _FRAGMENTS.findall(value)).rstrip()


def _codec(charset: bytes) -> str:
    """Return the codec of the first value, which applies until an escape selects another one."""
    term = charset.decode("ascii", "replace").split("\\")[0].strip("\0 ")
    number = _NUMBER.search(term)
    return _BY_NAME.get(term) or _BY_NUMBER.get(number[1] if number else "", "latin-1")


def _fragment(part: bytes, codec: str) -> str:
    """Decode up to the next escape. A delimiter resets the codec that an escape selected (PS3.5 6.1.2.5.3)."""
    escape = _ESCAPE.match(part)
    said = _BY_ESCAPE.get(escape[0]) if escape else None
    if escape is None or said is None:
        return part.decode(codec, "replace")
    if said in _STATEFUL:
        return part.decode(said, "replace")
    first, *rest = _DELIMITER.split(part[escape.end() :], 1)
    return first.decode(said, "replace") + b"".join(rest).decode(codec, "replace")
