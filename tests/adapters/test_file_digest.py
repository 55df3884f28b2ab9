"""A file is digested beside those who read it, and a long content beside the one who inflates it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from xnat_watchd.adapters.dicom import content_digest
from xnat_watchd.adapters.dicom.content_digest import LONG, ContentDigest
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


def of_pieces(size: int, pieces: Iterable[bytes]) -> bytes:
    with ContentDigest(size) as digest:
        for piece in pieces:
            digest.update(piece)
        return digest.digest()


@pytest.mark.parametrize("size", [0, LONG], ids=["short", "long"])
def test_a_content_is_digested_in_the_order_of_its_pieces(size: int) -> None:
    chance = random.Random(5)
    pieces = [chance.randbytes(chance.randrange(1, MIB)) for _ in range(9)]

    assert of_pieces(size, pieces) == sha256(b"".join(pieces)).digest()
    assert of_pieces(size, []) == sha256().digest()


def break_off(pieces: int) -> None:
    with ContentDigest(LONG) as digest:
        for _ in range(pieces):
            digest.update(bytes(MIB))
        raise ZeroDivisionError


@pytest.mark.parametrize("pieces", [0, 9])
def test_the_thread_that_digests_a_long_content_ends_with_its_reading(pieces: int) -> None:
    before = threading.active_count()

    with pytest.raises(ZeroDivisionError):
        break_off(pieces)

    assert threading.active_count() == before


def test_no_more_than_a_few_pieces_wait_to_be_digested(monkeypatch: pytest.MonkeyPatch) -> None:
    class Held:
        def __init__(self) -> None:
            self.go_on = threading.Event()

        def update(self, piece: bytes) -> None:
            assert self.go_on.wait(10), piece

        def digest(self) -> bytes:
            return b"held"

    held = Held()
    later = threading.Timer(0.2, held.go_on.set)

    def pieces() -> Iterator[bytes]:
        for taken in range(9):
            if taken == 2:
                later.start()
            assert taken < 3 or held.go_on.is_set()
            yield b"x"

    monkeypatch.setattr(content_digest, "sha256", lambda: held)
    assert of_pieces(LONG, pieces()) == b"held"
    later.join()
