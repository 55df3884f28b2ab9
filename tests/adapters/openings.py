"""Opening and copying a ZIP in every way that the program may take: with either library, in one thread or several."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from xnat_watchd.adapters.dicom import content_digest, inflating, member_copying, zip_file
from xnat_watchd.adapters.dicom.zip_directory import FULL_32
from xnat_watchd.adapters.dicom.zip_file import no_beat
from xnat_watchd.core.delivery import Instance, ZipContents
from xnat_watchd.core.errors import Undecided, Unusable
from xnat_watchd.core.limits import Limits

LIBRARIES = (inflating.deflate, *({inflating.ZLIB} - {inflating.deflate}))
WAYS = tuple(product(LIBRARIES, (0, 3)))


@contextmanager
def opened_by(library: inflating.Library, threads: int) -> Iterator[None]:
    """Open ZIPs with this library and so many threads, whatever their size, as long as the context lasts.

    If there are several, each member is digested by one more.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inflating, "deflate", library)
        patch.setattr(zip_file, "threads_for", lambda _: threads)
        patch.setattr(content_digest, "LONG", 0 if threads else sys.maxsize)
        yield


def open_zip(path: Path, limits: Limits, beat: Callable[[], None] = no_beat) -> ZipContents:
    """Open a ZIP in every way. Fail if any two differ in what they find, or in why they refuse it."""
    results: list[ZipContents | Unusable] = []
    for library, threads in WAYS:
        with opened_by(library, threads):
            try:
                results.append(zip_file.open_zip(path, limits, beat))
            except Unusable as error:
                results.append(error)
    first, *others = results
    for way, other in zip(WAYS[1:], others, strict=True):
        assert comparable(other) == comparable(first), way
    if isinstance(first, Unusable):
        raise first
    return first


def comparable(found: ZipContents | Unusable) -> object:
    """Return all that was found in a form that can be compared."""
    if isinstance(found, Unusable):
        return str(found), found.detail, found.advice
    studies = tuple(replace(one, instances=tuple(one.instances)) for one in found.studies)
    return replace(found, studies=studies)


def write_clean(
    source: Path,
    instances: Iterable[Instance],
    target: Path,
    beat: Callable[[], None] = no_beat,
    wide_from: int = FULL_32,
) -> None:
    """Write a clean ZIP in every way. Fail if any two differ in a byte, or in why the source is refused."""
    listed = tuple(instances)
    results: list[tuple[Undecided | None, bytes]] = []
    for library, threads, ahead in (*((*way, member_copying.AHEAD) for way in WAYS), (*WAYS[-1], 0)):
        with opened_by(library, threads), pytest.MonkeyPatch.context() as patch:
            patch.setattr(member_copying, "AHEAD", ahead)
            try:
                zip_file.write_clean(source, listed, target, beat, wide_from)
            except Undecided as error:
                results.append((error, error.detail.encode()))
            else:
                results.append((None, target.read_bytes()))
    errors, contents = zip(*results, strict=True)
    assert len({str(error) for error in errors}) == len(set(contents)) == 1
    if errors[0] is not None:
        raise errors[0]
