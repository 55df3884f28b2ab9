"""Random and mutated bytes: nothing but `Unusable` ever comes of them, and nothing grows beyond bounds."""

from __future__ import annotations

import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.adapters.openings import open_zip, write_clean
from tests.adapters.zips import Part, instance, zip_of
from xnat_watchd.adapters.dicom import data_set
from xnat_watchd.adapters.dicom.byte_source import Source
from xnat_watchd.adapters.dicom.data_set import Header, walk_file
from xnat_watchd.adapters.dicom.elements import Syntax
from xnat_watchd.adapters.dicom.inflating import Allowance
from xnat_watchd.adapters.dicom.instance import facts_of
from xnat_watchd.adapters.dicom.zip_file import is_whole
from xnat_watchd.core.errors import Undecided, Unusable
from xnat_watchd.core.limits import Limits
from xnat_watchd.sandbox.samples import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, study, write_zip

QUICK = settings(
    derandomize=True, max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CHANGES = st.lists(
    st.tuples(st.integers(0, 2**16), st.integers(0, 3), st.binary(min_size=1, max_size=9)), min_size=1, max_size=6
)


@cache
def seeds() -> tuple[bytes, ...]:
    """Return sound ZIPs of every kind, so small that a random change often hits something that matters."""
    found = [
        zip_of([Part(b"a/1.dcm", instance(1)), Part(b"a/2.dcm", instance(2), method=0)], comment=b"hello"),
        zip_of([Part(b"x", zip_of([Part(b"y", b"z")])), Part(b"1", instance(1))], before=b"MZ"),
    ]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        small, path = study(1, images=2, pixels=(2, 2)), Path(folder, "z")
        methods = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
        found.extend(write_zip(path, small, method).read_bytes() for method in methods)
        patch.setattr(zipfile, "ZIP64_LIMIT", 10)
        found.append(write_zip(path, small).read_bytes())
    return tuple(found)


@cache
def files(side: int = 2) -> tuple[bytes, ...]:
    """Return sound DICOM files in every transfer syntax, with sequences of undefined length and square images."""

    def change(data_set: Dataset) -> None:
        data_set.ReferencedStudySequence = Sequence([Dataset(), Dataset()])
        data_set["ReferencedStudySequence"].is_undefined_length = True
        data_set.ReferencedStudySequence[0].PatientID = "inside"

    return tuple(
        study(1, images=1, pixels=(side, side), syntax=syntax, change=change)[0][1]
        for syntax in (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)
    )


def mutated(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Overwrite, insert, delete or cut, at places that are taken modulo the length."""
    for place, kind, data in changes:
        at = place % (len(content) + 1)
        if kind == 0:
            content = content[:at] + data + content[at + len(data) :]
        elif kind == 1:
            content = content[:at] + data + content[at:]
        elif kind == 2:
            content = content[:at] + content[at + len(data) :]
        else:
            content = content[: max(at, len(content) // 2)]
    return content


@pytest.fixture
def path(quick_path: Path) -> Iterator[Path]:
    tracemalloc.start()
    yield quick_path / "fuzzed.zip"
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()


def survive(path: Path, content: bytes) -> None:
    """Do all that is done with a ZIP; whatever it is, it ends in a result or in `Unusable`."""
    path.write_bytes(content)
    is_whole(path)
    try:
        contents = open_zip(path, Limits(ratio_from=2**20))
    except Unusable:
        return
    for one in contents.studies:
        try:
            write_clean(path, one.instances, path.with_suffix(".clean"))
        except Undecided:
            pytest.fail("what was read once reads twice")


@QUICK
@given(content=st.binary(max_size=500))
def test_any_bytes_at_all_are_survived(path: Path, content: bytes) -> None:
    survive(path, content)
    survive(path, b"PK\3\4" + content)
    survive(path, content + zip_of([])[-22:])


@QUICK
@given(index=st.integers(0, 5), changes=CHANGES)
def test_a_zip_with_changes_anywhere_is_survived(path: Path, index: int, changes: list[tuple[int, int, bytes]]) -> None:
    survive(path, mutated(seeds()[index], changes))


@QUICK
@given(index=st.integers(0, 5), changes=CHANGES)
def test_a_zip_with_changes_in_its_directory_is_survived(
    path: Path, index: int, changes: list[tuple[int, int, bytes]]
) -> None:
    content = seeds()[index]
    at = content.index(b"PK\1\2")

    survive(path, content[:at] + mutated(content[at:], changes))


@QUICK
@given(index=st.integers(0, 3), changes=CHANGES)
def test_dicom_with_changes_anywhere_is_survived(path: Path, index: int, changes: list[tuple[int, int, bytes]]) -> None:
    survive(path, zip_of([Part(b"1", instance()), Part(b"2", mutated(files()[index], changes))]))


@QUICK
@given(index=st.integers(0, 3), changes=CHANGES, piece=st.integers(1, 300))
def test_pieces_of_any_size_give_the_same(index: int, changes: list[tuple[int, int, bytes]], piece: int) -> None:
    content = mutated(files()[index], changes)

    in_one = walk_file(Source(iter([content] if content else [])), Allowance(Limits(), len(content)))
    in_pieces = walk_file(
        Source(content[at : at + piece] for at in range(0, len(content), piece)), Allowance(Limits(), len(content))
    )

    assert (in_pieces.kind, in_pieces.problem, in_pieces.values) == (in_one.kind, in_one.problem, in_one.values)
    facts_of(in_one)


@QUICK
@given(index=st.integers(0, 2), changes=CHANGES)
def test_what_is_skipped_is_what_says_nothing(index: int, changes: list[tuple[int, int, bytes]]) -> None:
    content = files(side=50)[index]
    before = content[: -2 * 50 * 50]  # nothing is skipped at the end of a file
    content = mutated(before, changes) + content[len(before) :]
    skipping = walked(content)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("EXPLICIT_LITTLE", "EXPLICIT_BIG", "IMPLICIT_LITTLE"):
            syntax: Syntax = getattr(data_set, name)
            patch.setattr(data_set, name, syntax._replace(skip=lambda _window, at, _last, _wanted: at))
        reading = walked(content)

    assert skipping == reading


def walked(content: bytes) -> Header:
    return walk_file(Source(iter([content] if content else [])), Allowance(Limits(), len(content)))
