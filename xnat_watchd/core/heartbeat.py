"""Which thread promised to be back by when. The main thread tells systemd that all is well only while none is late.

A thread promises before it blocks: "back by t", in the clock's monotonic seconds. So an upload may take two
hours, since its thread renews the promise with every piece it sends, and a hang of a minute is still seen.

There is no lock. Every name is known from the start, so the table never grows or shrinks while somebody reads
it, and each operation is one assignment to one entry of a dict, which Python never tears. A reader sees
a promise before or after it is renewed, and both are true.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf


class Heartbeats:
    """The promises of these threads. At first all are idle. A name that was not given raises `KeyError`."""

    def __init__(self, names: Iterable[str]) -> None:
        self._until = dict.fromkeys(names, inf)

    def promise(self, name: str, until: float) -> None:
        """Promise to call `promise` or `idle` again before `until` has passed."""
        self._set(name, until)

    def idle(self, name: str) -> None:
        """Promise nothing: the thread waits for something without a time limit, or has ended as it should."""
        self._set(name, inf)

    def broken(self, now: float) -> list[str]:
        """Return the names of the threads that are late, the longest first."""
        late = sorted((until, name) for name, until in self._until.items() if until < now)
        return [name for _, name in late]

    def _set(self, name: str, until: float) -> None:
        if name not in self._until:
            raise KeyError(name)
        self._until[name] = until
