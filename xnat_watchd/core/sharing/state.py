"""What is remembered of every share that we asked for, and the state of a table's row that follows from it.

A share is recorded before XNAT is asked for it. If the server shows it afterwards, it is ours. If it is ours and then
gone, a person has taken it back. So a crash at any moment leaves at worst a question, which the next look at the
server answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from xnat_watchd.core.errors import Scope
from xnat_watchd.core.sharing.nearest import NEAREST
from xnat_watchd.core.sharing.plan import Action, MadeShare, RowPlan, SeenProject, ShareSubject
from xnat_watchd.core.sharing.row_state import RowState
from xnat_watchd.core.sharing.table import ShareRow

RARELY = timedelta(days=1)  #: after so long a refused share is tried again, even if nothing has changed
DESTINATION_IN_TROUBLE = 5  #: after so many refusals that may be the destination's trouble, its other shares wait
TRIAL, RARE_TRIAL = timedelta(minutes=1), timedelta(minutes=30)  #: until the next trial there: first, longest; doubling

LONGEST_WAIT = timedelta(days=1)  #: after so long a row fails whose subject or project is not there

Key = tuple[str, str]  #: destination and accession ID: what is shared where
WantedShare = tuple[Action, frozenset[str]]  #: what is to be shared, and the keys of the rows that ask for it


class ShareState(StrEnum):
    """The state of a share that we asked for."""

    INTENDED = "intended"  #: about to be asked for, or asked for and not seen yet
    MADE = "made"  #: seen on the server afterwards
    REMOVED = "removed"  #: made, and taken back by a person
    REFUSED = "refused"  #: XNAT refuses it


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One subject or session in one destination, as the ledger remembers it."""

    destination: str
    id: str
    label: str
    fate: ShareState
    rows: frozenset[str]  #: keys of the rows that asked for it, or that did so when it was taken back
    tries: int = 0
    due: datetime | None = None  #: not to be asked for before
    basis: str = ""  #: what the server showed when it refused (`basis_of`)
    seen: datetime | None = None  #: when we first saw it on the server
    why: str = ""
    advice: str = ""
    scope: Scope = Scope.STUDY  #: whose trouble it is: the row's, or perhaps (`Scope.PROJECT`) the destination's
    changed: datetime | None = None  #: when this became so

    @property
    def key(self) -> Key:
        """Its destination and the accession ID of what is shared."""
        return self.destination, self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """The state of a row now."""

    row: ShareRow
    state: RowState
    sessions: int = 0  #: how many of its sessions are in the destination
    reason: str = ""
    at: datetime | None = None  #: since when, if known
    missing: str = ""  #: what the row names and is not there
    absent: datetime | None = None  #: since when it is not there


def key_of(action: Action) -> Key:
    """Return what an action shares, and where."""
    return action.destination, action.id


def basis_of(source: SeenProject, destination: SeenProject) -> str:
    """Return a digest of what the server shows of both projects. It changes when anything there changes."""
    digest = sha256()
    for project in (source, destination):
        subjects = sorted(project.subjects.items())
        sessions = sorted((one.id, one.label, one.subject, one.date) for one in project.sessions)
        digest.update(repr((project.writable, subjects, sessions)).encode())
    return digest.hexdigest()


def wanted_shares(plans: Iterable[RowPlan]) -> dict[Action, frozenset[str]]:
    """Return every action once, in order, with the keys of the rows that ask for it."""
    asked: dict[Action, set[str]] = {}
    for one in plans:
        for action in one.actions:
            asked.setdefault(action, set()).add(one.row.key)
    return {action: frozenset(rows) for action, rows in asked.items()}


def taken_back(shares: Iterable[Share], rows: Sequence[ShareRow], lingering: Collection[str]) -> list[MadeShare]:
    """Return the shares that a person removed and whose rows still exist, in the form for `plan`.

    `lingering` holds the keys of rows in tables that cannot be read now. Those rows count as existing. Otherwise, while
    a table cannot be read, another row would make a share again that a person removed.
    """
    standing = {row.key for row in rows} | set(lingering)
    return [
        MadeShare(rows[0].key, share.destination, share.id)
        for share in shares
        if share.fate is ShareState.REMOVED and rows and not standing.isdisjoint(share.rows)
    ]


def may_ask(share: Share | None, action: Action, rows: frozenset[str], basis: Callable[[], str], now: datetime) -> bool:
    """Return whether XNAT may be asked for this share now, after what became of it before.

    A share that was made and is gone is not asked for: first it must be known whether a person took it back.
    """
    if share is None or share.fate is ShareState.REMOVED:
        return True
    if share.fate is ShareState.MADE:
        return False
    rested = share.due is None or share.due <= now or share.due > now + 2 * RARELY  # or the clock jumped back
    if share.fate is ShareState.INTENDED:
        return rested
    return rested or share.label != action.label or not rows <= share.rows or share.basis != basis()


@dataclass(frozen=True, slots=True)
class ShutDestination:
    """A destination that seems to be in trouble."""

    why: str
    until: datetime  #: then one share is tried there, each time another one


def refusing(shares: Iterable[Share], wanted: Collection[Key]) -> dict[str, ShutDestination]:
    """Return the destinations that refused several shares and took none since: something may be wrong with them.

    A refusal does not count if the row itself is its cause, or if no row asks for the share any more.
    """
    by_destination: dict[str, list[Share]] = {}
    for share in shares:
        by_destination.setdefault(share.destination, []).append(share)
    shut = {}
    for destination, some in by_destination.items():
        shared = max((one.seen for one in some if one.fate is ShareState.MADE and one.seen), default=None)
        refused = sorted(
            (one.changed, one.why)
            for one in some
            if one.scope is Scope.PROJECT and one.why and one.key in wanted and one.changed is not None
            and one.fate in (ShareState.INTENDED, ShareState.REFUSED) and (shared is None or one.changed > shared)
        )  # fmt: skip
        if len(refused) >= DESTINATION_IN_TROUBLE:
            last, why = refused[-1]
            pause = min(TRIAL * (1 << min(len(refused) - DESTINATION_IN_TROUBLE, 20)), RARE_TRIAL)
            shut[destination] = ShutDestination(why, last + pause)
    return shut


def permitted(
    asked: Mapping[Action, frozenset[str]], may: Callable[[Action, frozenset[str]], bool]
) -> list[WantedShare]:
    """Return the shares that may be asked for, in order. No session is shared before its subject (F233)."""
    held: set[tuple[str, str, str]] = set()
    chosen: list[WantedShare] = []
    for action, rows in asked.items():
        if may(action, rows) and subject_of(action) not in held:
            chosen.append((action, rows))
        elif isinstance(action, ShareSubject):
            held.add(subject_of(action))
    return chosen


def subject_of(action: Action) -> tuple[str, str, str]:
    """Return source, destination, and the subject's label in the source."""
    name = action.name if isinstance(action, ShareSubject) else action.subject
    return action.source, action.destination, name


# -- what a row comes to -------------------------------------------------------------------------------------

_TO_BE_DONE = "it is still to be done, by itself"
_GONE = "it is gone from the destination, and XNAT could not be asked yet whether somebody took it back"


def results(
    plans: Sequence[RowPlan], shares: Mapping[Key, Share], shut: Mapping[str, ShutDestination]
) -> list[RowResult]:
    """Return the state of every row, from the actions that are left and the state of the shares.

    `shut`: destinations into which nothing is shared now, with the reason.
    """
    ours: dict[str, datetime] = {}
    for share in shares.values():
        if share.fate is ShareState.MADE and share.seen is not None:
            for row in share.rows:
                ours[row] = max(share.seen, ours.get(row, share.seen))
    return [_result(one, shares, ours.get(one.row.key), shut) for one in plans]


def _result(
    planned: RowPlan, shares: Mapping[Key, Share], made: datetime | None, shut: Mapping[str, ShutDestination]
) -> RowResult:
    pending = [_pending(action, shares.get(key_of(action)), shut) for action in planned.actions]
    states = [state for state, _ in pending]
    if planned.state is not RowState.SHARED:
        states.append(planned.state)
    state = max(states, key=list(RowState).index)
    if state is RowState.THERE and made is not None:
        state = RowState.SHARED
    told = Counter(reason for _, reason in pending)
    missing = [f"{count} of {len(pending)} missing: {reason}" for reason, count in told.items()]
    reason = "; ".join([*([planned.reason] if planned.reason else []), *missing])
    return RowResult(
        row=planned.row,
        state=state,
        sessions=planned.sessions,
        reason=reason,
        at=made if state is RowState.SHARED else None,
        missing=planned.absent,
    )


def after_waiting(result: RowResult, absent: datetime | None, now: datetime) -> RowResult:
    """Return the state of a row after its wait for something that is not there: it fails after a day.

    `absent`: since when that was not there at the looks before. It is looked for all the same.
    """
    if not result.missing:
        return result
    since = absent or now
    if now - since < LONGEST_WAIT:
        return replace(result, absent=since)
    hint = result.reason.partition(NEAREST)
    where = f" in {result.row.source}" if result.missing == "subject" else ", or its lists cannot be read"
    reason = f"no such {result.missing}{where}{hint[1]}{hint[2]}"
    return replace(result, absent=since, state=RowState.FAILED, reason=reason)


def _pending(action: Action, share: Share | None, shut: Mapping[str, ShutDestination]) -> tuple[RowState, str]:
    """Return why an action has not been done."""
    fate = share.fate if share is not None else None
    if share is not None and fate is ShareState.REFUSED:
        return RowState.FAILED, f"{share.why}. {share.advice}"
    if share is not None and fate is ShareState.INTENDED and share.why:
        return RowState.WAITING, share.why
    if fate is ShareState.MADE:
        return RowState.WAITING, _GONE
    trouble = shut.get(action.destination)
    why = f"nothing more is shared into the destination for now: {trouble.why}" if trouble else _TO_BE_DONE
    return RowState.WAITING, why
