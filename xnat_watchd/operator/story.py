"""The events of a delivery as sentences, for people. `show --json` has them as the ledger does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xnat_watchd.core.access import signed

Event = Mapping[str, Any]

OF_DELIVERY = {
    "arriving": "seen in the drop folder",
    "taken": "taken: it was read to its end",
    "found": "found on XNAT, and taken",
    "rejected": "rejected",
    "duplicate": "a duplicate",
    "finished": "finished: nothing of it is left to do",
    "withdrawn": "its file was gone before it was taken",
    "moved": "moved",
    "proved": "XNAT proved that it has every image, so its ZIP may be deleted",
    "kept": "its ZIP is kept",
    "given": "its ZIP is that of another delivery now",
}
OF_STUDY = {
    "received": "received",
    "finding": "found",
    "creates subject": "its subject is new on XNAT",
    "parked": "{progress}, and waits",
    "advanced": "{progress}",
    "finished": "complete",
    "postponed": "waits, and is tried again by itself",
    "returned": "goes on later",
    "held": "HELD",
    "recovered": "the service stopped while it worked on this, so XNAT is asked first",
    "released": "goes on, as a person has decided",
    "raised": "goes on: the setting `until` was raised",
    "unwanted": "given up",
    "skipped": "skipped: nothing of it is left in XNAT's prearchive",
    "resent": "to be sent again from the beginning",
    "accepted": "accepted by a person",
    "verified": "XNAT was asked for its images",
}
_UNTOLD = "taken"  #: an event of a study that tells people nothing: a worker begins


def is_told(event: Event) -> bool:
    """Return whether people are told of an event."""
    return not (event["number"] and event["event"] == _UNTOLD)


def sentence(event: Event) -> str:
    """Return what happened, why, and who decided it."""
    known = OF_STUDY if event["number"] else OF_DELIVERY
    words = known.get(event["event"], str(event["event"]))
    said = words.format(progress=event["progress"])
    detail = signed(event["detail"], event["who"]) if event["who"] else event["detail"]
    reasons = "; ".join(text for text in dict.fromkeys((event["why"], detail)) if text)
    return f"{said}: {reasons}" if reasons else said


def item_of(delivery: int, event: Event) -> str:
    """Return the item that an event of a delivery is about: a study of it, or all of it."""
    return f"{delivery}.{event['number']}" if event["number"] else str(delivery)
