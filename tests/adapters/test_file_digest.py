"""A file is digested behind those who read it: the same digest whatever they read, and never far behind them."""

from __future__ import annotations

import random
from hashlib import sha256
from pathlib import Path

import pytest

from xnat_watchd.adapters.dicom.file_digest import STEP, FollowingDigest
from xnat_watchd.adapters.dicom.ordered_threads import OrderedThreads
from xnat_watchd.adapters.dicom.zip_file import no_beat

MIB = 1024 * 1024
SIZE = 18 * MIB + 1


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("digest") / "file"
    path.write_bytes(random.Random(3).randbytes(SIZE))
    return path


@pytest.mark.parametrize("threads", [0, 1])
@pytest.mark.parametrize(
    "ends",
    [
        [],
        [100, STEP, STEP + 1, 3 * STEP, SIZE],
        [2 * STEP + 5, 7, 0, 3 * STEP + 9, 2 * STEP],
        [10**15, 5],
        list(range(0, SIZE, 10_000)),
    ],
    ids=["nothing", "in order", "out of order", "beyond the end", "small members"],
)
def test_the_digest_is_that_of_the_whole_file_in_order(file: Path, ends: list[int], threads: int) -> None:
    with file.open("rb", buffering=0) as opened, OrderedThreads(threads, no_beat) as thread:
        digest = FollowingDigest(opened.fileno(), thread)
        for end in ends:
            digest.follow(end)
        found = digest.hexdigest()

    assert found == sha256(file.read_bytes()).hexdigest()


def test_it_is_never_far_behind_those_who_read(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    beats: list[None] = []
    with path.open("wb") as written:
        written.truncate(25 * STEP)

    with path.open("rb", buffering=0) as opened, OrderedThreads(0, lambda: beats.append(None)) as thread:
        digest = FollowingDigest(opened.fileno(), thread)
        for end in range(0, 25 * STEP, MIB):
            digest.follow(end)
            assert len(beats) * MIB >= end - 10 * STEP
