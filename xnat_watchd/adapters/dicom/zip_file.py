"""A ZIP of DICOM: whether it is complete, what it holds, and a clean ZIP of what is sent.

Names in it are never used as paths. Only what identifies an instance is kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from xnat_watchd.adapters.dicom.file_digest import FollowingDigest
from xnat_watchd.adapters.dicom.member_copying import copy_members
from xnat_watchd.adapters.dicom.member_reading import Allowances, read_members
from xnat_watchd.adapters.dicom.ordered_threads import OrderedThreads, usable_threads
from xnat_watchd.adapters.dicom.zip_directory import FULL_32, Member, find_directory, is_readable
from xnat_watchd.adapters.dicom.zip_limits import Totals, refuse_unfit
from xnat_watchd.adapters.dicom.zip_members import members
from xnat_watchd.adapters.dicom.zip_opening import ZipReading
from xnat_watchd.adapters.dicom.zip_writer import ZipWriter
from xnat_watchd.adapters.files.named_file import durably_written, naming
from xnat_watchd.adapters.files.syncing import sync_folder
from xnat_watchd.core.delivery import Instance, ZipContents
from xnat_watchd.core.limits import Limits
from xnat_watchd.core.ports import CheckObserver

_THREADS_FROM = 16 * 1024 * 1024  #: packed bytes of a ZIP that several threads open sooner than one
_THREADS_FROM_MEMBER = 32 * 1024  #: the same of its members on average: with smaller ones they wait for each other
_COPYING_THREADS = 2  #: for each clean ZIP: several are written at the same time, and what is ahead costs memory


def is_whole(path: Path) -> bool:
    """Return whether a copy is finished: the end record is there and the directory can be read.

    This is cheap: it reads at most a few MiB of the directory and no member. Raise `OSError` if the file cannot be
    read. No content of the file raises an error.
    """
    with path.open("rb", buffering=0) as file:
        return is_readable(file.fileno())


def no_beat() -> None:
    """Do nothing: there is no heartbeat to renew."""


def open_zip(
    path: Path, limits: Limits, beat: Callable[[], None] = no_beat, observer: CheckObserver | None = None
) -> ZipContents:
    """Inflate, check and walk every member once, in constant memory. Return what the ZIP holds.

    `beat` is called every few MiB to renew the heartbeat. `observer` is told of every member, in the thread that calls.
    Raise `Unusable` if the ZIP holds no usable study.
    """
    with path.open("rb", buffering=0) as file:
        fd = file.fileno()
        directory = find_directory(fd)
        totals = refuse_unfit(fd, directory, limits, beat)
        reading = ZipReading(fd, directory, limits, beat, observer)
        allowances = Allowances.of(limits, totals.packed, beat)
        threads = threads_for(totals)
        with OrderedThreads(threads, beat) as readers, OrderedThreads(min(threads, 1), beat) as digester:
            digest = FollowingDigest(fd, digester)
            wanted = _noted(members(fd, directory), digest)
            for found in read_members(fd, wanted, allowances, readers, beat):
                reading.add(found)
            return reading.contents(digest.hexdigest)


def _noted(wanted: Iterator[Member], digest: FollowingDigest) -> Iterator[Member]:
    """Yield the members, and have each digested while it is read."""
    for member in wanted:
        digest.follow(member.start + member.packed)
        yield member


def threads_for(totals: Totals) -> int:
    """Return how many threads read the members of such a ZIP. If there are any, one more digests it."""
    worth = totals.packed >= max(_THREADS_FROM, totals.members * _THREADS_FROM_MEMBER)
    return usable_threads() if worth else 0


def write_clean(
    source: Path,
    instances: Iterable[Instance],
    target: Path,
    beat: Callable[[], None] = no_beat,
    wide_from: int = FULL_32,
) -> None:
    """Write a ZIP that holds only these members of `source`, named by their SOP Instance UID (F73).

    A stored or deflated member is copied as it is packed, and also inflated to check that it is still what was
    recorded. Any other member is deflated. `target` is written completely and durably or not at all, with the same
    bytes each time. Raise `Undecided` if the source has changed, and `OSError` if a disk is full or fails: one that
    is about the target names its path. `wide_from`: see `ZipWriter`.
    """
    wanted = {instance.member: instance for instance in instances}
    threads = min(threads_for(Totals(len(wanted), sum(one.size for one in wanted.values()))), _COPYING_THREADS)
    temporary = target.with_name(f".{target.name}.part")
    try:
        with source.open("rb", buffering=0) as packed, durably_written(temporary) as file:
            writer = ZipWriter(file, wide_from)
            with OrderedThreads(threads, beat) as readers:
                copy_members(packed.fileno(), wanted, writer, readers, beat)
            writer.finish()
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    with naming(target.parent):
        sync_folder(target.parent)
