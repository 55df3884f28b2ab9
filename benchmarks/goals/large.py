"""Goal 4: how long after `quiet_for` the first byte of a large ZIP is on the wire, and when all of it is checked."""

from __future__ import annotations

import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from benchmarks import loops
from benchmarks.figures import Bench, Figure, Goal, number
from benchmarks.practice import Practice
from benchmarks.program import QUIET, Program, Service
from benchmarks.zips import write_large

PIECE = 1024 * 1024
DIALECT = "1.8"


@dataclass(frozen=True)
class _Ours:
    """Seconds of the program, counted from `quiet_for` except `sending`, and its peak memory in MB."""

    first_byte: float
    sending: float
    total: float  #: until it is told to be archived
    peak: float


def measure(bench: Bench) -> Iterator[Figure]:
    """Send a stored and a deflated ZIP, each beside reading it, and sending it blindly to the same server."""
    for deflated in (False, True):
        path = write_large(bench.folder / "large.zip", bench.sizes.large, deflated=deflated)
        reading, sending, curl = _reading(path), _sending(bench, path), _curl(bench, path)
        ours = _ours(bench, path)
        kind = f"{number(bench.sizes.large / 1e9)} GB {'deflated' if deflated else 'stored'}"
        yield Figure(
            name=f"first byte, {kind}", unit="s", ours=ours.first_byte, reference=reading, against="reading it all",
            at_most=1.0,
        )  # fmt: skip
        slower, what = max((reading, "reading it all"), (sending, "sending it blindly"))
        yield Figure(
            name=f"total, {kind}", unit="s", ours=ours.total, reference=slower, against=what, ratio_at_most=1.1
        )
        yield Figure(
            name=f"sending alone, {kind}", unit="s", ours=ours.sending, reference=sending,
            against="sending it blindly",
        )  # fmt: skip
        if curl:
            yield Figure(name=f"total, {kind}, curl", unit="s", ours=ours.total, reference=curl, against="curl")
        yield Figure(
            name=f"peak memory, {kind}", unit="MB", ours=ours.peak, reference=90.0, against="the aim", at_most=90.0
        )  # fmt: skip


def _reading(path: Path) -> float:
    began, crc = time.monotonic(), 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            crc = zlib.crc32(piece, crc)
    return time.monotonic() - began


def _sending(bench: Bench, path: Path) -> float:
    """Import it with a plain client into a practice XNAT, which reads, checks and stores it."""
    folder = bench.new_folder("xnat")
    with Practice(folder, DIALECT) as xnat, path.open("rb") as file, closing(loops.Line(xnat.url)) as line:
        began = time.monotonic()
        http, headers = HTTPConnection(xnat.url.removeprefix("http://"), blocksize=PIECE), line.headers
        http.request("POST", _target(), file, {**headers, "Content-Type": loops.ZIP, "Content-Length": _size(path)})
        answer = http.getresponse()
        answer.read()
        took = time.monotonic() - began
        http.close()
    shutil.rmtree(folder)
    if answer.status != 200:
        raise RuntimeError(f"the import was answered {answer.status}")
    return took


def _curl(bench: Bench, path: Path) -> float:
    """Return the seconds that curl takes for the same; 0 where there is none."""
    curl = shutil.which("curl")
    if curl is None:
        return 0.0
    folder = bench.new_folder("xnat")
    with Practice(folder, DIALECT) as xnat, closing(loops.Line(xnat.url)) as line:
        headers = [f"{name}: {value}" for name, value in {**line.headers, "Content-Type": loops.ZIP}.items()]
        words = [word for header in (*headers, "Expect:") for word in ("--header", header)]
        began = time.monotonic()
        subprocess.run(
            [curl, "--silent", "--fail", *words, "--request", "POST", "--upload-file", path, f"{xnat.url}{_target()}"],
            check=True, timeout=1800, capture_output=True,
        )  # fmt: skip
        took = time.monotonic() - began
    shutil.rmtree(folder)
    return took


def _ours(bench: Bench, path: Path) -> _Ours:
    """Have the program carry it, in whose place nothing is archived before all of it was sent and checked."""
    folder = bench.new_folder("xnat")
    with Practice(folder, DIALECT) as xnat:
        program = Program(bench, xnat.url)
        with Service(program) as service:
            dropped = program.drop({"large.zip": path})
            service.wait_until_done(1)
            peak = service.memory()
        asked = xnat.requests()
    sent = next(one for one in asked if one.is_import)
    archived = next(one for one in asked if one.path.endswith("/services/archive"))
    shutil.rmtree(folder)
    shutil.rmtree(program.root)
    quiet = dropped + QUIET
    return _Ours(sent.began - quiet, sent.ended - sent.began, archived.began - quiet, peak)


def _target() -> str:
    place = f"{loops.PREARCHIVE}/20240229_101530001/large"
    query = {"dest": place, "session": "large", **loops.NEWER}
    return f"/data/services/import?{loops.encoded(query)}"


def _size(path: Path) -> str:
    return str(path.stat().st_size)


GOAL = Goal(number="4", title="large ZIPs", measure=measure)
