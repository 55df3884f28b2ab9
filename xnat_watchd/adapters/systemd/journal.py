"""The systemd journal's native protocol: one datagram is one entry with its fields, a traceback in one piece.

See systemd.io/JOURNAL_NATIVE_PROTOCOL. A line on stderr would be cut at its ends of line and carry no fields.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from io import UnsupportedOperation
from pathlib import Path
from typing import TextIO

SOCKET = Path("/run/systemd/journal/socket")
PATIENCE = 1.0  #: seconds that an entry may wait for a busy journal; then it is lost, rather than the work held up
LONGEST = 32 * 1024
"""Bytes of one field. Datagrams beyond about 200 kB are refused, and there is one long field at most."""

PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}  # syslog(3)


def is_behind(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether the journal reads this stream: $JOURNAL_STREAM names its device and inode (systemd.exec(5))."""
    try:
        seen = os.fstat(stream.fileno())
    except (OSError, UnsupportedOperation, ValueError):  # no file of the system, or a closed one
        return False
    return environ.get("JOURNAL_STREAM") == f"{seen.st_dev}:{seen.st_ino}"


def mark(level: str, stream: TextIO, environ: Mapping[str, str]) -> str:
    """Return what a line to this stream must begin with for the journal to know its priority (sd-daemon(3))."""
    return f"<{PRIORITIES[level]}>" if is_behind(stream, environ) else ""


def send(fields: Mapping[str, str], path: Path = SOCKET) -> bool:
    """Send one entry; say whether it was taken. Nothing is kept open: journald may be restarted at any time."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.settimeout(PATIENCE)
            way.sendto(encode(fields), str(path))
    except OSError:
        return False
    return True


def encode(fields: Mapping[str, str]) -> bytes:
    """Return an entry: `KEY=value` lines, or key, length and value where a value has several lines."""
    return b"".join(_field(name.encode("ascii"), _cut(text)) for name, text in fields.items())


def _field(name: bytes, value: bytes) -> bytes:
    if b"\n" not in value:
        return name + b"=" + value + b"\n"
    return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def _cut(text: str) -> bytes:
    """Return the text in UTF-8, its middle left out if it is too long: a traceback says most at its ends."""
    value = text.encode("utf-8", "replace")
    if len(value) <= LONGEST:
        return value
    return value[: LONGEST // 4] + b"\n[...]\n" + value[-LONGEST // 2 :]
