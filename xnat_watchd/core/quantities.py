"""Durations and sizes as people write them: `10s`, `5m`, `1h30m`, `2GiB`."""

from __future__ import annotations

import re
from datetime import timedelta

LONGEST = timedelta(days=3650)  #: a longer one is a typing error; this is far below the limit of timedelta

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(ms|[smhd])\s*")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")

_PREFIXES = "kmgtp"
_SIZE = re.compile(rf"([0-9]{{1,12}}(?:\.[0-9]{{1,3}})?)\s*(?:([{_PREFIXES}])(i)?)?b", re.IGNORECASE)


def duration(text: str) -> timedelta:
    """Read `500ms`, `10s`, `5m`, `1h30m`, `1.5h` or `2d`. The `ValueError` tells in one sentence how to write one.

    A bare number is refused: some programs read it as seconds, others as minutes.
    """
    if not _DURATION.fullmatch(text.strip()):
        raise ValueError("a duration is a number and a unit (ms, s, m, h, d), such as 10s, 5m or 1h30m")
    parts = _PART.findall(text)
    total = sum((float(number) * _UNITS[unit] for number, unit in parts), timedelta(0))
    if total > LONGEST:
        raise ValueError(f"a duration is at most {LONGEST.days} days")
    return total


def size(text: str) -> int:
    """Read `500MB` (thousands) or `2GiB` (1024) in bytes. The `ValueError` tells in one sentence how to write one."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError("a size is a number and a unit (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB), such as 2GiB")
    number, prefix, binary = found.groups()
    power = _PREFIXES.index(prefix.lower()) + 1 if prefix else 0
    step = 1024 if binary else 1000
    return round(float(number) * float(step**power))


def as_size(count: float) -> str:
    """Return a number of bytes as people read it: `1.2 GB`, `40.0 MB`, `3 kB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count / 1e3:.0f} kB"


def as_span(seconds: float) -> str:
    """Return a time as people say it: `1 second`, `100 seconds`, `3 hours`, `4 days`."""
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}s"
    return f"{seconds:.0f} second{'' if round(seconds) == 1 else 's'}"
