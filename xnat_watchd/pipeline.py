"""Carry studies into XNAT, one fact at a time: take, act, record. What goes wrong is judged here and nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field

from xnat_watchd.adapters.ledger import Facts, Of, Retirement
from xnat_watchd.core.delivery import Item
from xnat_watchd.core.errors import (
    AuthRefused,
    NoRoom,
    NotYet,
    OnceMore,
    Permanent,
    Stopped,
    Transient,
    Unavailable,
    Unrecordable,
    WatchdError,
)
from xnat_watchd.core.gate import Gate, shut_by
from xnat_watchd.core.ports import Log
from xnat_watchd.core.retry import RetryPolicy
from xnat_watchd.core.states import LINE, Kind, Progress, reached
from xnat_watchd.steps.archive import archive
from xnat_watchd.steps.demographics import describe
from xnat_watchd.steps.retire import put_to_rest, retire
from xnat_watchd.steps.tools import Tools
from xnat_watchd.steps.upload import upload
from xnat_watchd.steps.withdraw import withdraw

SAME_REFUSALS = 5  #: so many studies in a row with one answer: it is the project's trouble, not theirs

STEPS: dict[Progress, Callable[[Item, Tools], Facts]] = {
    Progress.RECEIVED: upload,
    Progress.UPLOADED: archive,
    Progress.ARCHIVED: describe,
}

AT_LEAST = {Kind.ZIP: Progress.UPLOADED, Kind.PREARCHIVE: Progress.ARCHIVED, Kind.ARCHIVE: Progress.COMPLETE}


@dataclass(frozen=True, slots=True)
class Turns:
    """What the workers on one ledger take in turns."""

    gate: threading.Lock = field(default_factory=threading.Lock)  #: deciding about the gate, and taking
    rest: threading.Lock = field(default_factory=threading.Lock)  #: putting ZIPs to rest
    ended: list[int] = field(default_factory=list)  #: deliveries whose ZIP is to be put to rest, by who holds `rest`


class Pipeline:
    """One worker. Several may share a ledger and take `turns`."""

    def __init__(self, tools: Tools, retry: RetryPolicy, log: Log, turns: Turns) -> None:
        self._tools, self._retry, self._log = tools, retry, log
        self._lock, self._resting, self._ended = turns.gate, turns.rest, turns.ended
        self._ledger, self._clock = tools.ledger, tools.clock
        self._owed: tuple[Item, NoRoom] | None = None  #: what could not be given back, since the ledger's disk is full

    def step(self, only: Collection[int] | None = None) -> bool:
        """Do one piece of work, on one of `only` these studies. False when there is none now, or the gate is shut.

        `NoRoom` when this machine's disk is full: what was begun is given back, uncharged and in doubt.
        """
        self._give_back_owed()
        item = self._take(only)
        if item is None:
            return False
        try:
            self._carry(item)
        except NoRoom as error:
            self._owed = item, error
            with suppress(NoRoom):  # at the next step, then
                self._give_back_owed()
            raise
        return True

    def retire(self) -> bool:
        """Put the ZIPs of finished deliveries to rest. False when there was none, or XNAT must be asked later.

        `OSError` when one cannot be moved now; that is tried again the next time.
        """
        if self._paused() or self._ledger.gates.get().shut or not self._resting.acquire(blocking=False):
            return False
        try:
            for one in self._ledger.deliveries.retirable():
                self._end(one)
            rested = bool(self._ended)
            while self._ended:
                put_to_rest(self._ended[0], self._tools)
                del self._ended[0]
        finally:
            self._resting.release()
        return rested

    def trouble(self, error: Unavailable | AuthRefused) -> None:
        """Shut the gate because of what somebody else met."""
        with self._lock:
            self._shut("", error)

    # Taking.

    def _take(self, only: Collection[int] | None) -> Item | None:
        if self._paused():
            return None
        with self._lock:
            gate = self._opened()
            studies = self._ledger.studies
            if gate.shut or (gate.trial and studies.busy()):
                return None
            return studies.take(self._clock.now(), self._closed_projects(), only)

    def _paused(self) -> bool:
        return self._ledger.pauses.lasts(Of.WORK)

    def _opened(self) -> Gate:
        """Give the server's gate, after a probe where one is due: a study is never what finds out."""
        gates, now = self._ledger.gates, self._clock.now()
        gate = gates.get()
        if not gate.probe_due(now):
            return gate
        try:
            self._tools.gateway.probe()
        except (Unavailable, AuthRefused) as error:
            gate = shut_by(gate, error, now, self._tools.chance())
        except Transient:
            return gate
        else:
            gate = gate.probed()
            self._log.info("gate.open")
        gates.set("", gate)
        return gate

    def _closed_projects(self) -> list[str]:
        """Give the projects whose gate is shut; where its time has come, one study at a time finds out."""
        now, busy = self._clock.now(), self._ledger.studies.busy
        gates = self._ledger.gates.all().items()
        return [scope for scope, gate in gates if scope and gate.shut and (not gate.probe_due(now) or busy(scope))]

    # Acting.

    def _carry(self, item: Item) -> None:
        if self._is_far_enough(item):  # it was ready before `until` was set back
            self._ledger.studies.park(item, self._clock.now(), self._until(item))
        else:
            self._act(item)

    def _act(self, item: Item) -> None:
        try:
            facts = _step(item)(item, self._tools)
        except (NoRoom, Unrecordable):
            raise  # this machine's trouble: of the second the next start finds it busy, and asks XNAT
        except Transient as error:
            self._later(item, error)
        except (Unavailable, AuthRefused) as error:
            self._give_back(item, error)
        except Stopped as error:
            self._ledger.studies.give_back(item, self._clock.now(), error, in_doubt=error.spoke)
        except WatchdError as error:
            self._hold(item, error)
        except Exception as error:  # noqa: BLE001 - the only one in the program: a bug of ours must not stop the others
            self._log.error("study.failed", item=item.name, project=item.project, exc_info=error)
            self._hold(item, Permanent(f"a fault in xnat-watchd ({type(error).__name__})", detail=repr(error)))
        else:
            self._advance(item, facts)

    def _is_far_enough(self, item: Item) -> bool:
        return not item.unwanted and reached(item.progress, self._until(item))

    def _until(self, item: Item) -> Progress:
        """Give how far it goes by the settings, but at least as far as whoever asked for this one meant."""
        return max(self._tools.rules(item.project).until, AT_LEAST[item.kind], key=LINE.index)

    # Recording.

    def _advance(self, item: Item, facts: Facts) -> None:
        if item.unwanted:
            self._skip(item, facts)
            return
        until = self._until(item)
        progress = self._ledger.studies.advance(item, self._clock.now(), facts, until)
        self._log.info("study.advanced", item=item.name, project=item.project, progress=progress)
        self._passed("", item.project)

    def _skip(self, item: Item, facts: Facts) -> None:
        self._ledger.studies.skip(item, self._clock.now(), facts.note)
        self._log.info("study.skipped", item=item.name, project=item.project)
        self._passed("")

    def _later(self, item: Item, error: Transient) -> None:
        if isinstance(error, NotYet):
            self._look_again(item, error)
        elif isinstance(error, OnceMore):
            self._once_more(item, error)
        else:
            self._try_again(item, error)

    def _look_again(self, item: Item, error: NotYet) -> None:
        now = self._clock.now()
        delay = self._retry.look_delay(item.since or now, now, self._tools.chance())
        if delay is None:
            self._hold(item, Permanent(
                f"XNAT did not get done with it within {self._retry.deadline}: {error}", detail=error.detail,
                advice="Ask the XNAT administrator to look at this session, then `xnat-watchd retry ITEM`.",
            ))  # fmt: skip
            return
        self._ledger.studies.postpone(item, now + delay, now, error, charged=False)
        self._passed("")

    def _once_more(self, item: Item, error: OnceMore) -> None:
        on_trial = self._ledger.gates.get(item.project).probe_due(self._clock.now())  # others have asked once more
        if on_trial or item.why == str(error):  # an attempt that failed for another reason has not asked
            self._hold(item, Permanent(str(error), detail=error.detail, advice=error.advice))
        else:
            self._try_again(item, error)

    def _try_again(self, item: Item, error: Transient) -> None:
        now, delay = self._clock.now(), self._retry.delay(item.attempts, self._tools.chance())
        if delay is None:
            self._hold(item, Permanent(
                f"gave up after {item.attempts} attempts: {error}", detail=error.detail,
                advice="Ask the XNAT administrator why, then `xnat-watchd retry ITEM`.",
            ))  # fmt: skip
            return
        self._ledger.studies.postpone(item, now + delay, now, error, charged=True)
        self._log.warning("study.postponed", item=item.name, project=item.project, reason=str(error))
        self._passed("")

    def _give_back_owed(self) -> None:
        if self._owed is not None:
            item, error = self._owed
            self._ledger.studies.give_back(item, self._clock.now(), error, in_doubt=True)
            self._owed = None

    def _give_back(self, item: Item, error: Unavailable | AuthRefused) -> None:
        with self._lock:
            self._ledger.studies.give_back(item, self._clock.now(), error, in_doubt=error.spoke)
            self._shut("", error)

    def _hold(self, item: Item, error: WatchdError) -> None:
        now = self._clock.now()
        self._ledger.studies.hold(item, now, error)
        self._log.warning("study.held", item=item.name, project=item.project, reason=str(error))
        self._passed("")
        if isinstance(error, Permanent):
            self._blame_the_project(item, error)

    def _blame_the_project(self, item: Item, error: Permanent) -> None:
        refused = self._refused_with(item, str(error))
        if not refused:
            return
        now = self._clock.now()
        with suppress(NoRoom):  # they stay held then, as others are
            for key in refused:
                self._ledger.studies.release(key, now)
        with self._lock:
            self._shut(item.project, error)

    def _refused_with(self, item: Item, why: str) -> list[int]:
        """Give the held studies whose refusal is the project's trouble: this one where it was to find out."""
        gate = self._ledger.gates.get(item.project)
        if gate.why == why and gate.probe_due(self._clock.now()):
            return [item.key]
        return self._ledger.studies.same_refusal(item, why, times=SAME_REFUSALS)

    # The gate.

    def _shut(self, scope: str, error: Unavailable | AuthRefused | Permanent) -> None:
        gates = self._ledger.gates
        gate = gates.get(scope)
        if gate.shut and not gate.probe_due(self._clock.now()):
            return  # another worker met the same trouble a moment ago
        self._set_gate(scope, shut_by(gate, error, self._clock.now(), self._tools.chance()))
        self._log.warning("gate.shut", project=scope, reason=str(error))

    def _passed(self, *scopes: str) -> None:
        """XNAT answered about a study, and did what was asked in its project: what was on trial is open for all."""
        with self._lock:
            for scope in scopes:
                gate = self._ledger.gates.get(scope)
                if gate.trial or (scope and gate.until and gate.probe_due(self._clock.now())):
                    self._set_gate(scope, gate.passed())

    def _set_gate(self, scope: str, gate: Gate) -> None:
        with suppress(NoRoom):  # whoever comes next finds out again
            self._ledger.gates.set(scope, gate)

    # Rest.

    def _end(self, delivery: Retirement) -> None:
        try:
            retire(delivery, self._tools)
        except (Unavailable, AuthRefused) as error:
            self.trouble(error)
        except WatchdError as error:
            self._log.warning("delivery.unfinished", item=str(delivery.id), reason=str(error))
        else:
            self._log.info("delivery.finished", item=str(delivery.id))
            self._ended.append(delivery.id)


def _step(item: Item) -> Callable[[Item, Tools], Facts]:
    return withdraw if item.unwanted else STEPS[item.progress]
