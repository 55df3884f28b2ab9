"""The states of a study and of a delivery, as small tables of what may happen. Nothing is done here.

*Progress* is what has been achieved for a study. It moves forward only, one fact at a time; a person may have the
study sent from its beginning again, as another *generation*.
*Standing* is whether the service may act on the study now. Holding a study never loses its progress.
A study that is found busy at start-up is in doubt: the service stopped while it acted, so XNAT is asked first.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise


class Progress(StrEnum):
    """Facts about the world, never actions of the service."""

    RECEIVED = "received"  #: its ZIP is in work, opened and recorded
    UPLOADED = "uploaded"  #: XNAT holds every image, in our place of the prearchive or in the archive already
    ARCHIVED = "archived"  #: XNAT's archive holds every image under its label
    COMPLETE = "complete"  #: the subject's demographics are written and read back


class Standing(StrEnum):
    """Whether we may act on a study now."""

    READY = "ready"  #: may be taken
    BUSY = "busy"  #: taken; if it is found busy at start-up it is in doubt
    WAITING = "waiting"  #: may be taken once it is due, or once the setting `until` is raised
    HELD = "held"  #: a person must decide
    DONE = "done"  #: nothing is left to do
    SKIPPED = "skipped"  #: nothing is left to do, since a person or a change of its ZIP ended it


class Event(StrEnum):
    """What changes a study's standing."""

    TAKEN = "taken"
    ADVANCED = "advanced"  #: the next progress is reached
    PARKED = "parked"  #: the next progress is reached, and `until` asks for no further one
    FINISHED = "finished"  #: the last progress is reached
    POSTPONED = "postponed"
    RETURNED = "returned"  #: made ready again: the trouble was the server's, not the study's
    HELD = "held"
    RECOVERED = "recovered"  #: found busy at start-up
    RELEASED = "released"  #: a person decided: try again
    RAISED = "raised"  #: the setting `until` was raised
    UNWANTED = "unwanted"  #: a person decided: skip it
    SKIPPED = "skipped"  #: nothing of an unwanted one is left in the prearchive
    RESENT = "resent"  #: a person decided: from the beginning, in a new generation


class IllegalTransition(Exception):
    """A bug in this program, never a fault of the data."""


LINE = tuple(Progress)

STANDINGS: dict[Standing, dict[Event, Standing]] = {
    Standing.READY: {
        Event.TAKEN: Standing.BUSY,
        Event.POSTPONED: Standing.WAITING,  # the database may have lost what became of it
        Event.RELEASED: Standing.READY,  # it waited for its project
        Event.UNWANTED: Standing.READY,
        Event.RESENT: Standing.READY,
    },
    Standing.WAITING: {
        Event.TAKEN: Standing.BUSY,
        Event.POSTPONED: Standing.WAITING,  # as above
        Event.RAISED: Standing.READY,
        Event.RELEASED: Standing.READY,
        Event.UNWANTED: Standing.READY,
        Event.RESENT: Standing.READY,
    },
    Standing.BUSY: {
        Event.ADVANCED: Standing.READY,
        Event.PARKED: Standing.WAITING,
        Event.FINISHED: Standing.DONE,
        Event.POSTPONED: Standing.WAITING,
        Event.RETURNED: Standing.READY,
        Event.HELD: Standing.HELD,
        Event.RECOVERED: Standing.READY,
        Event.SKIPPED: Standing.SKIPPED,
        Event.RESENT: Standing.BUSY,  # wanted again while it is being withdrawn
    },
    Standing.HELD: {
        Event.RELEASED: Standing.READY,
        Event.UNWANTED: Standing.READY,
        Event.RESENT: Standing.READY,
    },
    Standing.DONE: {Event.RESENT: Standing.READY},
    Standing.SKIPPED: {Event.RESENT: Standing.READY},
}

ENDED = (Standing.DONE, Standing.SKIPPED)  #: nothing is left to do


class DeliveryKind(StrEnum):
    """What a delivery is."""

    ZIP = "zip"
    PREARCHIVE = "prearchive"  #: a session that others had put into XNAT's prearchive
    ARCHIVE = "archive"  #: a subject of XNAT's archive whose demographics were asked for


class DeliveryState(StrEnum):
    """How far one delivery is."""

    ARRIVING = "arriving"  #: the intent is recorded, the file is being taken
    TAKEN = "taken"  #: it lies in work and its studies are recorded
    REJECTED = "rejected"  #: no study could be read from it: it lies in failed, with the reason beside it
    DUPLICATE = "duplicate"  #: XNAT had all of it already, or the same ZIP is under way
    FINISHED = "finished"  #: every study is complete or skipped: it lies in done
    WITHDRAWN = "withdrawn"  #: its file was gone before it was taken


DELIVERIES: dict[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.ARRIVING: frozenset(
        {DeliveryState.TAKEN, DeliveryState.REJECTED, DeliveryState.DUPLICATE, DeliveryState.WITHDRAWN}
    ),
    DeliveryState.TAKEN: frozenset({DeliveryState.FINISHED, DeliveryState.DUPLICATE}),
    DeliveryState.REJECTED: frozenset(),
    DeliveryState.DUPLICATE: frozenset({DeliveryState.TAKEN}),  # its study is sent again
    DeliveryState.FINISHED: frozenset({DeliveryState.TAKEN}),  # the same
    DeliveryState.WITHDRAWN: frozenset(),
}


def next_standing(standing: Standing, event: Event) -> Standing:
    """Return the standing after an event, or raise `IllegalTransition`."""
    try:
        return STANDINGS[standing][event]
    except KeyError:
        raise IllegalTransition(f"{event} cannot happen to a study that is {standing}") from None


def next_progress(progress: Progress) -> Progress:
    """Return the progress after this one, or raise `IllegalTransition` if it is the last."""
    if progress is LINE[-1]:
        raise IllegalTransition(f"nothing lies beyond {progress}")
    return LINE[LINE.index(progress) + 1]


def reached(progress: Progress, until: Progress) -> bool:
    """Return whether `progress` is `until` or further."""
    return LINE.index(progress) >= LINE.index(until)


def as_mermaid() -> str:
    """Return the tables as a Mermaid diagram, so that the documentation cannot disagree with the code."""
    line = [f"    {a} --> {b}" for a, b in pairwise(LINE)]
    arrows = [f"    {s} --> {t}: {e}" for s, moves in STANDINGS.items() for e, t in moves.items()]
    files = [f"    {s} --> {t}" for s, targets in DELIVERIES.items() for t in sorted(targets)]
    return "\n".join(["stateDiagram-v2", *line, *arrows, *files])
