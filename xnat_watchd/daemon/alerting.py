"""Tells people of trouble that lasts. A thread of its own, so that no channel can delay an upload."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from xnat_watchd.adapters import webhook
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.messages import Message
from xnat_watchd.adapters.threads import EndedByFault, until_stop
from xnat_watchd.core.errors import NotSent, PartlySent, Refusal
from xnat_watchd.core.incidents import (
    AN_HOUR,
    MESSAGES_AN_HOUR,
    OF_ALL_STATIONS,
    Decision,
    IncidentKey,
    Incidents,
    decide,
    moved,
)
from xnat_watchd.core.ports import Clock, Log
from xnat_watchd.operator.alert_channels import Channels
from xnat_watchd.operator.alert_texts import Observed, digest, message, moves, observed, reasons
from xnat_watchd.operator.status import SILENCE, Snapshot, attention_row
from xnat_watchd.settings.sections import AlertSettings

EVERY = 30.0  #: seconds between two turns
PING_EVERY = 300.0  #: seconds between two pings
AGAIN = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=6))
GIVEN_UP_AFTER = timedelta(days=3)  #: a message that could not be sent for so long tells nobody anything any more
TRIES = len(AGAIN)  #: at least, before: the machine may have been off for most of that time
TOO_OLD = timedelta(days=30)  #: however often it was tried
NOT_TAKEN = (NotSent, Refusal)
CHECK_SETTINGS = "Correct [alerts] in the settings, then type `xnat-watchd alert --test`."


@dataclass(kw_only=True)
class Alerting:
    """Decides about incidents, and sends what the ledger holds for people. For one thread at a time."""

    ledger: Ledger
    settings: Callable[[], AlertSettings]
    channels: Callable[[AlertSettings], Channels]
    published: Callable[[], Snapshot | None]  #: the newest snapshot without names
    is_well: Callable[[], bool]  #: every thread keeps its promise, and nothing of this machine fails
    clock: Clock
    log: Log
    station: str
    stop: threading.Event
    incidents: Incidents | None = None  #: None until they were read
    failing: dict[str, str] = field(default_factory=dict)  #: channel -> why it did not take the last message
    _rows: Observed = field(default_factory=dict)  #: what was wrong in the last turn
    _next_ping: float = 0.0
    _digest_of: str = ""  #: the day whose digest was written
    _empty_at: tuple[int, int] | None = None  #: the version of the ledger in which no message was to be sent
    _next_due: datetime | None = None  #: when a message of that version is due
    _looked: datetime | None = None  #: when that was found: a clock that is set back makes other messages due

    def turn(self) -> float:
        """Do what is due, and return the seconds until the next turn."""
        settings, snapshot = self.settings(), self.published()
        if snapshot is None:
            return EVERY
        self._ping(settings.ping, snapshot)  # first: it must not come late because a message hangs
        channels = self.channels(settings)
        self._decide(settings, channels, snapshot)  # without a channel too, so that it is known how long trouble lasted
        self._write_digest(settings, channels, snapshot)
        self._send(channels)
        self.failing = {name: why for name, why in self.failing.items() if name in {*channels, "ping"}}
        return EVERY

    def problems(self) -> list[dict[str, object]]:
        """Return a row that needs attention for each channel that does not work."""
        return [
            attention_row("alerts", f"people are not told by {name}: {why}", CHECK_SETTINGS)
            for name, why in sorted([*self.failing.items()])
        ]

    # -- incidents -----------------------------------------------------------------------------------------

    def _decide(self, settings: AlertSettings, channels: Channels, snapshot: Snapshot) -> None:
        stored = self.ledger.messages.incidents() if self.incidents is None else self.incidents
        rows, now = observed(snapshot), self.clock.now()
        before = moved(stored, moves(self._rows, rows), {key: reasons(found) for key, found in rows.items()})
        paused = any(pause["of"] == "work" for pause in snapshot.get("paused", ()))
        met_by_all = any(key.kind in OF_ALL_STATIONS for key in rows)  # else the ledger is asked nothing

        def decided() -> Decision:
            elsewhere = self.ledger.messages.told_elsewhere() if met_by_all else frozenset[IncidentKey]()
            seen = {key: reasons(found) for key, found in rows.items() if key not in elsewhere}
            decision = decide(before, seen, now, remind=settings.remind, may_tell=bool(channels) and not paused)
            if decision.has_news and self.ledger.messages.written_between(now - AN_HOUR, now) >= MESSAGES_AN_HOUR:
                return decide(before, seen, now, remind=settings.remind, may_tell=False)
            return decision

        decision = decided()
        if decision.incidents != stored or decision.has_news:
            with self.ledger.together():
                if self.ledger.stations.shared:  # another station may have told it a moment ago
                    decision = decided()
                self._keep(decision, before, rows, channels, now)
        self.incidents, self._rows = decision.incidents, rows

    def _keep(self, decision: Decision, before: Incidents, seen: Observed, channels: Channels, now: datetime) -> None:
        self.ledger.messages.keep(decision.incidents)
        if decision.has_news:
            subject, body = message(decision, before, seen, self.station)
            self.ledger.messages.write(f"incidents {now.isoformat()}", [*channels], subject, body, now)

    def _write_digest(self, settings: AlertSettings, channels: Channels, snapshot: Snapshot) -> None:
        now = self.clock.now()
        local = now.astimezone()
        day = f"{local:%Y-%m-%d}"
        if not (settings.digest and channels) or f"{local:%H:%M}" < settings.digest or day == self._digest_of:
            return
        if not self.ledger.messages.has(f"digest {day}"):
            self.ledger.messages.write(f"digest {day}", [*channels], *digest(snapshot, self.station), now)
        self._digest_of = day

    # -- sending -------------------------------------------------------------------------------------------

    def _send(self, channels: Channels) -> None:
        """Send what is due. The ledger is asked only after a change, and when something is due by the clock."""
        version, now = self.ledger.version(), self.clock.now()
        set_back = self._looked is not None and now < self._looked
        self._looked = now
        if version == self._empty_at and not set_back and (self._next_due is None or now < self._next_due):
            return
        self.ledger.messages.correct_times(now, AGAIN[-1])
        self.ledger.messages.give_up((now - GIVEN_UP_AFTER, TRIES), now - TOO_OLD, [*channels])
        failed: set[str] = set()  #: channels that did not take a message in this turn, and are left until the next one
        for one in self.ledger.messages.due([*channels], now):
            if self.stop.is_set():
                return
            if one.channel not in failed and not self._try(one, channels[one.channel]):
                failed.add(one.channel)
        self._empty_at, self._next_due = self.ledger.version(), self.ledger.messages.next_due()

    def _try(self, one: Message, send: Callable[[Message], None]) -> bool:
        """Send a message, and return whether it was taken."""
        try:
            until_stop(lambda: send(one), self.stop, NOT_TAKEN)
        except PartlySent as error:
            self.ledger.messages.sent(one, self.clock.now(), str(error))
            self._note(one.channel, str(error))
            return True
        except (*NOT_TAKEN, EndedByFault) as error:
            now = self.clock.now()
            again = now + AGAIN[min(one.tries, len(AGAIN) - 1)]
            self.ledger.messages.failed(one, str(error), again)
            self._note(one.channel, str(error))
            return False
        self.ledger.messages.sent(one, self.clock.now())
        self._note(one.channel, "")
        return True

    def _note(self, channel: str, why: str) -> None:
        if why and channel not in self.failing:
            self.log.warning("alert.failed", channel=channel, reason=why)
        if why:
            self.failing = {**self.failing, channel: why}
        else:
            self.failing = {name: said for name, said in self.failing.items() if name != channel}

    # -- the ping ------------------------------------------------------------------------------------------

    def _ping(self, url: str, snapshot: Snapshot) -> None:
        """Tell a service elsewhere that all is well. It tells people when this stays out: then we may be unable to."""
        if not url or self.clock.monotonic() < self._next_ping or not self._promises_are_kept(snapshot):
            return
        self._next_ping = self.clock.monotonic() + PING_EVERY
        try:
            until_stop(lambda: webhook.post(url, {}), self.stop, NOT_TAKEN)
        except (*NOT_TAKEN, EndedByFault) as error:
            self._note("ping", str(error))
        else:
            self._note("ping", "")

    def _promises_are_kept(self, snapshot: Snapshot) -> bool:
        age = self.clock.now() - datetime.fromisoformat(snapshot["at"])
        return self.is_well() and abs(age) < timedelta(seconds=SILENCE)
