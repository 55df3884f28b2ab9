"""What happens in the middle of a piece of work: the service is killed, or somebody else does something just then."""

from __future__ import annotations

from collections.abc import Callable

from tests.saboteur import Crash, Moments


class Fuse(Moments):
    """Counts the calls on ledger, disk and XNAT, and lets things happen before or after the one that was chosen."""

    def __init__(self) -> None:
        super().__init__(self._burn)
        self.left = 0  #: calls until the service is killed; 0: it is not
        self._delay = 0
        self._meanwhile: Callable[[], object] | None = None
        self.is_quiet: Callable[[], bool] = lambda: True  #: whether no lock is held that others would have to wait for

    def meanwhile(self, after: int, act: Callable[[], object]) -> None:
        """Let somebody else do something after so many calls, or at the first later one at which no lock is held."""
        self._delay, self._meanwhile = after, act

    def put_out(self) -> None:
        """Let nothing happen any more."""
        self.left, self._meanwhile = 0, None

    def _burn(self, name: str) -> None:
        if self.left:
            self.left -= 1
            if not self.left:
                raise Crash(name)
        if self._meanwhile is not None:
            self._delay -= 1
            if self._delay <= 0 and self.is_quiet():
                act, self._meanwhile = self._meanwhile, None
                act()


class Depth:
    """A lock of a program with one thread: says whether it is held, by which others would be kept waiting."""

    def __init__(self) -> None:
        self.depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1
