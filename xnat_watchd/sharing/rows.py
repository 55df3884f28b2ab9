"""Make the rows of share tables true: look, compare, ask for what is missing, look again.

The look is what proves a share. It is no step of its own: every round begins with it, and so does the next life
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

ROUND = 1000  #: so many shares are asked for between two looks
FINAL_REFUSALS = 2  #: so many refusals of one share are believed: the first may be the noise of a moment (F62)
NOT_SHOWN = "XNAT said yes and does not show it yet; it is asked again by itself"
NEVER_SHOWN = "Ask the XNAT administrator why it is not shown in the destination."

Plans = Sequence[RowPlan]
Reporter = Callable[[list[RowResult]], None]
Failed = list[tuple[Share, str]]  #: as it is to be remembered, with the server's words


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingContext:
    """What sharing works with. The gateway is its own."""

    gateway: SharingGateway
    shares: Shares
    clock: Clock
    log: Log
    retry: RetryPolicy
    chance: Callable[[], float]  #: numbers in [0, 1)
    beat: Callable[[], None]  #: called before each request, so that nobody believes in a hang


class Sharer:
    """Applies rows. Belongs to one thread."""

    def __init__(self, context: SharingContext) -> None:
        self._context, self._shares, self._gateway = context, context.shares, context.gateway
        self.retry = context.retry
        self.trial: datetime | None = None  #: when a destination in trouble is to be tried by another share
        self.saw_all = True  #: at the last look every project that is listed could be looked into

    def apply(
        self,
        rows: Sequence[ShareRow],
        lingering: Collection[str] = (),
        show: Callable[[Plans], None] | None = None,
        so_far: Reporter | None = None,
    ) -> list[RowResult]:
        """Do all that is missing and may be done now, and say what is true of every row.

        `lingering`: keys of rows in other tables that still stand. `show` is told the plan before anything is done,
        `so_far` what is true already where there is more to do than a round.
        Raises what shuts the gate, and `Stopped`; what was asked for until then is remembered.
        """
        asked: set[Key] = set()
        while True:
            picture = self._settled(self._look(rows, lingering), asked)
            if show is not None and not asked:
                show(picture.plans)
            chosen = self._permitted(picture, asked)
            if not chosen:
                return self._results(picture)
            if len(chosen) > ROUND and so_far is not None:
                so_far(self._results(picture))
            asked |= self._ask(chosen[:ROUND], picture)

    def preview(self, rows: Sequence[ShareRow], lingering: Collection[str] = ()) -> Plans:
        """Return what would be done; do nothing, and write nothing."""
        return self._look(rows, lingering).plans_without_gone if rows else ()

    def _results(self, picture: ShareComparison) -> list[RowResult]:
        return state.results(picture.plans, picture.shares, self._shut(picture))

    def _shut(self, picture: ShareComparison) -> dict[str, ShutDestination]:
        """Return the destinations that are thought to be in trouble; remember when the first of them is to be tried."""
        shut = state.refusing(picture.shares.values(), {key_of(action) for action in picture.wanted})
        self.trial = min((one.until for one in shut.values()), default=None)
        return shut

    # Looking.

    def _look(self, rows: Sequence[ShareRow], lingering: Collection[str]) -> ShareComparison:
        """Ask for the projects that the rows name: each is found in a list before it is part of a path."""
        named = dict.fromkeys(name for row in rows if not row.fault for name in (row.source, row.destination))
        self._context.beat()
        reachable = self._gateway.reachable(list(named)) if named else {}
        seen: dict[str, SeenProject] = {}
        for name, writable in reachable.items():
            self._context.beat()
            project = self._gateway.seen(name, writable=writable)
            if project is not None:
                seen[name] = project
        self.saw_all = len(seen) == len(reachable)
        return ShareComparison(rows, lingering, seen, self._shares.all(list(seen)))

    def _settled(self, picture: ShareComparison, asked: Collection[Key]) -> ShareComparison:
        """Note what the look has shown: what we asked for and is there, and what was ours and is gone."""
        now, unshown = self._now(), _unshown(picture, asked)
        made = [key for key in picture.remembered if picture.shares[key].fate is not ShareState.MADE]
        removed = self._removed(picture)
        if not (made or unshown or removed):
            return picture
        self._shares.settle(made, now)
        self._shares.fail([(self._unseen(share, picture), "") for share in unshown], now)
        self._shares.remove(removed, now)
        for project, count in sorted(Counter(destination for destination, _ in made).items()):
            self._context.log.info("shares.made", project=project, count=count)
        return replace(picture, shares=self._shares.all(list(picture.seen)))

    def _removed(self, picture: ShareComparison) -> list[tuple[Key, frozenset[str]]]:
        """Find out which of the shares that are gone a person took back, and the rows that ask for them.

        A listing may be short, so each is asked for by itself. A subject and its sessions are believed together:
        a session that is remembered as ours beyond its subject would count as taken back from a later row.
        """
        is_gone = {action: self._is_gone(action) for action in picture.gone}
        doubtful = {state.subject_of(action) for action, gone in is_gone.items() if gone is None}
        certain = [action for action, gone in is_gone.items() if gone and state.subject_of(action) not in doubtful]
        for project, count in sorted(Counter(action.destination for action in certain).items()):
            self._context.log.warning("shares.removed", project=project, count=count)
        return [(key_of(action), picture.wanted[action]) for action in certain]

    def _is_gone(self, action: Action) -> bool | None:
        """Return whether a thing is not shown in the destination; None if XNAT does not say."""
        self._context.beat()
        try:
            return not self._gateway.is_shared(action)
        except Transient:
            return None

    # Asking.

    def _permitted(self, picture: ShareComparison, asked: Collection[Key]) -> list[WantedShare]:
        """Return what may be asked for now, in order."""
        now, shares, tried = self._now(), picture.shares, set[str]()
        shut = self._shut(picture)

        def may(action: Action, rows: frozenset[str]) -> bool:
            share, trouble = shares.get(key_of(action)), shut.get(action.destination)
            if key_of(action) in asked:
                return False
            permitted = state.may_ask(share, action, rows, lambda: picture.basis(action), now)
            if trouble is None or not permitted or (share and share.why):
                return permitted
            if now < trouble.until or action.destination in tried:
                return False
            tried.add(action.destination)  # one at a time finds out
            return True

        return state.permitted(picture.wanted, may)

    def _ask(self, chosen: Sequence[WantedShare], picture: ShareComparison) -> set[Key]:
        """Ask for one share after another, and remember what failed. Gives what was asked for."""
        self._shares.intend(chosen, self._now())
        asked: set[Key] = set()
        failed: Failed = []
        in_vain: Counter[str] = Counter()  # refusals in a row that may be the destination's, by destination
        absent: set[tuple[str, str, str]] = set()  # subjects that failed: their sessions must wait
        try:
            for action, rows in chosen:
                if state.subject_of(action) in absent or in_vain[action.destination] >= DESTINATION_IN_TROUBLE:
                    continue
                asked.add(key_of(action))
                error = self._error_of(action)
                if error is None:
                    in_vain[action.destination] = 0
                    continue
                failed.append((self._failure(action, rows, error, picture), error.detail))
                in_vain[action.destination] += error.scope is Scope.PROJECT
                if isinstance(action, ShareSubject):
                    absent.add(state.subject_of(action))
        finally:
            self._shares.fail(failed, self._now())
        return asked

    def _error_of(self, action: Action) -> WatchdError | None:
        self._context.beat()
        try:
            self._gateway.share(action)
        except (Transient, Conflict, Permanent) as error:
            return error
        return None

    def _failure(self, action: Action, rows: frozenset[str], error: WatchdError, picture: ShareComparison) -> Share:
        """Return how a failed share is to be remembered: to be asked again soon, or as refused."""
        before = picture.shares.get(key_of(action))
        tries = 1 + (before.tries if before else 0)
        share = Share(
            destination=action.destination, id=action.id, label=action.label, fate=ShareState.INTENDED, rows=rows,
            tries=tries, why=str(error), advice=error.advice, scope=error.scope,
        )  # fmt: skip
        doubtful = isinstance(error, RepeatOnce | Conflict) and tries < FINAL_REFUSALS
        if doubtful or not isinstance(error, RepeatOnce | Conflict | Permanent):
            return self._postponed(share, picture.basis(action))
        return self._refused(share, picture.basis(action))

    def _unseen(self, share: Share, picture: ShareComparison) -> Share:
        """Return how a share is to be remembered that XNAT said yes to and does not show."""
        named = replace(share, why=NOT_SHOWN, advice=NEVER_SHOWN)
        source = next(action for action in picture.wanted if key_of(action) == share.key)
        return self._postponed(named, picture.basis(source))

    def _postponed(self, share: Share, basis: str) -> Share:
        delay = self.retry.delay(share.tries, self._context.chance())
        return self._refused(share, basis) if delay is None else replace(share, due=self._now() + delay)

    def _refused(self, share: Share, basis: str) -> Share:
        return replace(share, fate=ShareState.REFUSED, basis=basis, due=self._now() + RARELY)

    def _now(self) -> datetime:
        return self._context.clock.now()


def _unshown(picture: ShareComparison, asked: Collection[Key]) -> list[Share]:
    """Return what was asked for in this sweep, was not refused, is still wanted and is not there."""
    wanted = {key_of(action) for action in picture.wanted}
    shares = (picture.shares[key] for key in wanted.intersection(asked))
    return [share for share in shares if share.fate is ShareState.INTENDED and not share.why]
