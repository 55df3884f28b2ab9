"""The projects that XNAT has listed as writable for us, remembered for some minutes by all gateways of a process."""

from __future__ import annotations

import threading

from xnat_watchd.core.ports import Clock

STAYS_WRITABLE = 300.0  #: seconds


class WritableProjects:
    """What XNAT has said. Only a yes is remembered, and no longer than until anything speaks against it.

    The list grows with the projects of a site, so it is not asked for with each study. If a right is taken from us
    meanwhile, XNAT refuses the import, and the study goes the way of any refused one.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}  #: when, by project (monotonic)

    def has(self, project: str) -> bool:
        """Return whether XNAT has lately listed this project as writable."""
        with self._lock:
            said = self._said.get(project)
        return said is not None and self._clock.monotonic() - said < STAYS_WRITABLE

    def add(self, project: str) -> None:
        """Remember that XNAT lists this project as writable now."""
        with self._lock:
            self._said[project] = self._clock.monotonic()

    def forget(self, project: str) -> None:
        """Forget a project in which XNAT has refused something or has failed."""
        with self._lock:
            self._said.pop(project, None)

    def clear(self) -> None:
        """Forget all projects: the login has changed, or is refused."""
        with self._lock:
            self._said.clear()
