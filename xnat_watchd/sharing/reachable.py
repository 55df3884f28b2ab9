"""Remember which projects XNAT lists for us, for as long as nothing contradicts it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from xnat_watchd.core.ports import SharingGateway


class ReachableProjects:
    """The projects that XNAT lists for us, each with whether we may add to it.

    The list is long on a large site, and a name must be in it before it is used in a path. It is read again once a name
    is not in it, once a destination is not writable, and once it was forgotten: whoever uses it forgets it when XNAT
    shows a project no more, or refuses a share.
    """

    def __init__(self, gateway: SharingGateway) -> None:
        self._gateway = gateway
        self._listed: Mapping[str, bool] = {}

    def listed(self, named: Collection[str], destinations: Collection[str]) -> Mapping[str, bool]:
        """Return those of the named projects that XNAT lists. `destinations`: those of them to which we want to add."""
        known = self._listed.keys() >= set(named) and all(self._listed[name] for name in destinations)
        if not known:
            self._listed = dict(self._gateway.reachable(list(named)))
        return {name: self._listed[name] for name in named if name in self._listed}

    def forget(self) -> None:
        """Have the list read again the next time."""
        self._listed = {}
