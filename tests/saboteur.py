"""Kill -9 before and after every call that a service makes: the moments, and what is found there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.engine import left_beside


class Crash(BaseException):
    """kill -9."""


class Moments:
    """Counts every moment before and after a call on what it is laid around, and may do something there."""

    def __init__(self, then: Callable[[str], None] | None = None) -> None:
        self.moments = 0
        self.calls: set[str] = set()
        self._then = then

    def around(self, part: str, thing: Any) -> Any:
        return Laid(self, part, thing)

    def moment(self, name: str) -> None:
        self.moments += 1
        self.calls.add(name)
        if self._then is not None:
            self._then(name)


class Saboteur(Moments):
    """Kills at one of the moments. `fired` says before or after which call that was."""

    def __init__(self, at: int = 0) -> None:
        super().__init__(self._kill)
        self.at, self.fired = at, ""

    def _kill(self, name: str) -> None:
        if self.moments == self.at:
            self.fired = name
            raise Crash(name)


class Laid:
    """One part with the saboteur in front of each of its methods."""

    def __init__(self, moments: Moments, part: str, thing: Any) -> None:
        self._moments, self._part, self._thing = moments, part, thing

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._call(self._part, self._thing, *args, **named)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._thing, name)
        return lambda *args, **named: self._call(f"{self._part}.{name}", method, *args, **named)

    def _call(self, name: str, method: Callable[..., Any], *args: Any, **named: Any) -> Any:
        self._moments.moment(f"before {name}")
        result = method(*args, **named)
        self._moments.moment(f"after {name}")
        return result


def left_on_disk(root: Path) -> bytes:
    """Return a digest of every file below a folder, and of its ledger, as a killed process leaves them.

    SQLite's shared memory is left out: the next process that opens the ledger creates it again.
    """
    digest = hashlib.blake2b(left_beside(root))
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.name.endswith("-shm"):
            digest.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.digest()
