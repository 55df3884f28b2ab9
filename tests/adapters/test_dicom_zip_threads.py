"""A ZIP that several threads open is judged as if one had read its members in order."""

from __future__ import annotations

import random
import threading
import zlib
from pathlib import Path

import pytest

from tests.adapters.openings import LIBRARIES, comparable, open_zip, opened_by
from tests.adapters.test_inflating import spoilt
from tests.adapters.zips import Part, deflated, file_of, identity, instance, pixels, zip_of
from xnat_watchd.adapters.dicom import zip_file
from xnat_watchd.adapters.dicom.inflating import Library
from xnat_watchd.adapters.dicom.zip_limits import Totals
from xnat_watchd.core.delivery import ZipContents
from xnat_watchd.core.errors import Stopped, Unusable
from xnat_watchd.core.limits import Limits
from xnat_watchd.sandbox.samples import DEFLATED

MIB = 1024 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "export.zip"


def images(count: int, size: int, methods: tuple[int, ...] = (8,)) -> list[Part]:
    return [Part(b"%d" % n, instance(n, size=size), method=methods[n % len(methods)]) for n in range(count)]


def test_what_many_threads_find_is_in_the_order_of_the_directory(path: Path) -> None:
    path.write_bytes(zip_of(images(300, 9000, (0, 8))))

    (one,) = open_zip(path, Limits()).studies

    assert [i.member for i in one.instances] == list(range(300))


def test_the_first_fault_of_several_is_told(path: Path) -> None:
    path.write_bytes(zip_of([*images(100, 20_000), *(Part(b"x%d" % n, instance(n, study=f"1.{n}")) for n in range(9))]))

    with pytest.raises(Unusable, match="more than 3 studies"):
        open_zip(path, Limits(studies=3))


@pytest.mark.parametrize("library", LIBRARIES)
def test_who_wants_to_stop_is_heard_and_no_thread_is_left(path: Path, library: Library) -> None:
    path.write_bytes(zip_of(images(300, 30_000, (0,))))
    before = threading.active_count()

    def stop() -> None:
        if threading.active_count() > before:
            raise Stopped("told to")

    with opened_by(library, 3), pytest.raises(Stopped):
        zip_file.open_zip(path, Limits(), stop)

    assert threading.active_count() == before


def test_no_thread_outlives_a_member_that_is_refused(path: Path) -> None:
    dense = file_of(deflated(identity() + pixels(2**25)), syntax=DEFLATED)
    path.write_bytes(zip_of([Part(b"1", dense, method=0)]))
    before = threading.active_count()

    with opened_by(LIBRARIES[0], 3), pytest.raises(Unusable, match="far more") as refused:
        zip_file.open_zip(path, Limits(ratio_from=2**20, ratio=20))

    assert threading.active_count() == before
    assert refused.traceback  # which holds on to what was read


@pytest.mark.parametrize(
    ("totals", "threaded"),
    [
        (Totals(members=10, packed=MIB), False),
        (Totals(members=4000, packed=2000 * MIB), True),
        (Totals(members=1, packed=2000 * MIB), True),
        (Totals(members=100_000, packed=400 * MIB), False),
    ],
    ids=["small", "export", "one large image", "tiny images"],
)
def test_threads_are_for_what_they_open_sooner(totals: Totals, *, threaded: bool) -> None:
    assert bool(zip_file.threads_for(totals)) is threaded


@pytest.mark.parametrize("seed", range(40))
def test_a_spoilt_member_is_judged_alike_in_every_way(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = instance(1, size=4000) + chance.randbytes(chance.choice((1000, 150_000, 400_000))) + bytes(300_000)
    bad = Part(b"2", content, packed=spoilt(deflated(content), chance), crc=zlib.crc32(content))
    path.write_bytes(zip_of([Part(b"1", instance(7)), bad, Part(b"3", instance(8), method=0)]))

    (one,) = open_zip(path, Limits()).studies

    assert {i.member for i in one.instances} in ({0, 2}, {0, 1, 2})


def test_openings_that_differ_in_anything_are_told_apart(path: Path) -> None:
    path.write_bytes(zip_of(images(2, 100)))
    first = open_zip(path, Limits())
    path.write_bytes(zip_of(images(3, 100)))

    assert comparable(first) != comparable(open_zip(path, Limits()))
    assert isinstance(first, ZipContents)
