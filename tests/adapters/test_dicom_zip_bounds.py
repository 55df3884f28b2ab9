"""Time and memory for one ZIP are bounded, whatever lies in it, and whoever wants to stop is heard."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest

from tests.adapters.openings import open_zip
from tests.adapters.zips import Part, element, file_of, identity, instance, pixels, zip_of
from xnat_watchd.adapters.dicom import zip_file
from xnat_watchd.adapters.dicom.byte_source import PIECE
from xnat_watchd.adapters.dicom.instance_store import Instances
from xnat_watchd.core.delivery import Instance
from xnat_watchd.core.errors import Stopped, Unusable
from xnat_watchd.core.limits import Limits
from xnat_watchd.sandbox.samples import DEFLATED

MEMORY = 200 * 1024  #: KiB of a process that opens a ZIP


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "export.zip"


def refusal(path: Path, content: bytes, limits: Limits) -> str:
    path.write_bytes(content)
    with pytest.raises(Unusable) as caught:
        open_zip(path, limits)
    return str(caught.value)


def deflated_data_set(number: int, mebibytes: int) -> bytes:
    """Return an image whose data set inflates to so many bytes of elements without a value: each is walked."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = engine.compress(identity(sop=f"1.2.3.{number}"))
    empty = element(0x00291010, "LO", b"") * (2**20 // 8)
    packed += b"".join(engine.compress(empty) for _ in range(mebibytes))
    return file_of(packed + engine.compress(pixels(0)) + engine.flush(), syntax=DEFLATED)


def test_inflating_is_summed_over_all_deflated_data_sets_of_a_zip(path: Path) -> None:
    one = deflated_data_set(1, 4)
    limits = Limits(ratio_from=10 * 2**20)
    path.write_bytes(zip_of([Part(b"1", one), Part(b"2", one)]))
    assert open_zip(path, limits).studies  # each of them is no bomb

    many = zip_of(Part(b"%d" % n, one) for n in range(40))
    begun = time.thread_time()
    assert refusal(path, many, limits) == "an image in the ZIP unpacks to far more than an image would"
    assert time.thread_time() - begun < 10


def test_who_wants_to_stop_is_heard_while_a_data_set_is_inflated(path: Path) -> None:
    path.write_bytes(zip_of([Part(b"1", deflated_data_set(1, 90), method=0)]))
    beats = 0

    def stop() -> None:
        nonlocal beats
        beats += 1
        if beats > 20:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        zip_file.open_zip(path, Limits(), stop)


def test_who_wants_to_stop_is_heard_while_bytes_come_that_inflate_to_nothing(path: Path) -> None:
    nothing = b"\0\0\0\xff\xff" * (2**20)  # blocks of deflate that hold no byte
    path.write_bytes(zip_of([Part(b"1", b"", packed=nothing + b"\1\0\0\xff\xff"), Part(b"2", instance())]))
    beats: list[None] = []

    open_zip(path, Limits(), lambda: beats.append(None))

    assert len(beats) >= 2 * len(nothing) // PIECE  # opening goes through the ZIP twice


@pytest.mark.parametrize("hole", [2**31, 2**41 + 512])
def test_a_file_that_is_mostly_no_part_of_the_zip_is_refused_without_being_read(path: Path, hole: int) -> None:
    with path.open("wb") as file:
        file.seek(hole)
        file.write(zip_of([Part(b"1", instance())]))

    begun = time.thread_time()
    with pytest.raises(Unusable, match=r"^most of the file is no part of the ZIP$"):
        open_zip(path, Limits())
    assert time.thread_time() - begun < 1


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(studies=2), "the ZIP holds more than 2 studies"),
        (Limits(series=2), "the ZIP holds more than 2 series"),
    ],
)
def test_studies_and_series_are_counted(path: Path, limits: Limits, sentence: str) -> None:
    parts = [Part(b"%d" % n, instance(n, study=f"1.{n}", series=f"1.{n}.1")) for n in (1, 2, 3)]

    assert refusal(path, zip_of(parts), limits) == sentence
    path.write_bytes(zip_of(parts[:2]))
    assert len(open_zip(path, limits).studies) == 2


@pytest.mark.parametrize("how", [{"crc": 1}, {"content": file_of(identity(study="1.3", sop="") + pixels())}])
def test_studies_of_damaged_images_count_too(path: Path, how: dict[str, object]) -> None:
    parts = [
        Part(b"1", instance(1, study="1.1")),
        Part(b"2", instance(2, study="1.2")),
        Part(**{"name": b"3", "content": instance(3, study="1.3"), **how}),  # type: ignore[arg-type]
    ]

    assert refusal(path, zip_of(parts), Limits(studies=2)) == "the ZIP holds more than 2 studies"


def some(number: int) -> Instance:
    return Instance(f"1.2.826.0.1.3680043.10.1571.{number:036}", "1.2.3", 10**9 + number, number, number, bytes(32))


def test_an_instance_takes_two_hundred_bytes_at_most() -> None:
    tracemalloc.start()
    instances = Instances(some(number) for number in range(100_000))
    kept = tracemalloc.get_traced_memory()[0]
    assert instances.repeated() == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert kept < 200 * len(instances)
    assert peak < 300 * len(instances)


def test_instances_come_out_as_they_went_in() -> None:
    those = [some(number) for number in (3, 1, 2, 1)]
    instances = Instances(those)

    assert list(instances) == those
    assert [instances[0], instances[-1], len(instances)] == [those[0], those[-1], 4]
    assert instances[1:3] == those[1:3]
    assert instances.repeated() == [[1, 3]]
    assert instances.counts() == {"1.2.3": 4}
    with pytest.raises(IndexError):
        instances[4]


@pytest.mark.thorough
def test_as_many_instances_as_the_limits_allow_are_opened_in_bounded_memory(path: Path) -> None:
    count = Limits().members
    with path.open("wb") as file:
        directory = bytearray()
        for number in range(count):
            member = zip_of([Part(b"%d" % number, file_of(identity(sop=f"1.2.3.{number}")), method=0)])
            at, end = member.index(b"PK\1\2"), member.index(b"PK\5\6")
            directory += member[at : at + 42] + file.tell().to_bytes(4, "little") + member[at + 46 : end]
            file.write(member[:at])
        start = file.tell()
        end_record = b"PK\5\6" + bytes(8) + len(directory).to_bytes(4, "little") + start.to_bytes(4, "little") + b"\0\0"
        file.write(directory + end_record)
    del directory
    code = (
        "import sys; from pathlib import Path; from xnat_watchd.adapters.dicom.zip_file import open_zip;"
        "from xnat_watchd.core.limits import Limits; study, = open_zip(Path(sys.argv[1]), Limits()).studies;"
        "print(len(study.instances), Path('/proc/self/status').read_text())"
    )

    found = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)  # noqa: S603 - ours

    assert found.stdout.split()[0] == str(count)
    assert int(found.stdout.partition("VmHWM:")[2].split()[0]) < MEMORY
