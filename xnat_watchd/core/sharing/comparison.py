"""One look at the server beside what is remembered, and what follows from the two."""

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
    """What the rows ask for, what the server shows, and what we remember. Nothing in it changes."""

    rows: Sequence[ShareRow]
    lingering: Collection[str]  #: keys of rows that stand in other tables, or in tables that cannot be read just now
    seen: Mapping[str, SeenProject]
    shares: Mapping[Key, Share]

    @cached_property
    def there(self) -> frozenset[Key]:
        """Everything that is in a project."""
        return frozenset(
            (name, id_)
            for name, project in self.seen.items()
            for id_ in [*project.subjects.values(), *(session.id for session in project.sessions)]
        )

    @cached_property
    def plans(self) -> tuple[RowPlan, ...]:
        """What each row still lacks, but for what people took back."""
        return plan(self.rows, self.seen, self._taken_back)

    @cached_property
    def wanted(self) -> dict[Action, frozenset[str]]:
        """What is to be asked for, and by which rows."""
        return state.wanted_shares(self.plans)

    @cached_property
    def gone(self) -> list[Action]:
        """What was ours and is wanted, and is not there."""
        fates = {key: share.fate for key, share in self.shares.items()}
        return [action for action in self.wanted if fates.get(key_of(action)) is ShareState.MADE]

    @property
    def plans_without_gone(self) -> tuple[RowPlan, ...]:
        """What each row lacks if all that is gone was taken back by people."""
        gone = [MadeShare(self.rows[0].key, *key_of(action)) for action in self.gone]
        return plan(self.rows, self.seen, [*self._taken_back, *gone])

    @cached_property
    def remembered(self) -> list[Key]:
        """Return what is there and was asked for by us: it is ours, whatever was answered.

        Who else may have shared it in the meantime cannot be told, and it does no harm: what is ours is left away
        once it was taken back.
        """
        return sorted(self.shares.keys() & self.there)

    def basis(self, action: Action) -> str:
        """Return a digest of what the server shows of both ends of a share."""
        return state.basis_of(self.seen[action.source], self.seen[action.destination])

    @cached_property
    def _taken_back(self) -> list[MadeShare]:
        return state.taken_back(self.shares.values(), self.rows, self.lingering)
