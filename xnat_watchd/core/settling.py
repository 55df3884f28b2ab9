"""Whether a file in the drop folder is complete: it is when nobody has changed it for long enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class FileStat(NamedTuple):
    """One file as a sweep of the folder shows it. If anything differs between two sweeps, the file has changed.

    A tuple is compared at once, which counts where very many files lie in the folder.
    """

    path: str  #: below the drop folder
    size: int
    mtime_ns: int
    inode: int
    device: int
    links: int


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """A file, since when it has not changed and since when it is known, in monotonic seconds."""

    seen: FileStat
    same_since: float
    known_since: float


def settle(looked: Iterable[FileStat], before: Mapping[str, WatchedFile], now: float) -> dict[str, WatchedFile]:
    """Return what is known of each file that is there now. A file that is gone is forgotten.

    A modification time is never compared with the clock: copies keep old times, and clocks differ.
    """
    return {seen.path: _sighting(seen, before.get(seen.path), now) for seen in looked}


def quiet(sightings: Mapping[str, WatchedFile], now: float, quiet_for: float) -> list[WatchedFile]:
    """Return the files that have not changed for `quiet_for` seconds, the longest first."""
    still = [one for one in sightings.values() if now - one.same_since >= quiet_for]
    return sorted(still, key=lambda one: (one.same_since, one.seen.path))


def next_quiet(sightings: Mapping[str, WatchedFile], now: float, quiet_for: float) -> float | None:
    """Return the seconds until the next file may have been unchanged for long enough, or None."""
    waits = [one.same_since + quiet_for - now for one in sightings.values()]
    return min((wait for wait in waits if wait > 0), default=None)


def _sighting(seen: FileStat, last: WatchedFile | None, now: float) -> WatchedFile:
    if last is None:
        return WatchedFile(seen, now, now)
    if last.seen != seen:
        return WatchedFile(seen, now, last.known_since)
    return last
