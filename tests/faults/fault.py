"""What a row of the table of faults says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from tests.faults.asked import Kind
from tests.faults.scene import Scene, Setting
from xnat_watchd.sandbox.samples import Member, study

BOTH, OLD, NEW = ("1.6", "1.8"), ("1.6",), ("1.8",)
IMPORT, ARCHIVE = "POST /data/services/import", "POST /data/services/archive"
EVERY, LOGGED_IN = ".", "(?!PUT /data/services/auth|GET /data/JSESSION)"

USUAL = Setting()
Zips = Mapping[str, Sequence[Member]]
Told = Sequence[str]


@cache
def a_study(seed: int = 1, images: int = 2, modalities: tuple[str, ...] = ("MR",)) -> list[Member]:
    """Return a small study; each has its own date, and all are of one person."""
    return study(seed, images=images, modalities=modalities, pixels=(4, 4), date=f"202403{seed:02}")


@cache
def a_large_study() -> list[Member]:
    """Return a study that is too large for the socket buffers of any kernel."""
    return study(1, images=4, pixels=(1600, 1600))


def small() -> Zips:
    return {"1.zip": a_study()}


def large() -> Zips:
    return {"1.zip": a_large_study()}


def nothing() -> Zips:
    return {}


def by_itself(scene: Scene, number: int) -> None:
    """Do nothing: what is wrong is the setting."""


def seen(scene: Scene) -> None:
    """Look for no more than every row does."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row: what goes wrong, where it strikes, and how it must end.

    `at` is a regular expression of requests: the fault strikes each of the route's that fits, in a run of its own.
    Without it there is one run, and `strike` is given 0. Whatever is complete lies in the archive once and nowhere
    else; whatever is held says why and what to do.
    """

    name: str
    strike: Callable[[Scene, int], object] = by_itself
    at: str = ""
    dialects: Sequence[str] = BOTH
    setting: Setting = USUAL
    before: Callable[[], Zips] = nothing  #: what was carried while all was well
    zips: Callable[[], Zips] = small
    hours: float = 48
    lives: int = 1  #: of the service, in these hours
    item: str = "1.1"  #: whose troubles are told
    told: Told | Mapping[Kind, Told] = ()  #: regular expressions of all the ledger's events that are no progress
    held: bool = False  #: the last of these is in force at the end
    leaves: Mapping[str, int] | None = None  #: how many instances lie where in the end, if not all in the archive
    look: Callable[[Scene], object] = seen  #: what else must be true

    def expected(self, kind: Kind | None) -> Told:
        """Return the events of trouble that are expected after a strike at a request of this kind."""
        if isinstance(self.told, Mapping):
            return self.told[kind] if kind else ()
        return self.told

    def ends_well(self, scene: Scene) -> bool:
        """Return whether each instance is where it should be, and no instance is there twice."""
        where = scene.where()
        if self.leaves is None:
            return where == {"archive": scene.whole(), "prearchive": Counter(), "unassigned": Counter()}
        return {place: found.total() for place, found in where.items() if found} == self.leaves
