"""Deliveries for people who may not see names: what `show` and `deliveries` tell the group that drops ZIPs.

Only values that are known to hold no name are kept. Every other text or number is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from xnat_watchd.core.concealing import conceal

Story = dict[str, Any]

_OF_DELIVERY = frozenset(
    {"id", "kind", "state", "size", "arrived", "ended", "deleted", "settled", "clutter", "station"}
)
_OF_STUDY = frozenset({
    "number", "progress", "standing", "generation", "attempts", "received", "changed", "since", "due", "delayed",
    "session", "images", "instances", "left_behind", "lost", "loss_accepted", "uploads", "trials",
})  # fmt: skip
_OF_FINDING = frozenset({"kind", "count", "found", "settled", "by"})
_OF_EVENT = frozenset({"at", "number", "event", "progress", "standing", "who"})
_OF_ROW = frozenset({"item", "state", "images", "arrived", "size", "ended", "same_as", "station"})
_SENTENCES = frozenset({"why", "advice"})  #: name no patient, but perhaps a project; a person's reasons are not here
_MOVED = "moved"  #: an event that tells in `detail` from which project to which


def story_without_names(story: Story, is_project: Callable[[str], bool]) -> Story:
    """Return what `show` tells, without names of patients, subjects, sessions, files and unproved projects."""
    hidden = [name for name in _projects(story) if not is_project(name)]
    studies = [
        {
            **_without(one, _OF_STUDY, hidden),
            "findings": [_without(finding, _OF_FINDING, hidden) for finding in one["findings"]],
        }
        for one in story["studies"]
    ]
    events = [_without(one, _OF_EVENT, hidden) for one in story["events"]]
    return {**_without(story, _OF_DELIVERY, hidden), "studies": studies, "events": events}


def row_without_names(row: Story, is_project: Callable[[str], bool]) -> Story:
    """Return a row of `deliveries` without the names of the file and of an unproved project."""
    return _without(row, _OF_ROW, [] if is_project(row["project"]) else [row["project"]])


def _without(row: Story, keys: Collection[str], hidden: Collection[str]) -> Story:
    return {name: _kept(name, value, keys, hidden) for name, value in row.items()}


def _kept(name: str, value: Any, keys: Collection[str], hidden: Iterable[str]) -> Any:
    if name in keys:
        return value
    if name == "project":
        return "" if value in hidden else value
    if name in _SENTENCES and isinstance(value, str):
        return conceal(value, filter(None, hidden))
    return type(value)() if isinstance(value, str | list) else None


def _projects(story: Story) -> Iterator[str]:
    yield from {story["project"], *(one["project"] for one in story["studies"])}
    for event in story["events"]:
        if event["event"] == _MOVED and event["detail"]:
            yield from event["detail"].split(" -> ")
