"""Goal 10: how long a large ZIP takes to be opened, beside inflating and summing it with zlib alone."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import process_time

from benchmarks.figures import Bench, Figure, Goal, number
from benchmarks.program import inside
from benchmarks.zips import write_large

PIECE = 256 * 1024
HEADER = 30  #: bytes of a local header before its name


def measure(bench: Bench) -> Iterator[Figure]:
    """Open a stored and a deflated ZIP, in turns with the reference; CPU time, which a busy machine does not change."""
    for deflated, bound in ((False, None), (True, 0.6)):
        path = write_large(bench.folder / "opened.zip", bench.sizes.large, deflated=deflated)
        ours, reference = [], []
        for _ in range(bench.sizes.repeats):
            reference.append(_plainly(path))
            ours.append(float(inside(bench, "opening.py", path)))
        kind = f"{number(bench.sizes.large / 1e9)} GB {'deflated' if deflated else 'stored'}"
        against = "zlib: inflate, crc32" if deflated else "SHA-256 and crc32"
        yield Figure(
            name=f"opening {kind}", unit="s of CPU", ours=median(ours), reference=median(reference), against=against,
            ratio_at_most=bound,
        )  # fmt: skip
        path.unlink()


def _plainly(path: Path) -> float:
    """Return the CPU seconds of inflating each member, or of hashing a stored one, and of its checksum."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    began = process_time()
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
    return process_time() - began


GOAL = Goal(number="10", title="opening a large ZIP", measure=measure)
