"""The systemd journal's native protocol: one datagram is one entry with its fields, with a traceback in one piece.

See systemd.io/JOURNAL_NATIVE_PROTOCOL. A text on stderr would become one entry for each line, without fields.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from io import UnsupportedOperation
from pathlib import Path
from typing import TextIO

SOCKET = Path("/run/systemd/journal/socket")
TIMEOUT = 1.0  #: seconds that an entry may wait for a busy journal; then it is dropped, so that the work goes on
LONGEST = 32 * 1024
"""Bytes of one field. Datagrams beyond about 200 kB are refused, and an entry has at most one long field."""

PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}  # syslog(3)


def is_behind(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether the journal reads this stream: $JOURNAL_STREAM names its device and inode (systemd.exec(5))."""
    try:
        seen = os.fstat(stream.fileno())
    except (OSError, UnsupportedOperation, ValueError):  # not a real file, or a closed one
        return False
    return environ.get("JOURNAL_STREAM") == f"{seen.st_dev}:{seen.st_ino}"


def mark(level: str, stream: TextIO, environ: Mapping[str, str]) -> str:
    """Return the prefix that tells the journal the priority of a line on this stream (sd-daemon(3))."""
    return f"<{PRIORITIES[level]}>" if is_behind(stream, environ) else ""


def send(fields: Mapping[str, str], path: Path = SOCKET) -> bool:
    """Send one entry. Return whether it was accepted. The socket is not kept: journald may restart at any time."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(TIMEOUT)
            channel.sendto(encode(fields), str(path))
    except OSError:
        return False
    return True


def encode(fields: Mapping[str, str]) -> bytes:
    """Return the bytes of an entry: `KEY=value` lines, or key, length and value if a value has several lines."""
    return b"".join(_field(name.encode("ascii"), _cut(text)) for name, text in fields.items())


def _field(name: bytes, value: bytes) -> bytes:
    if b"\n" not in value:
        return name + b"=" + value + b"\n"
    return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def _cut(text: str) -> bytes:
    """Return the text in UTF-8. If it is too long, leave out its middle: a traceback tells most at its ends."""
    value = text.encode("utf-8", "replace")
    if len(value) <= LONGEST:
        return value
    return value[: LONGEST // 4] + b"\n[...]\n" + value[-LONGEST // 2 :]
