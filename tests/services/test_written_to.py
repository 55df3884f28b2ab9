"""ZIPs that others write to after they were taken: what was judged is what is sent, and what is kept.

A real disk and real handles that stay open. The kernel tells root of a writer: here it does not, as it does not tell a
service that is another user than the one who dropped the file.
"""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import instance
from tests.services.desk import Around, Desk, Small, scan, states, whole
from tests.station import Station, zipped
from xnat_watchd.adapters.files import copying, disk
from xnat_watchd.core.errors import InDoubt, Stopped

A, B = scan(1), scan(2)  #: two patients' studies in as many bytes
Write = Callable[[Path, bytes], None]


@pytest.fixture(params=["1.6", "1.8"])
def desk(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    assert len(A) == len(B)
    monkeypatch.setattr(disk, "_is_written_to", lambda _: False)
    one = Desk(tmp_path)
    one.xnat.dialect = request.param
    yield one
    one.close()


def at(part: str, wrap: Callable[[Any], Any]) -> Around:
    return lambda name, thing: wrap(thing) if name == part else thing


def written(path: Path, data: bytes) -> None:
    """Write over a file from its beginning, and give it the time back that it had."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def stored(path: Path, data: bytes) -> None:
    """Do the same through a mapping."""
    before = path.stat()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[: len(data)] = data
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def taken(desk: Desk, around: Around = lambda _, thing: thing) -> Station:
    station = desk.station(around)
    station.drop("scan.zip", A)
    station.take_in()
    assert states(station) == {"taken": 1}
    return station


def settled(station: Station) -> list[str]:
    """Work, and take what comes back, until nothing moves any more; give what lies where."""
    for _ in range(4):
        station.work()
        station.take_in()
    return [name for name in station.files() if name.endswith(".zip")]


class Meddling:
    """A gateway during whose first upload, when the ZIP was read, somebody writes to the one that came.

    The older dialect is sent a clean copy of ours, to which nobody writes.
    """

    def __init__(self, gateway: Any, meddle: Callable[[Path], None]) -> None:
        self._gateway, self._meddle = gateway, meddle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    def upload(self, place: Any, zip_path: str, progressed: Any, *, alone: bool) -> None:
        meddle, self._meddle = self._meddle, lambda _: None
        with suppress(InDoubt):
            self._gateway.upload(place, zip_path, progressed, alone=alone)
        meddle(Path(zip_path).with_name("1.zip"))


# -- before, during and after sending ----------------------------------------------------------------------


@pytest.mark.parametrize("write", [written, stored], ids=["written", "mapped"])
def test_what_is_written_after_a_zip_was_opened_is_judged_before_it_is_sent(desk: Desk, write: Write) -> None:
    station = taken(desk)
    write(station.folders.work / "1.zip", B)
    assert settled(station) == ["done/2026-01/2_scan.zip"]
    assert desk.archived() == whole(2)
    assert len([one for one in desk.xnat.requests if one.startswith("upload")]) == 1  # nothing unjudged was sent
    assert station.standings() == [("1.1", "received", "skipped"), ("2.1", "complete", "done")]
    assert station.ledger.views.attention() == []


def test_what_is_written_while_a_zip_is_sent_makes_its_place_be_given_up(desk: Desk) -> None:
    station = taken(desk, at("gateway", lambda real: Meddling(real, lambda path: written(path, B))))
    assert settled(station) == ["done/2026-01/2_scan.zip"]
    copied = whole(1) if desk.xnat.dialect == "1.6" else whole(0, 0)
    assert desk.archived() == copied + whole(2)  # and nothing is left in the prearchive


def test_what_held_other_bytes_only_while_it_was_sent_is_sent_again(desk: Desk) -> None:
    def there_and_back(path: Path) -> None:
        written(path, B)
        written(path, A)

    station = taken(desk, at("gateway", lambda real: Meddling(real, there_and_back)))
    assert settled(station) == ["done/2026-01/1_scan.zip"]
    assert desk.archived() == whole(1)
    assert len([one for one in desk.xnat.requests if one.startswith("upload")]) == 1 + (desk.xnat.dialect == "1.8")


def test_what_is_written_before_a_killed_service_comes_back_makes_its_place_be_given_up(desk: Desk) -> None:
    def killed(path: Path) -> None:
        written(path, B)
        written(path, A)
        raise KeyboardInterrupt

    station = taken(desk, at("gateway", lambda real: Meddling(real, killed)))
    with pytest.raises(KeyboardInterrupt):
        station.work()
    assert settled(desk.station()) == ["done/2026-01/1_scan.zip"]
    assert desk.archived() == whole(1)
    assert len([one for one in desk.xnat.requests if one.startswith("upload")]) == 1 + (desk.xnat.dialect == "1.8")


def test_what_is_written_after_a_zip_was_sent_comes_as_another_and_the_sent_one_stays(desk: Desk) -> None:
    station = taken(desk)
    station.pipeline.step()
    assert station.standings() == [("1.1", "uploaded", "ready")]
    written(station.folders.work / "1.zip", B)
    assert settled(station) == ["done/2026-01/2_scan.zip"]
    assert desk.archived() == whole(1) + whole(2)


@pytest.mark.parametrize("write", [written, stored], ids=["written", "mapped"])
def test_what_is_written_to_a_zip_that_has_just_come_to_rest_comes_as_another(desk: Desk, write: Write) -> None:
    station = taken(desk)
    assert settled(station) == ["done/2026-01/1_scan.zip"]
    write(station.folders.done / "2026-01/1_scan.zip", B)

    station.take_in()

    assert settled(station) == ["done/2026-01/2_scan.zip"]
    assert desk.archived() == whole(1) + whole(2)
    assert station.standings() == [("1.1", "complete", "done"), ("2.1", "complete", "done")]


def test_what_came_to_rest_is_not_read_again_and_only_for_an_hour_looked_at(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = taken(desk)
    station.work()
    station.pipeline.retire()
    monkeypatch.setattr(disk.Disk, "digest", lambda *_: pytest.fail("it was read again"))
    station.take_in()

    assert [one.delivery for one in station.ledger.overwrites.watched(desk.time.now())] == [1]
    desk.time.pass_(hours=1, seconds=1)
    assert station.ledger.overwrites.watched(desk.time.now()) == []


def test_a_clean_copy_is_made_of_what_was_judged_alone(desk: Desk) -> None:
    """One with clutter is written anew; while it is read, somebody writes to the ZIP and takes it back."""
    cluttered = zipped([("readme.txt", b"read me"), ("1.dcm", instance(1, 1, 1, time="100130"))])
    other = zipped([("readme.txt", b"read me"), ("1.dcm", instance(1, 1, 1, time="100130", pixels=b"\2" * 512))])
    calls: list[Path] = []

    def meddle(real: Any) -> Callable[..., None]:
        def write(source: Path, *rest: Any) -> None:
            real(source, *rest)
            if not calls:
                written(source, other[: len(cluttered)].ljust(len(cluttered), b"\0"))
                written(source, cluttered)
            calls.append(source)

        return write

    station = desk.station(at("zip.write", meddle))
    station.drop("scan.zip", cluttered)
    station.take_in()
    assert settled(station) == ["done/2026-01/1_scan.zip"]
    assert (desk.archived(), len(calls)) == (whole(images=1), 2)


# -- what needs no second judgement ------------------------------------------------------------------------


def test_other_rights_other_owners_and_a_restored_backup_are_no_other_bytes(desk: Desk) -> None:
    station = taken(desk)
    path = station.folders.work / "1.zip"
    shutil.copy2(path, path.with_name("restored"))
    path.with_name("restored").rename(path)
    path.chmod(0o600)
    station.intake.sweep()
    assert settled(station) == ["done/2026-01/1_scan.zip"]
    assert desk.archived() == whole(1)


def test_a_zip_that_an_older_version_took_is_known_by_its_bytes(desk: Desk) -> None:
    station = taken(desk)
    station.ledger.overwrites.stamp(1, "")
    assert settled(station) == ["done/2026-01/1_scan.zip"]
    station.drop("scan.zip", A)
    station.take_in()
    station.ledger.overwrites.stamp(2, "")
    written(station.folders.work / "2.zip", B)
    assert settled(station)[-1] == "done/2026-01/3_scan.zip"
    assert desk.archived() == whole(1) + whole(2)


def test_what_nobody_writes_to_is_read_once_to_be_judged_and_never_digested_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    digested: list[Path] = []
    monkeypatch.setattr(disk.Disk, "digest", lambda _, path: digested.append(path))
    station = taken(desk)
    station.work()
    assert desk.archived() == whole(1)
    assert digested == []


# -- verdicts do not outlast the bytes ---------------------------------------------------------------------


def test_a_zip_that_was_held_as_damaged_and_is_filled_later_is_judged_anew(desk: Desk) -> None:
    """As download managers write with several connections: full size at once, the middle last."""
    data = zipped([(f"{n}.dcm", instance(1, 1, n, time="100130", pixels=os.urandom(512))) for n in range(1, 9)])
    part = data[:2000] + bytes(len(data) - 4000) + data[-2000:]
    station = desk.station()
    station.drop("seg.zip", part)
    station.take_in()
    station.work()
    assert station.standings() == [("1.1", "received", "held")]
    written(station.folders.work / "1.zip", data)
    settled(station)
    assert desk.archived() == whole(images=8)
    assert station.ledger.views.attention() == []


def test_a_zip_of_which_no_study_came_is_judged_anew_when_it_is_written_to(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", bytes(len(A)))
    station.take_in()
    station.time.pass_(minutes=31)
    station.intake.sweep()
    assert states(station) == {"rejected": 1}
    written(station.folders.failed / "1_scan.zip", A)
    station.take_in()
    assert settled(station) == ["done/2026-01/2_scan.zip"]
    assert desk.archived() == whole(1)
    assert (station.ledger.views.attention(), list(station.folders.failed.glob("*.txt"))) == ([], [])


def test_the_same_bytes_dropped_again_are_not_forgotten_with_a_zip_that_holds_others_by_now(desk: Desk) -> None:
    station = taken(desk)
    station.drop("again.zip", A)
    station.take_in()
    assert states(station) == {"taken": 1, "duplicate": 1}
    written(station.folders.work / "1.zip", B)
    settled(station)
    assert desk.archived() == whole(1) + whole(2)


def test_the_same_bytes_dropped_while_a_changed_zip_goes_back_are_a_delivery_of_their_own(desk: Desk) -> None:
    station = taken(desk)
    written(station.folders.work / "1.zip", B)
    station.intake.sweep()  # it is known to have changed, and lies in work until its study has ended
    station.drop("again.zip", A)
    station.take_in()
    settled(station)
    assert desk.archived() == whole(1) + whole(2)


def test_one_that_went_back_cannot_be_sent_again_under_its_old_number(desk: Desk) -> None:
    station = taken(desk)
    written(station.folders.work / "1.zip", B)
    settled(station)
    with pytest.raises(Exception, match="went back to the drop folder"):
        station.ledger.decisions.resend(1, "", station.time.now())


# -- where the file system does not tell -------------------------------------------------------------------


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a file system that sets no times when a program writes through a memory mapping."""
    small = Small(tmp_path / "memory")
    yield small.path
    small.unmount()


WRITER = """
import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
memory = mmap.mmap(file, 0)
memory[0] = memory[0]  # a first store: the page is dirty, and no later one is noticed
print("ready", flush=True)
while data := sys.stdin.buffer.readline():
    data = bytes.fromhex(data.decode())
    seen = os.stat(file)
    memory[: len(data)] = data
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    print("written", flush=True)
"""


class Somebody:
    """Another user of this machine, who has a file of his mapped and writes into it when told to."""

    def __init__(self, path: Path) -> None:
        os.chown(path, 65534, 65534)
        path.chmod(0o664)
        self._process = subprocess.Popen(  # noqa: S603 - a program of our own
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", WRITER, str(path)],  # noqa: S607 - of the system
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._hear()

    def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{data.hex()}\n")
        self._process.stdin.flush()
        self._hear()

    def end(self) -> None:
        self._process.communicate(timeout=20)

    def _hear(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline()


@pytest.fixture
def somebody() -> Iterator[Callable[[Path], Somebody]]:
    if os.geteuid() or shutil.which("setpriv") is None:
        pytest.skip("to be somebody else needs root and setpriv")
    there: list[Somebody] = []

    def come(path: Path) -> Somebody:
        there.append(Somebody(path))
        return there[-1]

    yield come
    for one in there:
        one.end()


@pytest.fixture
def open_root() -> Iterator[Path]:
    """Yield a folder that other users may search."""
    with tempfile.TemporaryDirectory(prefix="watchd-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("dialect", ["1.6", "1.8"])
@pytest.mark.parametrize("tells", [True, False], ids=["disk", "tmpfs"])
def test_another_user_who_has_it_mapped_changes_nothing_that_is_sent_or_kept(
    open_root: Path,
    somebody: Callable[[Path], Somebody],
    monkeypatch: pytest.MonkeyPatch,
    dialect: Any,
    tells: bool,  # noqa: FBT001 - a case
) -> None:
    monkeypatch.setattr(disk, "_is_written_to", lambda _: False)
    root, small = open_root / "root", None
    if tells:
        root.mkdir()
    else:
        small = Small(root)
    desk = Desk(root)
    desk.xnat.dialect = dialect
    try:
        station = desk.station()
        other = somebody(station.drop("scan.zip", A))
        station.take_in()
        other.write(B)
        rested = settled(station)
        judged = {"1": A, "2": B, "3": B}[rested[0].rpartition("/")[2][0]]
        assert desk.archived() == (whole(1) if judged is A else whole(2))
        assert (root / rested[0]).read_bytes() == judged
        assert (judged is B) == tells  # where nobody tells, a copy of ours was judged
    finally:
        desk.close()
        if small is not None:
            small.unmount()


def test_a_copy_that_is_ours_alone_is_judged_where_a_mapping_would_hide_a_write(desk: Desk, memory: Path) -> None:
    for name in ("work", "drop"):
        (memory / name).mkdir()
        (desk.root / name).symlink_to(memory / name)
    station = desk.station()
    path = station.drop("scan.zip", A)
    path.chmod(0o664)  # the group may write
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as page:
        station.take_in()
        assert states(station) == {"taken": 1}
        page[: len(B)] = B
        assert settled(station) == ["done/2026-01/1_scan.zip"]
    assert desk.archived() == whole(1)
    assert not (desk.root / "done/2026-01/1_scan.zip").stat().st_mode & 0o022


# -- over a border -----------------------------------------------------------------------------------------


def test_what_is_written_while_a_zip_is_copied_to_its_rest_does_not_rest_there(
    desk: Desk, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = taken(desk)
    station.folders.done.rmdir()
    station.folders.done.symlink_to(memory)
    copy = copying.copy

    def meddling(source: Path, target: Path, beat: Any) -> None:
        if target.is_relative_to(desk.root / "done"):
            written(source, B)
        copy(source, target, beat)

    monkeypatch.setattr(disk, "copy", meddling)
    with suppress(OSError):
        station.work()
    monkeypatch.setattr(disk, "copy", copy)
    settled(station)
    assert desk.archived() == whole(1) + whole(2)
    assert [one.read_bytes() for one in memory.rglob("*.zip")] == [B]


# -- time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["copy", "digest", "compare"])
def test_every_loop_over_bytes_stops_when_it_is_told_to(tmp_path: Path, act: str) -> None:
    beats: list[str] = []

    def beat() -> None:
        beats.append(act)
        if len(beats) == 2:
            raise Stopped("told to stop")

    big = tmp_path / "big.zip"
    with big.open("wb") as file:
        file.truncate(1 << 30)
    acts: dict[str, Callable[[], object]] = {
        "copy": lambda: copying.copy(big, tmp_path / "copy.zip", beat),
        "digest": lambda: copying.digest(big, beat),
        "compare": lambda: copying.same(big, big, beat),
    }
    with pytest.raises(Stopped):
        acts[act]()
    assert [one.name for one in tmp_path.iterdir()] == ["big.zip"]
