"""Deflate is judged alike whichever library inflates it: the quick one, or zlib where there is none."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.adapters.zips import Part, deflated, instance, zip_of
from xnat_watchd.adapters.dicom import inflating
from xnat_watchd.adapters.dicom.inflating import DEFLATED, LARGE_PIECE, PIECE, ZLIB, Corrupt, Library, crc32, unpacked
from xnat_watchd.adapters.dicom.zip_file import open_zip
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.limits import Limits

CONTENT = random.Random(1).randbytes(50_000) + bytes(LARGE_PIECE)


@pytest.fixture(params=["isal", "zlib"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Library:
    if request.param == "zlib":
        monkeypatch.setattr(inflating, "deflate", ZLIB)
    else:
        pytest.importorskip("isal")
    return inflating.deflate


def in_pieces(packed: bytes, size: int = 1000) -> Iterator[bytes]:
    return (packed[at : at + size] for at in range(0, len(packed), size))


def test_everything_comes_out_in_bounded_pieces() -> None:
    pieces = list(unpacked(DEFLATED, partial(in_pieces, deflated(CONTENT))))

    assert b"".join(pieces) == CONTENT
    assert max(map(len, pieces)) <= LARGE_PIECE


def test_checksums_are_those_of_zip() -> None:
    assert crc32(CONTENT[1000:], crc32(CONTENT[:1000], 0)) == zlib.crc32(CONTENT)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-1],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed + b"\0",
        lambda packed: packed + packed,
        lambda packed: b"\7" + packed[1:],  # a kind of block that there is not
    ],
    ids=["a byte short", "cut", "a byte more", "twice", "no block"],
)
def test_what_is_not_one_whole_stream_is_corrupt(spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(Corrupt):
        list(unpacked(DEFLATED, partial(in_pieces, spoil(deflated(CONTENT)))))


def spoilt(packed: bytes, chance: random.Random) -> bytes:
    """Return packed bytes with one to three changes: bits turned, bytes removed or inserted, the end cut off."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(max(1, len(packed)))
        match chance.randrange(4):
            case 0:
                packed = (
                    packed[:at] + bytes([packed[at] ^ 1 << chance.randrange(8)] if packed else b"") + packed[at + 1 :]
                )
            case 1:
                packed = packed[:at] + packed[at + chance.randint(1, 200) :]
            case 2:
                packed = packed[:at] + chance.randbytes(chance.randint(1, 200)) + packed[at:]
            case _:
                packed = packed[:at]
    return packed


def outcome(packed: bytes, size: int) -> tuple[bytes, bool]:
    """Return what comes out of packed bytes that are read in pieces of this size, and whether they are sound."""
    content = bytearray()
    try:
        for piece in unpacked(DEFLATED, partial(in_pieces, packed, size)):
            content += piece
    except Corrupt:
        return bytes(content), False
    return bytes(content), True


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("kind", ["noise", "zeros", "text", "mixed"])
def test_damage_begins_at_the_byte_where_zlib_sees_it(level: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(f"{level} {kind}")
    contents = {
        "noise": chance.randbytes(60_000),
        "zeros": bytes(400_000),
        "text": b" ".join(b"%d" % chance.randrange(10**6) for _ in range(20_000)),
        "mixed": CONTENT[:150_000] + chance.randbytes(20_000) + bytes(100_000),
    }
    engine = zlib.compressobj(level, zlib.DEFLATED, -15)
    packed = engine.compress(contents[kind]) + engine.flush()

    for _ in range(25):
        bad, size = spoilt(packed, chance), chance.choice((700, 16_000, 120 * 1024))
        found = outcome(bad, size)
        with monkeypatch.context() as patch:
            patch.setattr(inflating, "deflate", ZLIB)
            assert outcome(bad, size) == found


def test_what_is_sound_before_the_damage_comes_out() -> None:
    content = bytes(random.Random(2).choices(b"abcdefgh", k=2 * PIECE))
    engine = zlib.compressobj(wbits=-15)
    packed = engine.compress(content) + engine.flush(zlib.Z_FULL_FLUSH) + b"\7"  # a kind of block that there is not

    assert outcome(packed, len(packed)) == (content[:PIECE], False)


def test_what_follows_a_stream_is_given_back(library: Library) -> None:
    engine = library.inflater()
    for piece in in_pieces(deflated(b"first") + b"second", 10**6):
        assert engine.decompress(piece, PIECE) == b"first"

    assert (engine.eof, engine.unused_data) == (True, b"second")


@pytest.mark.parametrize("at", range(200, 260, 7))
def test_an_image_with_one_byte_changed_as_it_is_packed_is_damaged(tmp_path: Path, at: int) -> None:
    path, content = tmp_path / "export.zip", instance(1, size=4000) + CONTENT[:2000]
    packed = bytearray(deflated(content))
    packed[at] ^= 0x55
    path.write_bytes(zip_of([Part(b"1", content, packed=bytes(packed))]))

    with pytest.raises(Unusable, match="every image in the ZIP is damaged"):
        open_zip(path, Limits())
