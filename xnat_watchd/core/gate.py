"""May we talk to XNAT now? One gate for the server, one for each project. Time and chance are arguments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from xnat_watchd.core.errors import AuthRefused, Failing, Permanent, Unavailable

#: A refused credential is tried again this long afterwards, the last of these from then on: accounts lock.
AUTH_LADDER = (timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
REFUSALS_AN_HOUR = 4  #: never more, whatever else happens (XNAT's lock comes at 20, sites choose less)
FIRST, CEILING = timedelta(seconds=10), timedelta(minutes=5)  #: for a server in trouble, doubling with jitter
PROJECT_PAUSE = timedelta(minutes=30)  #: for a project in which study after study meets the same refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Open, or shut until a time because of a reason; after a shutting, open for one study before all."""

    until: datetime | None = None  #: shut, and to be probed then
    trial: bool = False  #: a probe was answered: one study may pass
    login: bool = False  #: it was the credentials that shut it
    why: str = ""
    advice: str = ""
    strikes: int = 0  #: times in a row that it was shut
    refusals: tuple[datetime, ...] = ()  #: credentials refused within the last hour

    @property
    def shut(self) -> bool:
        """Say whether nothing may pass."""
        return self.until is not None

    def probe_due(self, now: datetime) -> bool:
        """Say whether something cheap may be asked now. A clock that jumped back does not keep it shut."""
        return self.until is not None and (self.until <= now or self.until > now + timedelta(hours=2))

    def probed(self) -> Gate:
        """Give the gate after a probe was answered: open for one study."""
        return replace(self, until=None, trial=True)

    def passed(self) -> Gate:
        """Give the gate after a study came through: open for all."""
        return Gate(refusals=self.refusals)


OPEN = Gate()
Trouble = Unavailable | AuthRefused | Permanent | Failing  #: what shuts a gate


def shut_by(gate: Gate, error: Trouble, now: datetime, jitter: float) -> Gate:
    """Give the gate after this error. `jitter` in [0, 1) keeps many machines from knocking at one moment."""
    strikes = gate.strikes + 1
    refusals = tuple(at for at in gate.refusals if timedelta(0) <= now - at < timedelta(hours=1))
    if isinstance(error, AuthRefused):
        refusals = (*refusals, now)
    pause = _pause(error, strikes, refusals, now) * (1 + jitter / 4)
    return Gate(
        until=now + pause,
        login=isinstance(error, AuthRefused),
        why=str(error),
        advice=error.advice,
        strikes=strikes,
        refusals=refusals,
    )


def _pause(error: Trouble, strikes: int, refusals: tuple[datetime, ...], now: datetime) -> timedelta:
    if isinstance(error, AuthRefused):
        step = AUTH_LADDER[min(strikes, len(AUTH_LADDER)) - 1]
        if len(refusals) >= REFUSALS_AN_HOUR:
            return max(step, refusals[-REFUSALS_AN_HOUR] + timedelta(hours=1) - now)
        return step
    if isinstance(error, Unavailable):
        return max(error.after or timedelta(0), min(FIRST * (1 << min(strikes - 1, 20)), CEILING))
    return PROJECT_PAUSE
