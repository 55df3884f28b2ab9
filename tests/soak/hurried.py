"""The real program on a clock that runs faster, so that hours of waiting for XNAT pass in minutes.

Time is an argument everywhere but at two spots: what the machine says, and how long a thread waits to be woken.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from xnat_watchd.__main__ import main
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.threads import WakeUp


def live(config: Path, journal: Path, environment: Mapping[str, str], speed: float, began: float) -> None:
    """Be the service, as `xnat-watchd --config FILE run` is; what it says goes to the end of the journal."""
    with journal.open("ab") as file:
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["xnat-watchd", "--config", str(config), "run"]
    hurry(speed, began)
    main()


def hurry(speed: float, began: float) -> None:
    """Let time run `speed` times as fast since `began`, for every life of the program alike."""
    patiently = WakeUp.wait

    def now(_: SystemClock) -> datetime:
        return datetime.fromtimestamp(began, UTC) + timedelta(seconds=(time.time() - began) * speed)

    def wait(wake_up: WakeUp, seconds: float | None) -> bool:
        return patiently(wake_up, None if seconds is None else seconds / speed)

    patch.object(SystemClock, "now", now).start()
    patch.object(SystemClock, "monotonic", lambda _: time.monotonic() * speed).start()
    patch.object(SystemClock, "uptime", lambda _: time.clock_gettime(time.CLOCK_BOOTTIME) * speed).start()
    patch.object(WakeUp, "wait", wait).start()
