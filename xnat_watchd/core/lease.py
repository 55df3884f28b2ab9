"""The lease of a station in a ledger that several share: until when nobody else acts on its work.

A station shows again and again that it is there. Where it could not for the length of the lease, others take it for
gone, and put its work in doubt. So it begins nothing new in XNAT after half of that time, and is through with
everything at its end. Only what XNAT does by itself may come later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

LEASE = 60.0  #: seconds after which a station that was not heard of counts as gone
RENEWED_EVERY = 10.0  #: seconds between two renewals


@dataclass(slots=True)
class StationLease:
    """When the lease was renewed. One thread renews it, and any may ask.

    `now` returns seconds that go on while the process is stopped and while the machine sleeps.
    """

    now: Callable[[], float]
    renewed: float | None = field(default=None, init=False)  #: when a renewal was last asked for; None: it lasts

    def may_begin(self) -> bool:
        """Return whether something new may be asked of XNAT."""
        return self._lasts_for(LEASE / 2)

    def lasts(self) -> bool:
        """Return whether what was begun may go on."""
        return self._lasts_for(LEASE)

    def is_due(self) -> bool:
        """Return whether it is to be renewed."""
        return not self._lasts_for(RENEWED_EVERY)

    def _lasts_for(self, seconds: float) -> bool:
        return self.renewed is None or self.now() - self.renewed < seconds
