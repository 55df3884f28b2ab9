"""The rate at which a total grows, over the last minutes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW = 300.0  #: seconds over which the rate is taken
LEAST = 20.0  #: seconds before there is a rate


@dataclass(slots=True)
class Rate:
    """Seen from time to time, a total that grows; where it falls, counting begins anew."""

    _seen: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, moment: float, total: float) -> None:
        """Note a total at a moment (monotonic seconds)."""
        if self._seen and total < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((moment, total))
        while self._seen[0][0] < moment - WINDOW:
            self._seen.popleft()

    def per_second(self) -> float:
        """Return the growth per second; 0 while too little was seen to tell."""
        if not self._seen:
            return 0.0
        (first, low), (last, high) = self._seen[0], self._seen[-1]
        return (high - low) / (last - first) if last - first >= LEAST else 0.0
