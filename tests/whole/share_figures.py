"""Figures for the README: 1,000 rows over 5 projects with 5,000 sessions, against the practice XNAT.

    python -m tests.whole.share_figures

Prints requests and seconds of the first sweep and of one in which nothing changed, for both dialects. The server
runs in the same process, so the seconds are mostly its own.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import monotonic, process_time

from tests.share_desk import Desk
from tests.share_site import a_share_site
from tests.station import Time

SUBJECTS, SESSIONS, DESTINATIONS = 1000, 5, ("P2", "P3", "P4", "P5")


def measure(folder: Path, dialect: str) -> None:
    """Share every subject of P1 with one of four projects, then look again."""
    with a_share_site(folder, dialect) as site:
        for name in DESTINATIONS[1:]:
            site.project(name)
        for n in range(SUBJECTS):
            site.subject("P1", f"S{n:04}", [f"S{n:04}_{m}" for m in range(SESSIONS)])
        desk = Desk(folder, site.gateway, Time())
        desk.save(*(f"S{n:04},P1,{DESTINATIONS[n % 4]}" for n in range(SUBJECTS)))
        desk.sharing.turn()
        for sweep in ("first sweep", "idle sweep"):
            begin, before, cpu = monotonic(), len(site.xnat.requests), process_time()
            desk.later(hours=1)
            asked = Counter(method for method, _, _, _ in site.xnat.requests[before:])
            said = ", ".join(f"{count} {method}" for method, count in sorted(asked.items()))
            took = f"{monotonic() - begin:.1f} s, {process_time() - cpu:.1f} s of CPU with the server's"
            sys.stdout.write(
                f"{dialect} {sweep}: {asked.total()} requests ({said}), {took}; {Counter(desk.states())}\n"
            )
        desk.close()


def main() -> None:
    """Measure both dialects."""
    for dialect in ("1.8", "1.6"):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), dialect)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(f"peak memory with the server's: {peak} MB\n")


if __name__ == "__main__":
    main()
