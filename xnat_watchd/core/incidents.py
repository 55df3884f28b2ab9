"""Incidents: which trouble people are told of, when, when again, and when it is over. Never one for each study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

GATHER = timedelta(minutes=5)  #: the first trouble waits so long for others, so that one message tells of all
CALM = timedelta(minutes=10)  #: trouble that comes back within this time has not ended
REMIND_LATER = timedelta(days=7)  #: between two reminders, after the first
AN_HOUR = timedelta(hours=1)
MESSAGES_AN_HOUR = 6  #: beyond that, what is to be told waits and is gathered


class IncidentKind(StrEnum):
    """What an incident is about."""

    LOGIN = "login"
    LEDGER = "ledger"
    DISK = "disk"
    FOLDER = "folder"
    SERVER = "server"
    PROJECT = "project"
    STUDIES = "studies"
    DROP = "drop"
    TABLE = "table"


PATIENCE = {
    IncidentKind.LOGIN: timedelta(0),
    IncidentKind.LEDGER: timedelta(0),
    IncidentKind.DISK: timedelta(minutes=10),
    IncidentKind.FOLDER: timedelta(minutes=10),
    IncidentKind.SERVER: timedelta(minutes=30),
    IncidentKind.PROJECT: timedelta(minutes=30),
    IncidentKind.STUDIES: timedelta(minutes=15),
    IncidentKind.DROP: timedelta(minutes=15),
    IncidentKind.TABLE: timedelta(minutes=15),
}
"""How long each kind of trouble lasts before it is told: most of it passes by itself."""


@dataclass(frozen=True, slots=True)
class IncidentKey:
    """What makes two observations one incident: the kind, and the project or folder that it is about, or nothing."""

    kind: IncidentKind
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """Trouble that lasts, or has ended a moment ago. `told` is the time of the last message about it."""

    opened: datetime
    gone: datetime | None = None  #: since when it is not observed any more
    told: datetime | None = None
    reminders: int = 0

    def due(self, kind: IncidentKind) -> datetime:
        """Return when it has lasted long enough to be told."""
        return self.opened + PATIENCE[kind]


Incidents = Mapping[IncidentKey, Incident]


@dataclass(frozen=True, slots=True)
class Decision:
    """The incidents from now on, and what one message tells: what is new, what still lasts, and what is over."""

    incidents: Incidents
    tell: tuple[IncidentKey, ...] = ()
    remind: tuple[IncidentKey, ...] = ()
    over: tuple[IncidentKey, ...] = ()

    @property
    def has_news(self) -> bool:
        """Return whether there is anything to tell."""
        return bool(self.tell or self.remind or self.over)


def decide(
    incidents: Incidents, observed: Iterable[IncidentKey], now: datetime, *, remind: timedelta, may_tell: bool = True
) -> Decision:
    """Return what becomes of the incidents by what is observed now. `remind`: the time until the first reminder.

    With `may_tell` False, as while the work is paused, nothing is told: what then still lasts is told later.
    """
    seen = frozenset(observed)
    current = {key: _observed(incidents.get(key), now, seen=key in seen) for key in {*incidents, *seen}}
    ended = {key for key, one in current.items() if one.gone is not None and now - one.gone >= CALM}
    if not may_tell:
        untold = {key for key in ended if current[key].told is None}
        return Decision({key: one for key, one in current.items() if key not in untold})
    new = _new(current, seen, now)
    old = _to_remind(current, seen, now, remind)
    for key in new:
        current[key] = replace(current[key], told=now)
    for key in old:
        current[key] = replace(current[key], told=now, reminders=current[key].reminders + 1)
    over = _in_order(key for key in ended if current[key].told is not None)
    left = {key: one for key, one in current.items() if key not in ended}
    return Decision(left, new, old, over)


def _observed(before: Incident | None, now: datetime, *, seen: bool) -> Incident:
    if before is None:
        return Incident(now)
    incident = _until(before, now)
    gone = None if seen else incident.gone or now
    return incident if gone == incident.gone else replace(incident, gone=gone)


def _until(incident: Incident, now: datetime) -> Incident:
    """Return an incident without times beyond now: a clock that ran ahead has made them, and they would last."""
    opened, gone, told = (min(one, now) if one else None for one in (incident.opened, incident.gone, incident.told))
    return replace(incident, opened=opened or now, gone=gone, told=told)


def _new(current: Incidents, seen: frozenset[IncidentKey], now: datetime) -> tuple[IncidentKey, ...]:
    """Return what has lasted long enough and was not told, once the first of it has waited for others."""
    untold = [key for key in seen if current[key].told is None and now >= current[key].due(key.kind)]
    if not any(now >= current[key].due(key.kind) + GATHER for key in untold):
        return ()
    return _in_order(untold)


def _to_remind(
    current: Incidents, seen: frozenset[IncidentKey], now: datetime, remind: timedelta
) -> tuple[IncidentKey, ...]:
    def is_due(one: Incident) -> bool:
        return one.told is not None and now - one.told >= (REMIND_LATER if one.reminders else remind)

    return _in_order(key for key in seen if is_due(current[key]))


def _in_order(keys: Iterable[IncidentKey]) -> tuple[IncidentKey, ...]:
    order = list(PATIENCE)
    return tuple(sorted(keys, key=lambda key: (order.index(key.kind), key.scope)))
