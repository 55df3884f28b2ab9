"""Compare what the server shows with what the ledger remembers, and conclude what is to be shared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from xnat_watchd.core.sharing import state
from xnat_watchd.core.sharing.plan import Action, MadeShare, RowPlan, SeenProject, plan
from xnat_watchd.core.sharing.state import Key, Share, ShareState, key_of
from xnat_watchd.core.sharing.table import ShareRow


@dataclass(frozen=True)
class ShareComparison:
    """What the rows ask for, what the server shows, and what the ledger remembers, all at one moment."""

    rows: Sequence[ShareRow]
    lingering: Collection[str]  #: keys of rows in other tables, or in tables that cannot be read now
    seen: Mapping[str, SeenProject]
    shares: Mapping[Key, Share]

    @cached_property
    def there(self) -> frozenset[Key]:
        """All subjects and sessions that the server shows, each with the project where it shows them."""
        return frozenset(
            (name, id_)
            for name, project in self.seen.items()
            for id_ in [*project.subjects.values(), *(session.id for session in project.sessions)]
        )

    @cached_property
    def plans(self) -> tuple[RowPlan, ...]:
        """What each row still lacks, without the shares that people took back."""
        return plan(self.rows, self.seen, self._taken_back, self._standing)

    @cached_property
    def wanted(self) -> dict[Action, frozenset[str]]:
        """The shares to ask for, each with the rows that ask for it."""
        return state.wanted_shares(self.plans)

    @cached_property
    def gone(self) -> list[Action]:
        """The shares that we made, that are still wanted, and that the server does not show any more."""
        fates = {key: share.fate for key, share in self.shares.items()}
        return [action for action in self.wanted if fates.get(key_of(action)) is ShareState.MADE]

    def plans_without_gone(self, known: Collection[str]) -> tuple[RowPlan, ...]:
        """Return what each row lacks if people took back all that is gone. `known`: as in `askers`."""
        gone = [MadeShare(self.rows[0].key, *key_of(action)) for action in self.gone if self.askers(action, known)]
        return plan(self.rows, self.seen, [*self._taken_back, *gone], self._standing)

    def askers(self, action: Action, known: Collection[str]) -> frozenset[str]:
        """Return the keys of the rows that asked for a share of ours, now gone, before it was taken back.

        `known`: keys of the rows that were there at an earlier look. A row that is read for the first time was written
        or changed since: it asks anew.
        """
        before = self.shares[key_of(action)].rows
        return frozenset(
            {key for key in self.wanted[action] if key in before or key in known} | before.intersection(self.lingering)
        )

    @cached_property
    def remembered(self) -> list[Key]:
        """The shares that are there and that we asked for: they count as ours, whatever XNAT answered.

        Somebody else may have made one of them in the meantime. That cannot be known and does no harm: the only
        consequence is that a share of ours is not made again after somebody took it back.
        """
        return sorted(self.shares.keys() & self.there)

    def basis(self, action: Action) -> str:
        """Return a digest of what the server shows of both ends of a share."""
        return state.basis_of(self.seen[action.source], self.seen[action.destination])

    @cached_property
    def _standing(self) -> dict[str, list[str]]:
        """Accession IDs of the shares of ours that are there, by the keys of the rows that asked for them."""
        standing: dict[str, list[str]] = {}
        for key in self.remembered:
            for row in self.shares[key].rows:
                standing.setdefault(row, []).append(key[1])
        return standing

    @cached_property
    def _taken_back(self) -> list[MadeShare]:
        return state.taken_back(self.shares.values(), self.rows, self.lingering)
