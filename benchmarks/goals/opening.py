"""Goal 10: how long a large ZIP takes to be opened, beside inflating and summing it with zlib alone."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.figures import Bench, Figure, Goal, alternately, number
from benchmarks.program import inside
from benchmarks.zips import write_large

PIECE = 256 * 1024
HEADER = 30  #: bytes of a local header before its name


def measure(bench: Bench) -> Iterator[Figure]:
    """Open a stored and a deflated ZIP, in turns with the reference: once by the clock, once by what both cores did."""
    for deflated, bound in ((False, None), (True, 0.6)):
        path = write_large(bench.folder / "opened.zip", bench.sizes.large, deflated=deflated)
        kind = f"{number(bench.sizes.large / 1e9)} GB {'deflated' if deflated else 'stored'}"
        against = "zlib: inflate, crc32" if deflated else "SHA-256 and crc32"
        for unit, clock in (("s", perf_counter), ("s of CPU", process_time)):
            ours, reference = alternately(
                bench.sizes.repeats, partial(_by_the_program, bench, path, clock), partial(_plainly, path, clock)
            )  # fmt: skip
            yield Figure(
                name=f"{kind}, {unit}", unit=unit, ours=ours, reference=reference, against=against,
                ratio_at_most=bound if clock is perf_counter else None,
            )  # fmt: skip
        path.unlink()


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
