"""The tables whose rows are moved with a ledger, and which of their columns hold numbers that others refer to.

What is not named here is moved as it stands. A column `root` or `station` is not written: in the ledger that takes the
rows it is the root and the station that they are moved to. Counts of rows are not moved, since they are counted anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Meeting(Enum):
    """What follows when the other ledger has a row of the same key."""

    NONE = auto()  #: there is none, since keys are numbers that move, or belong to the root or the station
    STAYS = auto()  #: the one that is there stays
    PEOPLE = auto()  #: two people may stand behind one label: a person must know
    SHARES = auto()  #: what was known last counts
    SUMS = auto()  #: both count


@dataclass(frozen=True, slots=True)
class MovedTable:
    """A table whose rows are moved."""

    name: str
    key: tuple[str, ...]  #: its primary key without `root` and `station`; rows are moved in this order
    number: str = ""  #: the column of its own number, if its rows have one
    refers: Mapping[str, str] = field(default_factory=dict)  #: column -> the table whose number stands there
    told: tuple[str, ...] = ()  #: columns whose texts may name deliveries
    meeting: Meeting = Meeting.NONE


OURS = ("root", "station", "owner")  #: columns that are written anew; nobody works on a study that is moved

MOVED = (
    MovedTable("deliveries", ("id",), "id", told=("why", "advice")),
    MovedTable("studies", ("key",), "key", {"delivery": "deliveries"}, ("why", "skip_reason")),
    MovedTable("people", ("project", "subject_key"), meeting=Meeting.PEOPLE),
    MovedTable("places", ("id",), "id", {"study": "studies"}),
    MovedTable("series", ("study", "uid"), refers={"study": "studies"}),
    MovedTable("early_places", ("delivery",), refers={"delivery": "deliveries"}),
    MovedTable("instances", ("study", "sop_uid"), refers={"study": "studies", "place": "places"}),
    MovedTable("findings", ("id",), "id", {"study": "studies"}, ("by", "reason")),
    MovedTable("clutter", ("delivery", "kind"), refers={"delivery": "deliveries"}),
    MovedTable("events", ("id",), "id", {"delivery": "deliveries", "study": "studies"}, ("why", "detail")),
    MovedTable("gates", ("scope", "account"), meeting=Meeting.STAYS),
    MovedTable("pauses", ("id",), "id", meeting=Meeting.STAYS),
    MovedTable("ignored", ("name",), meeting=Meeting.STAYS),
    MovedTable("shares", ("destination", "id"), meeting=Meeting.SHARES),
    MovedTable("share_tables", ("name",), meeting=Meeting.STAYS),
    MovedTable("share_rows", ("name", "key"), meeting=Meeting.STAYS),
    MovedTable("share_events", ("id",), "id"),
    MovedTable("marks", ("folder",), meeting=Meeting.STAYS),
    MovedTable("incidents", ("kind", "scope"), meeting=Meeting.STAYS),
    MovedTable("messages", ("id",), "id", meeting=Meeting.STAYS),
    MovedTable("totals", ("of", "what", "project"), meeting=Meeting.SUMS),
    MovedTable("archive_times", ("project", "bound"), meeting=Meeting.SUMS),
)
"""In an order in which each row comes after those that it refers to."""

STAY = frozenset({"stations", "moves", "import_starts", "commit_history", "delivery_counts", "study_counts"})
"""Tables whose rows are not moved: what is about this ledger and its stations alone, and what triggers count."""
