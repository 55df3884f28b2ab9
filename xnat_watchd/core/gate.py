"""Whether XNAT may be asked now: one gate for the server, one for each project. Time and chance are arguments.

A project's gate is shut by an error that may be the project's trouble, never by one that is a study's own. When the
time of a shut gate has come, XNAT is probed first. Then one study passes at a time, each time a different one, until
one succeeds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from xnat_watchd.core.errors import AuthRefused, Transient, Unavailable, WatchdError

#: Refused credentials are tried again after these times, and after the last of them from then on: accounts lock.
AUTH_LADDER = (timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
REFUSALS_AN_HOUR = 4  #: never more, whatever else happens (XNAT locks an account at 20, sites choose less)
FIRST, CEILING = timedelta(seconds=10), timedelta(minutes=5)  #: for a server in trouble, doubling with jitter
PROJECT_FIRST = timedelta(seconds=30)  #: for a project in trouble, the first time: nearly always the trial succeeds
PROJECT_AGAIN = timedelta(minutes=5)  #: and after that, doubling with jitter
PROJECT_CEILING = timedelta(hours=2)
PROJECT_IN_TROUBLE = 5  #: so many different studies in a row with trouble that may be the project's: then it is
OFTEN_ENOUGH = 3  #: times that one study may meet it before it is held: then the trouble may be its own after all


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Open; or shut until a time, for a reason, and then open for one study first and for all after it."""

    until: datetime | None = None  #: shut until then; then XNAT is probed
    trial: bool = False  #: a probe was answered: one study may pass
    login: bool = False  #: refused credentials shut it
    passes: bool = True  #: the trouble that shut it may pass without anybody's help
    why: str = ""
    advice: str = ""
    strikes: int = 0  #: how often in a row it was shut
    since: datetime | None = None  #: when it was shut the first time in this row
    refusals: tuple[datetime, ...] = ()  #: when credentials were refused within the last hour

    @property
    def shut(self) -> bool:
        """Return whether nothing may pass."""
        return self.until is not None

    def probe_due(self, now: datetime) -> bool:
        """Return whether XNAT may be probed now. A clock that jumped back does not keep the gate shut."""
        return self.until is not None and (self.until <= now or self.until > now + 2 * PROJECT_CEILING)

    def may_be_refused(self, now: datetime) -> bool:
        """Return whether a person may try credentials: one more refusal locks no account."""
        return len(self._recent(now)) < REFUSALS_AN_HOUR

    def _recent(self, now: datetime) -> tuple[datetime, ...]:
        return tuple(at for at in self.refusals if timedelta(0) <= now - at < timedelta(hours=1))

    def refused(self, now: datetime) -> Gate:
        """Return the gate after XNAT refused credentials once to another program on this machine.

        The refusal counts for this hour. It does not shut the gate: only the service's own requests do.
        """
        return replace(self, refusals=(*self._recent(now), now))

    def probed(self) -> Gate:
        """Return the gate after a probe was answered: open for one study."""
        return replace(self, until=None, trial=True)

    def with_login(self, login: Gate) -> Gate:
        """Return the server's gate for who logs in by a name; `login` is what is known of that name.

        What shuts it longer counts. Refusals are always those of the name.
        """
        longer = max(self, login, key=lambda gate: (gate.until or _EVER, gate.trial))
        return replace(longer, refusals=login.refusals)

    def passed(self) -> Gate:
        """Return the gate after a study succeeded: open for all."""
        return Gate(refusals=self.refusals)


OPEN = Gate()
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AllGates:
    """Every gate at one moment, and whether a person has paused the work."""

    paused: bool
    by_scope: Mapping[str, Gate]  #: of the server, whose scope is empty, and of projects: those that were ever shut

    def of(self, scope: str = "") -> Gate:
        """Return the gate of a scope; one that was never shut is open."""
        return self.by_scope.get(scope, OPEN)

    @property
    def are_open(self) -> bool:
        """Return whether none is shut or on trial and nothing is paused: then any study may be taken."""
        return not self.paused and not any(gate.shut or gate.trial for gate in self.by_scope.values())


@dataclass(frozen=True, slots=True)
class Restrictions:
    """From which projects no study may be taken now, and how it stands with the gates."""

    gates: AllGates
    closed: Collection[str] = ()  #: projects about which XNAT may not be asked
    trials: Collection[str] = ()  #: projects that were shut: one study may find out whether they are open again


def shut_by(gate: Gate, error: WatchdError, now: datetime, jitter: float) -> Gate:
    """Return the gate after this error. `jitter` in [0, 1) keeps many machines from asking at the same moment."""
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
        since=gate.since or now,
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
