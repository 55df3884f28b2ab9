"""The real program on a clock that runs faster, so that hours of waiting for XNAT pass in minutes.

Time is an argument everywhere but at two spots: what the machine says, and how long a thread waits for its bell.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

from xnat_watchd.__main__ import main
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.threads import Bell

SPEED = "SOAK_SPEED"  #: how many seconds pass in one
BEGAN = "SOAK_BEGAN"  #: since when, in seconds of the real time


def hurry(speed: float, began: float) -> None:
    """Let time run from here on, for every life of the program alike."""
    patiently = Bell.wait

    def now(_: SystemClock) -> datetime:
        return datetime.fromtimestamp(began, UTC) + timedelta(seconds=(time.time() - began) * speed)

    def wait(bell: Bell, seconds: float | None) -> bool:
        return patiently(bell, None if seconds is None else seconds / speed)

    patch.object(SystemClock, "now", now).start()
    patch.object(SystemClock, "monotonic", lambda _: time.monotonic() * speed).start()
    patch.object(Bell, "wait", wait).start()


if __name__ == "__main__":
    hurry(float(os.environ.pop(SPEED)), float(os.environ.pop(BEGAN)))
    main()
