"""Bodies of 64 MB that a server may send to have us run out of memory, and a program that asks for them.

`python -m tests.adapters.gateway.hostile_answers ADDRESS` asks for the session at a place, and for what a project
shows, in two threads at once, and prints the most memory that it ever had, in MB.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

from tests.adapters.gateway.gateway_kit import PLACE, server_at
from xnat_watchd.core.errors import WatchdError

SIZE = 63 << 20


def _table(row: bytes) -> bytes:
    return b'{"ResultSet":{"Result":[' + b",".join([row] * (SIZE // (len(row) + 1))) + b"]}}"


def _rows() -> bytes:
    return b'{"ResultSet":{"Result":[' + b",".join(b'{"ID":"X%d","label":"L"}' % n for n in range(2_000_000)) + b"]}}"


def _scans() -> bytes:
    return b'<s UID="1"><scans>' + b"".join(b'<scan ID="%d" UID="1"/>' % n for n in range(2_400_000)) + b"</scans></s>"


BODIES: dict[str, Callable[[], bytes]] = {
    "empty rows": lambda: _table(b'{"a":""}'),
    "rows of ours": _rows,
    "lists": lambda: _table(b"[]"),
    "one word": lambda: b'{"ResultSet":"' + b"a" * SIZE,
    "one number": lambda: b"[" + b"9" * SIZE,
    "letters of four bytes": lambda: _table(b'{"ID":"' + "\U0001f600".encode() + b"a" * 900_000 + b'"}'),
    "lists in lists": lambda: b"[" * SIZE,
    "objects in objects": lambda: b'{"ResultSet":' * (SIZE // 13),
    "an item of many fields": lambda: (
        b'{"items":[{"data_fields":{' + b",".join(b'"f%d":"v"' % n for n in range(4_000_000)) + b"}}]}"
    ),
    "scans": _scans,
    "attributes": lambda: b"<x " + b" ".join(b'a%d=""' % n for n in range(5_000_000)) + b"/>",
    "tags in tags": lambda: b"<a>" * (SIZE // 3),
    "entities": lambda: b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + b" " * SIZE,
}
"""What each is, by name. Made when it is needed."""


def main() -> None:
    server = server_at(sys.argv[1])

    def ask() -> None:
        gateway = server.gateway()
        for question in (
            lambda: gateway.look(PLACE),
            lambda: gateway.holding(PLACE),
            lambda: gateway.seen("P1", writable=True),
            lambda: gateway.session_named("P1", "L"),
        ):
            with suppress(WatchdError):
                question()

    threads = [Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    status = Path("/proc/self/status").read_text()  # getrusage(2) counts what the parent had before
    print(int(status.partition("VmHWM:")[2].split()[0]) // 1024)  # noqa: T201 - its result


if __name__ == "__main__":
    main()
