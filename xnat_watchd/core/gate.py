"""May we talk to XNAT now? One gate for the server, one for each project. Time and chance are arguments.

A project's gate is shut by what may be the project's trouble, never by what is a study's own. When its time has come, a
cheap question is asked first; then one study passes at a time, a different one each time, until one comes through.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from xnat_watchd.core.errors import AuthRefused, Transient, Unavailable, WatchdError

#: A refused credential is tried again this long afterwards, the last of these from then on: accounts lock.
AUTH_LADDER = (timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
REFUSALS_AN_HOUR = 4  #: never more, whatever else happens (XNAT's lock comes at 20, sites choose less)
FIRST, CEILING = timedelta(seconds=10), timedelta(minutes=5)  #: for a server in trouble, doubling with jitter
PROJECT_FIRST = timedelta(seconds=30)  #: for a project in trouble, at first: nearly always one study finds it sound
PROJECT_AGAIN = timedelta(minutes=5)  #: and after that, doubling with jitter
PROJECT_CEILING = timedelta(hours=2)
PROJECT_IN_TROUBLE = 5  #: so many different studies in a row that met what may be the project's: it is thought to be so
OFTEN_ENOUGH = 3  #: times that one study may meet it before it is held by name, since it may be its own after all


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Open, or shut until a time because of a reason; then open for one study before all."""

    until: datetime | None = None  #: shut, and to be probed then
    trial: bool = False  #: a probe was answered: one study may pass
    login: bool = False  #: it was the credentials that shut it
    passes: bool = True  #: what shut it may pass without anybody's help
    why: str = ""
    advice: str = ""
    strikes: int = 0  #: times in a row that it was shut
    refusals: tuple[datetime, ...] = ()  #: credentials refused within the last hour

    @property
    def shut(self) -> bool:
        """Return whether nothing may pass."""
        return self.until is not None

    def probe_due(self, now: datetime) -> bool:
        """Return whether something cheap may be asked now. A clock that jumped back does not keep it shut."""
        return self.until is not None and (self.until <= now or self.until > now + 2 * PROJECT_CEILING)

    def may_be_refused(self, now: datetime) -> bool:
        """Return whether credentials may be tried at a person's word: refused once more, they lock no account."""
        return len(self._recent(now)) < REFUSALS_AN_HOUR

    def _recent(self, now: datetime) -> tuple[datetime, ...]:
        return tuple(at for at in self.refusals if timedelta(0) <= now - at < timedelta(hours=1))

    def refused(self, now: datetime) -> Gate:
        """Return the gate after credentials were refused to somebody else on this machine, who tried them once.

        It counts among those of this hour; whether we may speak to XNAT is for our own tries to find out.
        """
        return replace(self, refusals=(*self._recent(now), now))

    def probed(self) -> Gate:
        """Return the gate after a probe was answered: open for one study."""
        return replace(self, until=None, trial=True)

    def passed(self) -> Gate:
        """Return the gate after a study came through: open for all."""
        return Gate(refusals=self.refusals)


OPEN = Gate()


def shut_by(gate: Gate, error: WatchdError, now: datetime, jitter: float) -> Gate:
    """Return the gate after this error. `jitter` in [0, 1) keeps many machines from knocking at one moment."""
    strikes = gate.strikes + 1
    refusals = gate.refused(now).refusals if isinstance(error, AuthRefused) else gate.refusals
    pause = _pause(error, strikes, refusals, now) * (1 + jitter / 4)
    return Gate(
        until=now + pause,
        login=isinstance(error, AuthRefused),
        passes=isinstance(error, Unavailable | Transient),
        why=str(error),
        advice=error.advice,
        strikes=strikes,
        refusals=refusals,
    )


def _pause(error: WatchdError, strikes: int, refusals: tuple[datetime, ...], now: datetime) -> timedelta:
    if isinstance(error, AuthRefused):
        step = AUTH_LADDER[min(strikes, len(AUTH_LADDER)) - 1]
        if len(refusals) >= REFUSALS_AN_HOUR:
            return max(step, refusals[-REFUSALS_AN_HOUR] + timedelta(hours=1) - now)
        return step
    if isinstance(error, Unavailable):
        return max(error.after or timedelta(0), min(FIRST * (1 << min(strikes - 1, 20)), CEILING))
    return PROJECT_FIRST if strikes == 1 else min(PROJECT_AGAIN * (1 << min(strikes - 2, 20)), PROJECT_CEILING)
