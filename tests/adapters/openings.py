"""Opening a ZIP in every way that the program may take: with either library, in one thread or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest

from xnat_watchd.adapters.dicom import inflating, zip_file
from xnat_watchd.adapters.dicom.zip_file import no_beat
from xnat_watchd.core.delivery import ZipContents
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.limits import Limits

LIBRARIES = ("isal.isal_zlib", "zlib") if find_spec("isal") else ("zlib",)
WAYS = tuple(product(LIBRARIES, (0, 3)))


@contextmanager
def opened_by(library: str, threads: int) -> Iterator[None]:
    """Open ZIPs with this library and so many threads, whatever their size, as long as the context lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inflating, "deflate", import_module(library))
        patch.setattr(zip_file, "threads_for", lambda _: threads)
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
