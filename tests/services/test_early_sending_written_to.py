"""Somebody writes to a large ZIP while it is sent: nothing of what was never checked is archived, or stays untold."""

from __future__ import annotations

import os
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path

import pytest

from tests.services.early_desk import IMAGES, Desk, Members, at, image
from tests.station import Station, Time
from xnat_watchd.core.ports import UPLOAD_PIECE
from xnat_watchd.sandbox import Sandbox


def stored(members: Members) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def of_study(study: int, name: str, patient: str) -> bytes:
    return stored([(f"{n}.dcm", image(n, study=study, name=name, patient=patient)) for n in range(1, IMAGES + 1)])


OURS, THEIRS = of_study(1, "Quoll^One", "ZQ-1"), of_study(2, "Other^Two", "ZQ-2")


def overwritten(path: Path) -> None:
    """Write the other patient's images over all that was not sent yet, and give the file its time back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(UPLOAD_PIECE)
        file.write(THEIRS[UPLOAD_PIECE:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(THEIRS)


def replaced(path: Path) -> None:
    other = path.with_name("other.part")
    other.write_bytes(THEIRS)
    other.replace(path)


def cut_short(path: Path) -> None:
    os.truncate(path, UPLOAD_PIECE)


HOW: dict[str, Callable[[Path], None]] = {
    "overwritten": overwritten, "grown": grown, "replaced": replaced, "cut short": cut_short,
}  # fmt: skip


@pytest.fixture
def desk(quick_path: Path) -> Iterator[Desk]:
    assert len(OURS) == len(THEIRS)
    time = Time()
    with Sandbox(quick_path / "xnat", "1.8", users={"tech": "secret"}, projects=["P1"], clock=time.now) as xnat:
        one = Desk(quick_path / "station", xnat, time)
        yield one
        one.server.close()


def archived_of(content: bytes, folder: Path) -> Counter[str]:
    """Return what an XNAT archives if a ZIP comes so, and is sent once it is checked."""
    time = Time()
    with Sandbox(folder / "xnat", "1.8", users={"tech": "secret"}, projects=["P1"], clock=time.now) as xnat:
        desk = Desk(folder / "station", xnat, time)
        station = desk.station(early=False)
        station.drop("scan.zip", content)
        desk.live(station)
        desk.server.close()
        return desk.archived()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("when", ["amid the check", "once it is checked", "once it is recorded"])
def test_what_was_never_checked_is_not_archived_nor_left(desk: Desk, quick_path: Path, how: str, when: str) -> None:
    made: list[Station] = []

    def write() -> None:
        path = made[0].folders.work / "1.zip"
        if path.exists():
            HOW[how](path)

    if when == "amid the check":
        desk.amid = write
    moment = {"once it is checked": "after zip.open", "once it is recorded": "after ledger.deliveries.record"}
    made.append(desk.station(at(moment.get(when, ""), write)))
    made[0].drop("scan.zip", OURS)
    desk.live(made[0])
    assert max(desk.sent) >= UPLOAD_PIECE
    for seed in (2, 3):
        desk.live(desk.station(early=False, seed=seed))
    copy = quick_path / "copy.zip"
    copy.write_bytes(OURS)
    HOW[how](copy)
    assert desk.archived() == archived_of(copy.read_bytes(), quick_path / "other")
    assert all(len(of) == 1 for of in sessions(desk).values())
    last = desk.station(early=False, seed=4)
    told = [row["why"] for row in last.ledger.views.attention()]
    last.close()
    assert desk.xnat.rows("P1") == [] or "what lies at a place of ours in XNAT is not proved to be ours" in told


def sessions(desk: Desk) -> Mapping[str, set[str]]:
    """Return the studies that lie in each session of XNAT's archive."""
    found = defaultdict[str, set[str]](set)
    for one in desk.xnat.instances():
        found[one.where].add(one.study_uid)
    return found
