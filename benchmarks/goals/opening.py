"""Goal 10: how long a large ZIP takes to be opened, beside inflating and summing it with zlib alone.

By the clock it is compared on all cores and on one: the reference uses one thread, the program several.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.figures import MIB, Bench, Figure, Goal, alternately, number
from benchmarks.program import inside
from benchmarks.zips import PIXELS, write_large

LARGEST = 2048 * MIB  #: bytes of one image: a length has 32 bits
PIECE = 256 * 1024
HEADER = 30  #: bytes of a local header before its name


def measure(bench: Bench) -> Iterator[Figure]:
    """Open a ZIP of each kind, in turns with the reference."""
    size = bench.sizes.large
    yield from _opened(bench, "stored", size, deflated=False)
    yield from _opened(bench, "deflated", size, deflated=True)
    size = min(size, LARGEST)
    yield from _opened(bench, "deflated, one image", size, deflated=True, frames=size // PIXELS - 1)


def _opened(bench: Bench, kind: str, size: int, *, deflated: bool, frames: int = 1) -> Iterator[Figure]:
    path = write_large(bench.folder / "opened.zip", size, deflated=deflated, slices=True, frames=frames)
    against = "zlib: inflate, crc32" if deflated else "SHA-256 and crc32"
    for name, unit, clock, cores in (
        ("s", "s", perf_counter, os.cpu_count() or 1), ("s on one core", "s", perf_counter, 1),
        ("s of CPU", "s of CPU", process_time, os.cpu_count() or 1),
    ):  # fmt: skip
        with _on(cores):
            ours, reference = alternately(
                bench.sizes.repeats, partial(_by_the_program, bench, path, clock), partial(_plainly, path, clock)
            )
        yield Figure(
            name=f"{number(size / 1e9)} GB {kind}, {name}", unit=unit, ours=ours, reference=reference, against=against,
            ratio_at_most=0.5 if deflated and name == "s" else None,
        )  # fmt: skip
    path.unlink()


@contextmanager
def _on(cores: int) -> Iterator[None]:
    """Use no more than so many of the cores that this process may use."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _by_the_program(bench: Bench, path: Path, clock: Callable[[], float]) -> float:
    return float(inside(bench, "opening.py", path, *(["cpu"] if clock is process_time else [])))


def _plainly(path: Path, clock: Callable[[], float]) -> float:
    """Return the seconds of inflating each member, or of hashing a stored one, and of its checksum."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    began = clock()
    with path.open("rb", buffering=0) as file:
        for member in members:
            file.seek(member.header_offset + HEADER + len(member.filename))
            inflater = zlib.decompressobj(-15) if member.compress_type else None
            digest, crc, left = sha256(), 0, member.compress_size
            while left:
                piece = file.read(min(left, PIECE))
                left -= len(piece)
                data = inflater.decompress(piece) if inflater else piece
                crc = zlib.crc32(data, crc)
                if not inflater:
                    digest.update(data)
            if crc != member.CRC:
                raise RuntimeError("the reference reads another content")
    return clock() - began


GOAL = Goal(number="10", title="opening a large ZIP", measure=measure)
