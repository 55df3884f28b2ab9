"""Remember which projects XNAT lists for us, for as long as nothing contradicts it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from xnat_watchd.core.ports import SharingGateway
from xnat_watchd.core.projects import nearest

MOST_COMPARED = 50_000  #: IDs that are compared for the names of one list: of more names nothing is said


class ReachableProjects:
    """The projects that XNAT lists for us, each with whether we may add to it.

    The list is long on a large site, and a name must be in it before it is used in a path. It is read again once a name
    is not in it, once a destination is not writable, and once it was forgotten: whoever uses it forgets it when XNAT
    shows a project no more, or refuses a share.
    """

    def __init__(self, gateway: SharingGateway) -> None:
        self._gateway = gateway
        self._listed: Mapping[str, bool] = {}
        self._compared: frozenset[str] = (
            frozenset()
        )  #: names that XNAT does not list, and that were compared with its list
        self.meant: Mapping[str, str] = {}  #: of these names -> the most like it of those that XNAT lists

    def listed(self, named: Collection[str], destinations: Collection[str]) -> Mapping[str, bool]:
        """Return those of the named projects that XNAT lists. `destinations`: those of them to which we want to add."""
        known = self._listed.keys() >= set(named) and all(self._listed[name] for name in destinations)
        if not known:
            self._listed = dict(self._gateway.reachable(list(named)))
            self._compare([name for name in named if name not in self._listed])
        return {name: self._listed[name] for name in named if name in self._listed}

    def _compare(self, absent: Sequence[str]) -> None:
        """Find for each name that XNAT does not list what it may mean. The same names are compared once."""
        if frozenset(absent) == self._compared:
            return
        known = self._gateway.listed() if absent else ()
        compared = absent[: MOST_COMPARED // len(known)] if known else ()
        self.meant = {name: near for name in compared if (near := nearest(name, known))}
        self._compared = frozenset(absent)

    def forget(self) -> None:
        """Have the list read again the next time."""
        self._listed = {}
