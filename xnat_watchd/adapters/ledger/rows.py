"""The rows that people are shown, key by key. Times are texts in the ledger's form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict, TypeVar, cast


class IgnoredFile(TypedDict):
    """A file in the drop folder that is not taken."""

    name: str
    why: str
    advice: str  #: empty: nothing needs to be done about it


class AttentionRow(TypedDict):
    """What needs a person, or will if it lasts."""

    item: str
    project: str
    why: str
    advice: str
    at: str  #: since when, or when it changed last


class TroubleRow(AttentionRow):
    """Trouble that may pass by itself."""

    passes: int  #: 1


class LeftBehindRow(TypedDict):
    """A study of which a person has decided that some images are not sent."""

    item: str
    project: str
    images: int  #: that are sent
    of: int  #: all of its images
    why: str


class ZipFate(TypedDict):
    """What became of the members of a ZIP, in numbers."""

    item: str
    state: str
    same_as: str | None
    sent: int
    under_way: int
    undecided: int
    left_behind: int
    absent: int
    clutter: dict[str, int]  #: by kind


class UnderWayRow(TypedDict):
    """A study that is neither done nor held."""

    item: str
    project: str
    progress: str
    standing: str
    due: str | None
    why: str | None
    at: str


class LatestStudy(TypedDict):
    """A study of one of the latest deliveries."""

    number: int
    progress: str
    standing: str
    subject: str | None
    label: str | None
    why: str | None
    instances: int


class LatestDelivery(TypedDict):
    """One of the latest deliveries."""

    id: int
    name: str
    project: str
    state: str
    why: str | None
    studies: list[LatestStudy]


class TableRow(TypedDict):
    """A share table, with the number of its rows by state."""

    name: str
    checked: str
    why: str
    advice: str
    rows: dict[str, int]


class StandingRow(TypedDict):
    """Where a study is."""

    key: int
    item: str
    project: str
    progress: str
    standing: str
    due: str | None
    why: str | None
    advice: str
    open: int  #: 1: it was taken from XNAT, and its delivery has not ended
    barred: int  #: 1: it waits for the same study of another ZIP


class NewSubject(TypedDict):
    """A subject that our archiving has created."""

    label: str
    project: str
    created: str
    item: str


class EventRow(TypedDict):
    """What has happened to an item."""

    id: int
    event: str
    progress: str | None
    why: str | None
    kind: str
    item: str


class ListedDelivery(TypedDict):
    """A delivery in the list, or a file that is not taken."""

    item: str  #: empty if it is not taken
    state: str  #: a `DeliveryOutcome`
    name: str
    project: str
    size: int | None
    arrived: str
    ended: str | None
    images: int
    why: str | None
    advice: str | None
    same_as: str | None
    station: str  #: that has taken it; empty where the ledger is not shared


class HeldStudy(TypedDict):
    """A study that has become held."""

    item: str
    project: str
    reason: str


R = TypeVar("R")


def typed(kind: type[R], rows: Iterable[Any]) -> list[R]:
    """Return rows that have the keys of a `TypedDict`, as such. A test compares the keys of each kind."""
    del kind
    return cast("list[R]", [dict(row) for row in rows])
