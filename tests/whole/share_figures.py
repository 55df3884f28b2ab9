"""Figures for the documentation: 1,000 rows over 5 projects with 5,000 sessions, by the service on a practice XNAT.

    python -m tests.whole.share_figures [1.6|1.8]

Prints requests and seconds of the first sweep and of one in which nothing changed. The service is a process of its
own; the server runs here, so the seconds are mostly the server's.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import monotonic

from tests.share_site import ShareSite, a_share_site
from tests.whole.conftest import Program

SUBJECTS, SESSIONS, DESTINATIONS = 1000, 5, ("P2", "P3", "P4", "P5")
IN_AND_OUT = ("/data/services/auth", "/data/auth", "/data/JSESSION", "/data/version", "/xapi/siteConfig/buildInfo")
LONG = 600.0  #: seconds that a sweep may take here


def measure(folder: Path, dialect: str) -> None:
    """Share every subject of P1 with one of four projects, then look again, and once more in another process."""
    with a_share_site(folder, dialect) as site:
        for name in DESTINATIONS[1:]:
            site.project(name)
        for n in range(SUBJECTS):
            site.subject("P1", f"S{n:04}", [f"S{n:04}_{m}" for m in range(SESSIONS)])
        program = Program(folder / "watchd", folder / "config.toml", site.xnat.url, password="secret")
        (program.root / "shares").mkdir(parents=True)
        program.write('[shares]\napply_every = "10s"\n')
        rows = "".join(f"S{n:04},P1,{DESTINATIONS[n % 4]}\n" for n in range(SUBJECTS))
        (program.root / "shares" / "table.csv").write_text(f"subject,source,destination\n{rows}", encoding="utf-8")
        _in_one_service(program, site, dialect)
        before, begin = len(site.xnat.requests), monotonic()
        program.once()
        _say(f"{dialect} run --once, all told", site, before, begin)


def _in_one_service(program: Program, site: ShareSite, dialect: str) -> None:
    with program.start() as service:
        service.wait_for("READY=1")
        before, begin = len(site.xnat.requests), monotonic()
        service.wait_for(f"share rows: {SUBJECTS} shared")
        _say(f"{dialect} first sweep", site, before, begin)
        for _ in range(2):
            before = len(site.xnat.requests)
            site.xnat.wait_for_requests(before + 1, LONG)
            begin = monotonic()
            site.xnat.wait_for_requests(before + 2 * (1 + len(DESTINATIONS)), LONG)
            _say(f"{dialect} idle sweep", site, before, begin)
        service.stop()


def _say(what: str, site: ShareSite, before: int, begin: float) -> None:
    took = monotonic() - begin
    asked = site.xnat.requests[before:]
    said = Counter("login" if path in IN_AND_OUT else method for method, path, _, _ in asked)
    told = ", ".join(f"{count} {method}" for method, count in sorted(said.items()))
    sys.stdout.write(f"{what}: {len(asked)} requests ({told}), {took:.1f} s\n")
    sys.stdout.flush()


def main() -> None:
    """Measure both dialects, or the one that is named."""
    for dialect in sys.argv[1:] or ("1.8", "1.6"):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), dialect)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    sys.stdout.write(f"the service: {cpu:.1f} s of CPU, {used.ru_maxrss // 1024} MB at most\n")


if __name__ == "__main__":
    main()
