"""Carry studies into XNAT, one step at a time: take, act, record. Only this module decides what an error means."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from xnat_watchd.adapters.ledger.deliveries import EndedDelivery
from xnat_watchd.adapters.ledger.studies import StepFacts
from xnat_watchd.core.delivery import Item
from xnat_watchd.core.disk_errors import is_failing
from xnat_watchd.core.errors import (
    AlreadyRecorded,
    AuthRefused,
    LedgerUnusable,
    NoRoom,
    NotSeenYet,
    NotYet,
    Permanent,
    RepeatOnce,
    Scope,
    Stopped,
    TakenOver,
    Transient,
    Unavailable,
    Undecided,
    WaitUntil,
    WatchdError,
    ZipChanged,
)
from xnat_watchd.core.findings import must_not_hold
from xnat_watchd.core.gate import OFTEN_ENOUGH, PROJECT_IN_TROUBLE, AllGates
from xnat_watchd.core.ports import Log
from xnat_watchd.core.retry import RetryPolicy
from xnat_watchd.core.states import LINE, DeliveryKind, DeliveryState, Progress, Standing, reached
from xnat_watchd.studies.early_sending import EarlySendings
from xnat_watchd.studies.held_reporter import HeldReporter
from xnat_watchd.studies.steps.archive import archive
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.demographics import describe
from xnat_watchd.studies.steps.early import EarlySender
from xnat_watchd.studies.steps.retire import end_with, move_zip, retire
from xnat_watchd.studies.steps.upload import upload
from xnat_watchd.studies.steps.withdraw import withdraw

DISK_RETRY = timedelta(minutes=5)  #: after which a disk that failed is tried again

STEPS: dict[Progress, Callable[[Item, Tools], StepFacts]] = {
    Progress.RECEIVED: upload,
    Progress.UPLOADED: archive,
    Progress.ARCHIVED: describe,
}

AT_LEAST = {
    DeliveryKind.ZIP: Progress.UPLOADED,
    DeliveryKind.PREARCHIVE: Progress.ARCHIVED,
    DeliveryKind.ARCHIVE: Progress.COMPLETE,
}


@dataclass(slots=True)
class FinishedDeliveries:
    """Deliveries that have ended and whose ZIPs must be moved away. The workers on one ledger take turns at it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: deque[int] = field(default_factory=deque)  #: deliveries whose ZIP must be moved, by who holds `lock`
    unretired: bool = True  #: a study has ended, and nobody has looked whether its delivery ends with it
    newest_event: int | None = None  #: the newest event at the last moment when every ended delivery was retired

    def to_be_moved(self) -> bool:
        """Return whether a delivery may still have to be retired, or its ZIP to be moved."""
        return bool(self.ended) or self.unretired


class Pipeline:
    """One worker. Several workers may share a ledger, the lock of the gates and a `finished`."""

    def __init__(
        self,
        tools: Tools,
        retry: RetryPolicy,
        log: Log,
        finished: FinishedDeliveries,
        held: HeldReporter | None = None,
        *,
        early: EarlySendings | None = None,  #: ZIPs that may be sent while they are checked
        goes_on: Callable[[], bool] = lambda: False,  #: whether another step follows at once
    ) -> None:
        self._held = held or HeldReporter(tools.ledger, log)
        self._tools, self.retry, self._log, self._finished, self._goes_on = tools, retry, log, finished, goes_on
        self._early = EarlySender(early or EarlySendings(), tools, log)
        self._ledger, self._clock, self._gates = tools.ledger, tools.clock, tools.gates
        self._pending: tuple[Item, WatchdError] | None = None  #: to be given back once the ledger takes writes
        self._next: Item | None = None  #: taken together with the last progress
        self._carried: Item | None = None  #: in the current step
        self._only: Collection[int] | None = None  #: what the current step is limited to
        self._seen = AllGates(paused=False, by_scope={})  #: when the current step began

    def step(self, only: Collection[int] | None = None) -> bool:
        """Do one piece of work; with `only`, on one of these studies. Return False if there is none or a gate is shut.

        Raise `NoRoom` or `LedgerUnusable` if a disk of this machine is full or the ledger cannot be used. The study is
        then given back: in doubt, and the attempt does not count.
        """
        self._give_back_pending()
        self._only = only
        if self._next is not None and not self._are_open_still():  # shut or paused since it was taken ahead
            self.release()
        item, self._next = self._next or self._sent_early() or self._take(only), None
        if item is None:
            return False
        self._carried = item
        try:
            self._carry(item)
        except TakenOver:
            self._drop(item)
        except AlreadyRecorded:
            self._note_recorded(item)
        except (NoRoom, LedgerUnusable) as error:
            self._pending = item, _machine_error(error)
            with suppress(NoRoom, LedgerUnusable):  # tried again at the next step
                self._give_back_pending()
            raise
        finally:
            self._carried = None
            self._early.forget()
        return True

    def holds(self) -> frozenset[int]:
        """Return the keys of the studies that were taken and not given back. Any thread may ask."""
        pending = self._pending[0] if self._pending else None
        studies = (self._carried, self._next, pending, self._early.held)
        return frozenset(item.key for item in studies if item is not None)

    def retire(self) -> bool:
        """Move the ZIPs of finished deliveries away. Return False if there was none, or if XNAT must be asked later.

        Raise `OSError` if a ZIP cannot be moved now. It is tried again the next time.
        """
        if not self._finished.to_be_moved() or not self._gates.is_open():
            return False
        if not self._finished.lock.acquire(blocking=False):
            return False
        try:
            if self._finished.unretired:
                self._retire_all()
            moved = bool(ended := self._finished.ended)
            while ended:
                move_zip(ended[0], self._tools)
                ended.popleft()
        finally:
            self._finished.lock.release()
        return moved

    def release(self) -> None:
        """Return the study that was taken ahead to the queue: there is no further step."""
        if self._next is not None:
            self._try_to_give_back(self._next, Stopped("given back before its next step"), in_doubt=False)
            self._next = None

    # Taking.

    def _are_open_still(self) -> bool:
        self._seen = self._gates.now()
        return self._seen.are_open

    def _sent_early(self) -> Item | None:
        """Send the ZIP that is offered while it is checked, if one is. Return its study if it goes on at its place."""
        may_begin = self._only is None and self._early.is_offered and self._are_open_still()
        return self._early.send() if may_begin else None

    def _take(self, only: Collection[int] | None) -> Item | None:
        self._held.report()
        with self._gates.lock:
            found = self._gates.restrictions()
            if found is None:
                return None
            self._seen = found.gates
            if found.gates.are_open or not self._ledger.stations.shared:
                return self._ledger.studies.take(self._clock.now(), found.closed, only, found.trials)
            with self._ledger.together():  # so that of all stations one takes the study that finds out
                if not self._gates.is_alone_on_trial(found):
                    return None
                return self._ledger.studies.take(self._clock.now(), found.closed, only, found.trials)

    # Acting.

    def _carry(self, item: Item) -> None:
        try:
            _must_be_decided(item)
        except Undecided as error:  # even if it is ready: a retry, resend or restart is no decision about a finding
            self._hold(item, error)
            return
        if self._is_far_enough(item):  # it became ready before the setting `until` was lowered
            self._ledger.studies.park(item, self._clock.now(), self._until(item))
        else:
            self._act(item)

    def _act(self, item: Item) -> None:
        try:
            facts = _step(item)(item, self._tools)
        except (NoRoom, LedgerUnusable, TakenOver):
            raise  # this machine's trouble, not the study's; or another station's study
        except Transient as error:
            self._postpone(item, error)
        except (Unavailable, AuthRefused) as error:
            self._give_back(item, error)
        except Stopped as error:
            self._ledger.studies.give_back(item, self._clock.now(), error, in_doubt=error.spoke)
        except ZipChanged:
            self._ledger.overwrites.mark_changed(item.delivery, self._clock.now(), item)
            self._log.warning("delivery.changed", item=str(item.delivery))
        except WatchdError as error:
            self._hold(item, error)
        except Exception as error:  # noqa: BLE001 - the only one in the program: a bug of ours must not stop the others
            if isinstance(error, OSError) and is_failing(error):
                self._wait_for_the_disk(item, error)
                return
            self._log.error("study.failed", item=item.name, project=item.project, exc_info=error)
            self._hold(item, Permanent(f"a fault in xnat-watchd ({type(error).__name__})", detail=repr(error)))
        else:
            self._advance(item, facts)

    def _is_far_enough(self, item: Item) -> bool:
        return not item.skip_reason and reached(item.progress, self._until(item))

    def _until(self, item: Item) -> Progress:
        """Return how far the study goes: as the settings say, but at least as far as its kind of delivery asks for."""
        return max(self._tools.rules(item.project).until, AT_LEAST[item.kind], key=LINE.index)

    # Recording.

    def _advance(self, item: Item, facts: StepFacts) -> None:
        if item.skip_reason:
            self._skip(item, facts)
            return
        until = self._until(item)
        progress, is_end, self._next = self._advance_and_take(item, facts, until)
        self._log.info("study.advanced", item=item.name, project=item.project, progress=progress)
        if is_end:
            self._note_end(item.delivery)
        elif progress is LINE[-1]:
            self._finished.unretired = True
        self._note_passed(item.project)

    def _note_passed(self, project: str = "") -> None:
        """Open the gates that were on trial when the study was taken. One that is since is opened by the next study."""
        if not self._seen.are_open:
            self._gates.passed(project)

    def _advance_and_take(self, item: Item, facts: StepFacts, until: Progress) -> tuple[Progress, bool, Item | None]:
        """Record in one write what belongs to one moment between two steps.

        That is the progress, the end of the delivery if that ends with it (then the second value is true), and the next
        study that is taken, if another step follows at once.
        """
        now, end = self._clock.now(), end_with(item, self._tools)
        with self._gates.lock, self._ledger.together():
            progress = self._ledger.studies.advance(item, now, facts, until)
            is_end = end is not None and self._ledger.deliveries.retire(*end, now)
            ahead = self._goes_on() and self._seen.are_open  # the next step looks again
            return progress, is_end, self._ledger.studies.take(now, only=self._only) if ahead else None

    def _skip(self, item: Item, facts: StepFacts) -> None:
        if self._ledger.studies.skip(item, self._clock.now(), facts.note):
            self._log.info("study.skipped", item=item.name, project=item.project)
            self._finished.unretired = True
        self._note_passed()

    def _postpone(self, item: Item, error: Transient) -> None:
        if isinstance(error, NotYet):
            self._look_again(item, error)
        elif isinstance(error, WaitUntil):
            self._ledger.studies.postpone(item, error.due, self._clock.now(), error, charged=False)
            self._note_passed()
        elif isinstance(error, RepeatOnce):
            self._retry_refused(item, error)
        else:
            self._try_again(item, error)

    def _look_again(self, item: Item, error: NotYet) -> None:
        now, absent = self._clock.now(), isinstance(error, NotSeenYet)
        delay = self.retry.look_delay(item.since or now, now, self._tools.chance(), absent=absent)
        if delay is None:
            self._hold(item, Permanent(
                f"XNAT did not get done with it within {self.retry.deadline}: {error}", detail=error.detail,
                advice="Ask the XNAT administrator to look at this session, then `xnat-watchd retry ITEM`.",
            ))  # fmt: skip
            return
        due = min(now + delay, error.until) if isinstance(error, NotSeenYet) else now + delay
        self._ledger.studies.postpone(item, due, now, error, charged=False)
        self._note_passed()

    def _retry_refused(self, item: Item, error: RepeatOnce) -> None:
        others_asked = error.scope is Scope.PROJECT and self._gates.is_on_trial(item.project)
        if others_asked or item.refusal == error.refusal:  # a different failure in between does not count as a refusal
            self._hold(item, Permanent(str(error), detail=error.detail, advice=error.advice, scope=error.scope))
        else:
            self._try_again(item, error)

    def _try_again(self, item: Item, error: Transient) -> None:
        now, delay = self._clock.now(), self.retry.delay(item.attempts, self._tools.chance())
        if delay is None:
            self._hold(item, Permanent(
                f"gave up after {item.attempts} attempts: {error}", detail=error.detail, advice=_after_all(error),
            ))  # fmt: skip
            return
        self._ledger.studies.postpone(item, now + delay, now, error, charged=True)
        self._log.warning("study.postponed", item=item.name, project=item.project, reason=str(error))
        self._note_passed()
        if not isinstance(error, RepeatOnce):
            self._blame_the_project(item, error)

    def _wait_for_the_disk(self, item: Item, error: OSError) -> None:
        """Try again when the disk may have recovered. The attempt does not count: the trouble is this machine's."""
        now, problem = self._clock.now(), _machine_error(error)
        self._log.error("disk.failing", error=type(error).__name__)
        self._ledger.studies.postpone(item, now + DISK_RETRY, now, problem, charged=False)

    def _give_back_pending(self) -> None:
        if self._pending is not None:
            self._try_to_give_back(*self._pending, in_doubt=True)
            self._pending = None

    def _try_to_give_back(self, item: Item, error: WatchdError, *, in_doubt: bool) -> None:
        try:
            self._ledger.studies.give_back(item, self._clock.now(), error, in_doubt=in_doubt)
        except TakenOver:
            self._drop(item)
        except AlreadyRecorded:
            self._note_recorded(item)

    def _drop(self, item: Item) -> None:
        """Write nothing about a study that another station was given: what it finds there is true."""
        self._log.warning("study.taken_over", item=item.name, project=item.project)

    def _note_recorded(self, item: Item) -> None:
        """Go on after a change whose answer was lost. Its delivery may have ended by it, and its ZIP must be moved."""
        known = self._ledger.deliveries.delivered_zip(item.delivery)
        if known is not None and known.state in (DeliveryState.FINISHED, DeliveryState.DUPLICATE):
            self._note_end(item.delivery)
        self._finished.unretired = True

    def _give_back(self, item: Item, error: Unavailable | AuthRefused) -> None:
        with self._gates.lock:  # otherwise another worker takes it before the gate is shut
            self._ledger.studies.give_back(item, self._clock.now(), error, in_doubt=error.spoke)
            self._gates.shut(error)

    def _hold(self, item: Item, error: WatchdError) -> None:
        now = self._clock.now()
        self._ledger.studies.hold(item, now, error)
        self._note_passed()
        self._blame_the_project(item, error)
        self._held.report()

    def _blame_the_project(self, item: Item, error: WatchdError) -> None:
        """Shut the gate of a project in which several studies in a row failed for what may be the project's fault.

        These studies then wait for the gate. A study that failed so too often stays held: the fault may be its own.
        """
        if error.scope is not Scope.PROJECT or item.skip_reason:
            return
        met = self._ledger.studies.in_trouble(item)
        if len(met) < PROJECT_IN_TROUBLE and not self._gates.is_on_trial(item.project):
            return
        waits = [key for key, (standing, times) in met.items() if standing is Standing.HELD and times < OFTEN_ENOUGH]
        with suppress(NoRoom):  # then they stay held, as others do
            self._ledger.studies.let_wait(waits, self._clock.now())
        self._gates.shut(error, item.project)

    # Retiring.

    def _retire_all(self) -> None:
        """End every delivery whose studies have ended. After the first time, check only those with newer events."""
        self._finished.unretired = False  # first: a study that ends from now on is looked at the next time
        asked, newest = self._finished.newest_event, self._ledger.studies.newest_event()
        self._finished.newest_event = None  # if this fails, all are checked again
        are_ended = False
        try:
            ended = [self._retire_one(one) for one in self._ledger.deliveries.retirable(asked)]
            are_ended = all(ended)
        finally:
            if not are_ended:
                self._finished.unretired = True
        self._finished.newest_event = newest if are_ended else None

    def _retire_one(self, delivery: EndedDelivery) -> bool:
        """End a delivery. Return False if XNAT must be asked about it again."""
        try:
            ended = retire(delivery, self._tools)
        except TakenOver:  # a person had a study of it sent again, and it was taken since
            return False
        except (Unavailable, AuthRefused) as error:
            self._gates.shut(error)
        except WatchdError as error:
            self._log.warning("delivery.unfinished", item=str(delivery.id), reason=str(error))
        else:
            if ended:
                self._note_end(delivery.id)
            return True
        return False

    def _note_end(self, delivery: int) -> None:
        self._log.info("delivery.finished", item=str(delivery))
        self._finished.ended.append(delivery)
        self._held.report()


def _machine_error(error: Exception) -> WatchdError:
    """Return the error that is recorded for a study which trouble of this machine has interrupted."""
    if isinstance(error, WatchdError):
        return error
    if isinstance(error, LedgerUnusable):
        return NoRoom("the ledger could not be written to", detail=str(error), advice=error.advice)
    return WatchdError(
        f"a disk of this machine fails ({type(error).__name__})", detail=str(error),
        advice="Look at the journal of the system (`dmesg`) and at the disk. Work goes on by itself.",
        scope=Scope.MACHINE,
    )  # fmt: skip


def _after_all(error: Transient) -> str:
    """Return what to do once no attempt is left: what the error names, or else who knows why XNAT does not do it."""
    if error.advice == error.default_advice:
        return "Ask the XNAT administrator why, then `xnat-watchd retry ITEM`."
    return error.advice if "retry ITEM" in error.advice else f"{error.advice} Then `xnat-watchd retry ITEM`."


def _must_be_decided(item: Item) -> None:
    """Raise `Undecided` if a finding holds the study. One that is to be skipped may pass: it is withdrawn."""
    if not item.skip_reason:
        must_not_hold(item.findings)


def _step(item: Item) -> Callable[[Item, Tools], StepFacts]:
    return withdraw if item.skip_reason else STEPS[item.progress]
