"""Incidents: which trouble people are told of, when, when again, and when it is over. Never one for each study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

GATHER = timedelta(minutes=5)  #: the first trouble waits so long for others, so that one message tells of all
CALM = timedelta(minutes=10)  #: trouble that comes back within this time has not ended
CALMS = (CALM, 3 * CALM, 9 * CALM, 24 * CALM)  #: the same for trouble that had ended and came back within a day
A_DAY = timedelta(days=1)
MOST_REASONS = 20  #: of one incident; what comes beyond is no news
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
    STATION = "station"


OF_ALL_STATIONS = frozenset({IncidentKind.LOGIN, IncidentKind.SERVER, IncidentKind.PROJECT, IncidentKind.STATION})
"""What stations of one ledger meet together: one of them tells of it."""

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
    IncidentKind.STATION: timedelta(minutes=10),
}
"""How long each kind of trouble lasts before it is told: most of it passes by itself."""


@dataclass(frozen=True, slots=True)
class IncidentKey:
    """What makes two observations one incident: the kind, and the project or folder that it is about, or nothing."""

    kind: IncidentKind
    scope: str = ""


Reasons = frozenset[str]
"""Why there is trouble: one short text for each reason, the same for the same reason, and without names."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Trouble that lasts, or has ended within a day. `told` is the time of the last message about it."""

    opened: datetime
    gone: datetime | None = None  #: since when it is not observed any more
    told: datetime | None = None
    reminders: int = 0
    reasons: Reasons = frozenset()  #: those that were told
    worse: datetime | None = None  #: since when there is a reason that was not told
    over: datetime | None = None  #: when it was told that it has ended
    returns: int = 0  #: how often it had ended and came back within a day

    @property
    def calm(self) -> timedelta:
        """How long it must be away until it has ended: the longer, the more often it came back."""
        return CALMS[min(self.returns, len(CALMS) - 1)]

    def due(self, kind: IncidentKind) -> datetime:
        """Return when it has lasted long enough to be told."""
        return self.opened + PATIENCE[kind]


Incidents = Mapping[IncidentKey, Incident]
Observed = Mapping[IncidentKey, Reasons]


@dataclass(frozen=True, slots=True)
class Decision:
    """The incidents from now on, and what one message tells."""

    incidents: Incidents
    tell: tuple[IncidentKey, ...] = ()  #: what is new
    worse: tuple[IncidentKey, ...] = ()  #: what was told, and has got another reason
    remind: tuple[IncidentKey, ...] = ()  #: what still lasts
    over: tuple[IncidentKey, ...] = ()

    @property
    def has_news(self) -> bool:
        """Return whether there is anything to tell."""
        return bool(self.tell or self.worse or self.remind or self.over)


def decide(
    incidents: Incidents, observed: Observed, now: datetime, *, remind: timedelta, may_tell: bool = True
) -> Decision:
    """Return what becomes of the incidents by what is observed now. `remind`: the time until the first reminder.

    With `may_tell` False, as while the work is paused, nothing is told: what then still lasts is told later.
    """
    current = {
        key: one
        for key in {*incidents, *observed}
        if (one := _observed(incidents.get(key), observed.get(key), now)) is not None
    }
    if not may_tell:
        return Decision({key: one for key, one in current.items() if one.told or not _has_ended(one, now)})
    new = _new(current, observed, now)
    worse = _in_order(key for key in observed if _is_worse(key, current[key], now))
    old = _in_order(key for key in observed if key not in worse and _is_to_be_reminded(current[key], now, remind))
    over = _in_order(key for key, one in current.items() if one.told and not one.over and _has_ended(one, now))
    for key in (*new, *worse, *old):
        current[key] = _told(current[key], observed[key], now, again=key in old)
    for key in over:
        current[key] = replace(current[key], over=now)
    left = {key: one for key, one in current.items() if one.told or not _has_ended(one, now)}
    return Decision(left, new, worse, old, over)


def moved(incidents: Incidents, moves: Iterable[tuple[IncidentKey, IncidentKey]], observed: Observed) -> Incidents:
    """Return the incidents where rows of one have come to be of another, as when a folder becomes a known project.

    What was told of the one was told of the other, and what has no row left is not over by that.
    """
    found = dict(incidents)
    for old, new in moves:
        if old in incidents and (new not in found or found[new].over):
            found[new] = incidents[old]
        if old not in observed:
            found.pop(old, None)
    return found


def _observed(before: Incident | None, reasons: Reasons | None, now: datetime) -> Incident | None:
    """Return an incident as it is now. `reasons`: None if it is not observed. None: it is not remembered any more."""
    incident = _until(before, now) if before else None
    if incident and incident.over:
        if now - incident.over >= A_DAY:
            incident = None
        elif reasons is None:
            return incident
    if incident is None:
        return Incident(now) if reasons is not None else None
    if incident.over:  # it was over, and comes back
        return Incident(now, returns=incident.returns + 1)
    if reasons is None:
        return incident if incident.gone else replace(incident, gone=now, worse=None)
    is_news = incident.told and reasons - incident.reasons and len(incident.reasons) < MOST_REASONS
    return replace(incident, gone=None, worse=(incident.worse or now) if is_news else None)


def _told(incident: Incident, reasons: Reasons, now: datetime, *, again: bool) -> Incident:
    """Return an incident of which a message tells. `again`: as a reminder."""
    reminders = incident.reminders + (1 if again else 0)
    return replace(incident, told=now, worse=None, reasons=incident.reasons | reasons, reminders=reminders)


def _has_ended(one: Incident, now: datetime) -> bool:
    return one.over is None and one.gone is not None and now - one.gone >= one.calm


def _until(incident: Incident, now: datetime) -> Incident:
    """Return an incident without times beyond now: a clock that ran ahead has made them, and they would last."""
    times = (incident.gone, incident.told, incident.worse, incident.over)
    gone, told, worse, over = (min(one, now) if one else None for one in times)
    return replace(incident, opened=min(incident.opened, now), gone=gone, told=told, worse=worse, over=over)


def _new(current: Incidents, seen: Iterable[IncidentKey], now: datetime) -> tuple[IncidentKey, ...]:
    """Return what has lasted long enough and was not told, once the first of it has waited for others."""
    untold = [key for key in seen if current[key].told is None and now >= current[key].due(key.kind)]
    if not any(now >= current[key].due(key.kind) + GATHER for key in untold):
        return ()
    return _in_order(untold)


def _is_worse(key: IncidentKey, one: Incident, now: datetime) -> bool:
    """Return whether another reason has lasted long enough to be told, and has waited for others."""
    return one.worse is not None and now - one.worse >= PATIENCE[key.kind] + GATHER


def _is_to_be_reminded(one: Incident, now: datetime, remind: timedelta) -> bool:
    return one.told is not None and now - one.told >= (REMIND_LATER if one.reminders else remind)


def _in_order(keys: Iterable[IncidentKey]) -> tuple[IncidentKey, ...]:
    order = list(PATIENCE)
    return tuple(sorted(keys, key=lambda key: (order.index(key.kind), key.scope)))
