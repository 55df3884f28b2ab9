"""Apply the rows of share tables: look at the projects, compare, ask for what is missing, look again.

Only a look proves a share. It is no step of its own: every round begins with a look, and so does the first round
after a crash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from xnat_watchd.adapters.ledger.shares import Shares
from xnat_watchd.core.errors import Conflict, Permanent, RepeatOnce, Scope, Transient, WatchdError
from xnat_watchd.core.ports import Clock, Log, SharingGateway
from xnat_watchd.core.retry import RetryPolicy
from xnat_watchd.core.sharing import state
from xnat_watchd.core.sharing.comparison import ShareComparison
from xnat_watchd.core.sharing.nearest import with_nearest
from xnat_watchd.core.sharing.plan import Action, RowPlan, SeenProject, ShareSubject
from xnat_watchd.core.sharing.state import (
    DESTINATION_IN_TROUBLE,
    RARELY,
    Key,
    RowResult,
    Share,
    ShareState,
    ShutDestination,
    WantedShare,
    key_of,
)
from xnat_watchd.core.sharing.table import ShareRow
from xnat_watchd.sharing.asking import ask, lane_of
from xnat_watchd.sharing.reachable import ReachableProjects

ROUND = 1000  #: shares that are asked for before the first look; each time twice as many, since a look may be long
FINAL_REFUSALS = 2  #: refusals of one share after which they count: the first may be a passing fault (F62)
NOT_SHOWN = "XNAT said yes and does not show it yet; it is asked again by itself"
NEVER_SHOWN = "Ask the XNAT administrator why it is not shown in the destination."

Plans = Sequence[RowPlan]
Reporter = Callable[[list[RowResult]], None]
Failed = list[tuple[Share, str]]  #: as the ledger shall record them, with the server's words


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingContext:
    """What a `Sharer` uses. Its gateways are its own."""

    gateways: Sequence[SharingGateway]  #: as many shares are asked for at once; the first is also used to look
    shares: Shares
    clock: Clock
    log: Log
    retry: RetryPolicy
    chance: Callable[[], float]  #: numbers in [0, 1)
    beat: Callable[[], None]  #: called before each request, so that the thread is not taken for one that hangs


class Sharer:
    """Applies the rows of share tables. Use it from one thread only."""

    def __init__(self, context: SharingContext) -> None:
        self._context, self._shares, self._gateway = context, context.shares, context.gateways[0]
        self._reachable = ReachableProjects(self._gateway)
        self.retry = context.retry
        self.trial: datetime | None = None  #: when a destination in trouble is to be tried with another share
        self.saw_all = True  #: whether the last look could read every project that is listed

    def apply(
        self,
        rows: Sequence[ShareRow],
        lingering: Collection[str] = (),
        show: Callable[[Plans], None] | None = None,
        so_far: Reporter | None = None,
    ) -> list[RowResult]:
        """Ask for every share that is missing and may be asked for now. Return the state of every row.

        `lingering`: keys of rows in other tables that still count. `show` is called with the plan before anything is
        done, `so_far` with the results up to now if there is more to do than one round.
        Raise what shuts a gate, and `Stopped`. The ledger keeps what was asked for until then.
        """
        asked: set[Key] = set()
        size = ROUND
        while True:
            comparison = self._settled(self._look(rows, lingering), asked)
            if show is not None and not asked:
                show(comparison.plans)
            chosen = self._permitted(comparison, asked)
            if not chosen:
                return self._results(comparison)
            if so_far is not None and (asked or len(chosen) > size):
                so_far(self._results(comparison))
            asked |= self._ask(chosen[:size], comparison)
            size *= 2
            del comparison  # it may be large, and memory is counted: the next look begins without it

    def preview(self, rows: Sequence[ShareRow], lingering: Collection[str] = ()) -> Plans:
        """Return what would be done. Change nothing, here or on XNAT."""
        if not rows:
            return ()
        comparison = self._look(rows, lingering)
        plans = comparison.plans_without_gone(self._shares.known_rows())
        return with_nearest(plans, comparison.seen, self._reachable.meant)

    def _results(self, comparison: ShareComparison) -> list[RowResult]:
        plans = with_nearest(comparison.plans, comparison.seen, self._reachable.meant)
        return state.results(plans, comparison.shares, self._shut(comparison))

    def _shut(self, comparison: ShareComparison) -> dict[str, ShutDestination]:
        """Return the destinations that seem to be in trouble, and note when the first of them is to be tried again."""
        shut = state.refusing(comparison.shares.values(), {key_of(action) for action in comparison.wanted})
        self.trial = min((one.until for one in shut.values()), default=None)
        return shut

    # Look.

    def _look(self, rows: Sequence[ShareRow], lingering: Collection[str]) -> ShareComparison:
        """Read the projects that the rows name. Each name must be in XNAT's list before it is used in a path."""
        sound = [row for row in rows if not row.fault]
        named = dict.fromkeys(name for row in sound for name in (row.source, row.destination))
        self._context.beat()
        reachable = self._reachable.listed(named, {row.destination for row in sound}) if named else {}
        seen: dict[str, SeenProject] = {}
        for name, writable in reachable.items():
            self._context.beat()
            project = self._gateway.seen(name, writable=writable)
            if project is not None:
                seen[name] = project
        self.saw_all = len(seen) == len(reachable)
        if not self.saw_all:
            self._reachable.forget()
        return ShareComparison(rows, lingering, seen, self._shares.all(list(seen)))

    def _settled(self, comparison: ShareComparison, asked: Collection[Key]) -> ShareComparison:
        """Record what the look has shown: which shares that we asked for are there, and which of ours are gone."""
        now, unshown = self._now(), _unshown(comparison, asked)
        made = [key for key in comparison.remembered if comparison.shares[key].fate is not ShareState.MADE]
        removed = self._removed(comparison)
        if not (made or unshown or removed):
            return comparison
        self._shares.settle(made, now)
        self._shares.fail([(self._unseen(share, comparison), "") for share in unshown], now)
        self._shares.remove(removed, now)
        for project, count in sorted(Counter(destination for destination, _ in made).items()):
            self._context.log.info("shares.made", project=project, count=count)
        return replace(comparison, shares=self._shares.all(list(comparison.seen)))

    def _removed(self, comparison: ShareComparison) -> list[tuple[Key, frozenset[str]]]:
        """Return the shares that a person has taken back, each with the rows that asked for it before.

        A listing may be incomplete, so each share is asked for by itself. A subject and its sessions are recorded
        together: a session that is recorded longer than its subject would count as taken back from a later row.
        """
        is_gone = {action: self._is_gone(action) for action in comparison.gone}
        doubtful = {state.subject_of(action) for action, gone in is_gone.items() if gone is None}
        certain = [action for action, gone in is_gone.items() if gone and state.subject_of(action) not in doubtful]
        for project, count in sorted(Counter(action.destination for action in certain).items()):
            self._context.log.warning("shares.removed", project=project, count=count)
        known = self._shares.known_rows() if certain else ()
        return [(key_of(action), comparison.askers(action, known)) for action in certain]

    def _is_gone(self, action: Action) -> bool | None:
        """Return whether the destination no longer shows a share; None if XNAT does not say."""
        self._context.beat()
        try:
            return not self._gateway.is_shared(action)
        except Transient:
            return None

    # Ask.

    def _permitted(self, comparison: ShareComparison, asked: Collection[Key]) -> list[WantedShare]:
        """Return the shares that may be asked for now, in order."""
        now, shares, tried = self._now(), comparison.shares, set[str]()
        shut = self._shut(comparison)

        def may(action: Action, rows: frozenset[str]) -> bool:
            share, trouble = shares.get(key_of(action)), shut.get(action.destination)
            if key_of(action) in asked:
                return False
            permitted = state.may_ask(share, action, rows, lambda: comparison.basis(action), now)
            if trouble is None or not permitted or (share and share.why):
                return permitted
            if now < trouble.until or action.destination in tried:
                return False
            tried.add(action.destination)  # one share at a time finds out whether it is open again
            return True

        return state.permitted(comparison.wanted, may)

    def _ask(self, chosen: Sequence[WantedShare], comparison: ShareComparison) -> set[Key]:
        """Ask for these shares, and record those that failed. Return the keys of all that were asked for.

        What failed before is asked for alone, with all that belongs to its subject: a refusal may come from what is
        asked at the same time (F62).
        """
        self._shares.intend(chosen, self._now())
        asked: set[Key] = set()
        failed: Failed = []
        in_vain: Counter[str] = Counter()  # destination -> refusals in a row that it may be the cause of
        absent: set[tuple[str, str, str]] = set()  # subjects that failed: their sessions must wait

        def may(action: Action) -> bool:
            self._context.beat()
            return state.subject_of(action) not in absent and in_vain[action.destination] < DESTINATION_IN_TROUBLE

        def note(share: WantedShare, error: WatchdError | None) -> None:
            action, rows = share
            asked.add(key_of(action))
            if error is None:
                in_vain[action.destination] = 0
                return
            failed.append((self._failure(action, rows, error, comparison), error.detail))
            in_vain[action.destination] += error.scope is Scope.PROJECT
            if isinstance(action, ShareSubject):
                absent.add(state.subject_of(action))

        failed_before = {lane_of(action) for action, _ in chosen if _has_failed(comparison.shares.get(key_of(action)))}
        gateways, alone = self._context.gateways, self._context.gateways[:1]
        try:
            ask(gateways, [one for one in chosen if lane_of(one[0]) not in failed_before], may, note)
            ask(alone, [one for one in chosen if lane_of(one[0]) in failed_before], may, note)
        finally:
            self._shares.fail(failed, self._now())
            if failed:
                self._reachable.forget()  # a right may be lost
        return asked

    def _failure(self, action: Action, rows: frozenset[str], error: WatchdError, comparison: ShareComparison) -> Share:
        """Return a failed share as it is to be recorded: postponed, or refused."""
        before = comparison.shares.get(key_of(action))
        tries = 1 + (before.tries if before else 0)
        share = Share(
            destination=action.destination, id=action.id, label=action.label, fate=ShareState.INTENDED, rows=rows,
            tries=tries, why=str(error), advice=error.advice, scope=error.scope,
        )  # fmt: skip
        doubtful = isinstance(error, RepeatOnce | Conflict) and tries < FINAL_REFUSALS
        if doubtful or not isinstance(error, RepeatOnce | Conflict | Permanent):
            return self._postponed(share, comparison.basis(action))
        return self._refused(share, comparison.basis(action))

    def _unseen(self, share: Share, comparison: ShareComparison) -> Share:
        """Return a share that XNAT accepted but does not show, as it is to be recorded."""
        named = replace(share, why=NOT_SHOWN, advice=NEVER_SHOWN)
        source = next(action for action in comparison.wanted if key_of(action) == share.key)
        return self._postponed(named, comparison.basis(source))

    def _postponed(self, share: Share, basis: str) -> Share:
        delay = self.retry.delay(share.tries, self._context.chance())
        return self._refused(share, basis) if delay is None else replace(share, due=self._now() + delay)

    def _refused(self, share: Share, basis: str) -> Share:
        return replace(share, fate=ShareState.REFUSED, basis=basis, due=self._now() + RARELY)

    def _now(self) -> datetime:
        return self._context.clock.now()


def _unshown(comparison: ShareComparison, asked: Collection[Key]) -> list[Share]:
    """Return the wanted shares that XNAT accepted in this sweep and does not show."""
    wanted = {key_of(action) for action in comparison.wanted}
    shares = (comparison.shares[key] for key in wanted.intersection(asked))
    return [share for share in shares if share.fate is ShareState.INTENDED and not share.why]


def _has_failed(share: Share | None) -> bool:
    return share is not None and share.tries > 0
