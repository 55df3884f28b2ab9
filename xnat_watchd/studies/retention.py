"""Delete ZIPs that were kept for long enough: each after XNAT was asked once more, and never by a wrong clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from xnat_watchd.adapters.files.layout import folder_name_of
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.clock_jumps import JUMP, SILENCE, ClockOffset
from xnat_watchd.core.errors import AuthRefused, Stopped, Unavailable, WatchdError
from xnat_watchd.core.ports import Log
from xnat_watchd.core.presence import Presence
from xnat_watchd.core.retention import KeptZip, RetentionRules, deletable, overdue
from xnat_watchd.studies.steps.archive_proof import shown
from xnat_watchd.studies.steps.context import Tools

EVERY = 3600.0  #: seconds between two sweeps
ASKS_AGAIN = timedelta(days=1)  #: until XNAT is asked again about a ZIP of which it did not hold all

_ASKED = "XNAT did not hold all of it a short time ago"

RESUME = "If the time is right, type `xnat-watchd resume`; else set the clock first."


class Retention:
    """Deletes kept ZIPs. Call `sweep` at any time, but from one thread only.

    Make it before anything else is written to the ledger: the last event shows whether the clock can be right.
    """

    def __init__(self, tools: Tools, keep: Callable[[], RetentionRules], log: Log) -> None:
        self._tools, self._keep, self._log = tools, keep, log
        clock, latest = tools.clock, tools.ledger.kept_zips.last_event()
        self._clock_jumps = ClockOffset(clock.now(), clock.monotonic())
        self._silence = clock.now() - latest if latest else timedelta(0)
        self._next = clock.monotonic()
        self._asked_again_at: dict[int, float] = {}  #: delivery -> when XNAT may be asked about it again
        self._told: dict[int, str] = {}  #: delivery -> the recorded reason why it stays

    def sweep(self) -> None:
        """Delete what was kept for long enough, if it is time, the clock can be trusted and XNAT may be asked."""
        now = self._tools.clock.monotonic()
        if self._keep().everything or now < self._next:
            return
        self._next = now + EVERY
        self._check_clock()
        if self._may_delete():
            self._sweep()

    def _check_clock(self) -> None:
        """Pause retention until a person resumes it, if the clock was set by days or the last event is a month old."""
        clock = self._tools.clock
        jump = self._clock_jumps.jump(clock.now(), clock.monotonic())
        silent, self._silence = self._silence, timedelta(0)
        if abs(jump) > JUMP:
            self._stop(f"the clock was set by {abs(jump).days} days")
        elif silent > SILENCE:
            self._stop(f"the clock says that the last event was {silent.days} days ago")

    def _stop(self, why: str) -> None:
        if self._tools.ledger.pauses.begin(Activity.RETENTION, why, RESUME, self._tools.clock.now()):
            self._log.warning("retention.stopped", reason=why)

    def _may_delete(self) -> bool:
        return not self._tools.ledger.pauses.lasts(Activity.RETENTION) and self._tools.gates.is_open()

    def _sweep(self) -> None:
        kept = self._tools.ledger.kept_zips.kept()
        self._tell_what_stays(kept)
        for one in deletable(self._not_asked_about_lately(kept), self._keep(), self._tools.clock.now()):
            try:
                self._consider(one)
            except (Unavailable, AuthRefused) as error:
                self._tools.gates.shut(error)
                return
            except Stopped:
                return
            except WatchdError as error:
                self._keep_for_now(one, str(error))
            if self._study_is_due():
                self._next = self._tools.clock.monotonic()
                return

    def _tell_what_stays(self, kept: Sequence[KeptZip]) -> None:
        """Record why a ZIP stays although its time has come, once for each reason."""
        now = self._tools.clock.now()
        for one in overdue(kept, self._keep(), now):
            if self._told.get(one.delivery) != one.stays:
                self._tools.ledger.kept_zips.record_kept(one, one.stays, now)
                self._told[one.delivery] = one.stays

    def _not_asked_about_lately(self, kept: Iterable[KeptZip]) -> list[KeptZip]:
        """Return them all. One about which XNAT was asked a short time ago stays for now."""
        now = self._tools.clock.monotonic()
        return [
            one if self._asked_again_at.get(one.delivery, now) <= now else replace(one, stays=_ASKED) for one in kept
        ]

    def _study_is_due(self) -> bool:
        """Return whether a study waits for this thread. If so, the sweep ends after one ZIP."""
        now = self._tools.clock.now()
        due = self._tools.ledger.studies.next_due(now)
        return due is not None and due <= now

    def _consider(self, kept: KeptZip) -> None:
        ledger, now = self._tools.ledger, self._tools.clock.now()
        path = self._tools.folders.kept_path(kept.kept_as)
        there = self._tools.marks.presence(folder_name_of(kept.kept_as), path)
        if there is Presence.UNKNOWN:  # its disk is not mounted, so nothing can be concluded
            return
        if there is Presence.ABSENT:  # we deleted it before a crash, or somebody took it away
            ledger.kept_zips.delete(kept, now, lambda: None)
        elif sum(self._count_lost(study) for study in kept.studies):
            self._keep_for_now(kept, "XNAT does not hold all of it")
        elif self._tools.disk.digest(path) != kept.sha256:
            self._keep_for_now(kept, "another file lies in its place")
        else:
            ledger.kept_zips.record_proof(kept, "XNAT holds all of it", now)
            if not ledger.kept_zips.delete(kept, now, lambda: self._tools.disk.remove(path)):
                return
            self._log.info("zip.deleted", item=str(kept.delivery), project=kept.project)

    def _count_lost(self, key: int) -> int:
        """Return how many instances of a study XNAT lacks, asking for each. Missing ones need attention from now on."""
        ledger = self._tools.ledger
        item, instances = ledger.studies.get(key), ledger.contents.instances(ledger.studies.get(key))
        session = self._tools.gateway.session(item.session or "")
        there = shown(item, session, self._tools.gateway, instances) if session else frozenset[str]()
        lost = len({one.sop_uid for one in instances} - there)
        ledger.kept_zips.record_lost(item, lost)
        return lost

    def _keep_for_now(self, kept: KeptZip, why: str) -> None:
        self._asked_again_at[kept.delivery] = self._tools.clock.monotonic() + ASKS_AGAIN.total_seconds()
        self._tools.ledger.kept_zips.record_kept(kept, why, self._tools.clock.now())
        self._log.warning("zip.kept", item=str(kept.delivery), project=kept.project, reason=why)
