"""Kill the service before and after every call that it makes on XNAT, the ledger and the shares folder; start it again.

Whatever the moment, everything is shared, nothing is asked for that the server shows, what a person took back
stays away, and the report tells it as it is.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.fake_shares import FakeArchive, FakeSharing
from tests.saboteur import Crash, Saboteur
from tests.share_desk import Desk
from tests.station import Time
from xnat_watchd.core.errors import InDoubt

ROWS = ("S1,P1,P2", "S2,P1,P2", "S3,P1,P2")
WANTED = ["S1", "S1_MR", "S3", "S3_CT", "S3_MR"]


def lives(root: Path, xnat: FakeArchive, time: Time, saboteur: Saboteur, turns: int) -> None:
    """Let the service live once, for so many turns or until it is killed."""
    desk = Desk(root, FakeSharing(xnat), time, around=saboteur.around, seed=turns)
    try:
        desk.settle()
        for _ in range(turns):
            desk.later(minutes=20)
    except Crash:
        pass
    finally:
        desk.close()


def stage(root: Path, late: timedelta) -> tuple[Time, FakeArchive]:
    """Return an XNAT where S2 was shared by the table and is no longer, and S3 has just come."""
    time = Time()
    xnat = FakeArchive(time)
    xnat.subject("P1", "S1", ["S1_MR"])
    taken = xnat.subject("P1", "S2", ["S2_MR"])
    xnat.projects["P2"] = True
    desk = Desk(root, FakeSharing(xnat), time)
    desk.save(*ROWS)
    desk.settle()
    desk.close()
    del xnat.subjects["X_S1"].labels["P2"]  # as if only S2 had ever been shared
    del xnat.sessions["X_E1"].labels["P2"]
    desk = Desk(root, FakeSharing(xnat), time)
    with desk.ledger.shares._db.change() as db:
        db.execute("DELETE FROM shares WHERE id IN ('X_S1', 'X_E1')")
    desk.close()
    xnat.take_back(taken, "P2")
    xnat.subject("P1", "S3", ["S3_CT", "S3_MR"])
    xnat.delay = late
    xnat.made.clear()
    xnat.after["share"] = [InDoubt("XNAT did not answer in time")]
    return time, xnat


def life(root: Path, at: int, late: timedelta) -> Saboteur:
    """Kill once, start again; check what must be true whenever it was."""
    time, xnat = stage(root, late)
    saboteur = Saboteur(at)
    lives(root, xnat, time, saboteur, turns=2)
    lives(root, xnat, time, Saboteur(), turns=4)
    told = f"killed {saboteur.fired or 'never'} (moment {at})"
    assert xnat.labels("P2") == WANTED, told
    assert set(xnat.made.values()) == {1}, told
    assert not xnat.relabelled, told
    assert not xnat.orphans, told
    desk = Desk(root, FakeSharing(xnat), time)
    try:
        assert desk.states() == ["shared", "removed by someone", "shared"], told
        shares = desk.ledger.shares.all(["P2"])
        assert {key[1]: share.fate.value for key, share in shares.items()} == {
            "X_S1": "made", "X_E1": "made", "X_S2": "removed", "X_E2": "removed",
            "X_S3": "made", "X_E3": "made", "X_E4": "made",
        }, told  # fmt: skip
        assert sorted(path.name for path in desk.folder.iterdir()) == ["table.csv", "table.report.csv"], told
    finally:
        desk.close()
    return saboteur


@pytest.mark.parametrize(
    "late",
    [
        pytest.param(timedelta(0), id="at-once"),
        pytest.param(timedelta(seconds=20), id="late", marks=pytest.mark.thorough),
    ],
)
def test_a_kill_at_any_moment_repeats_nothing_wrongly(quick_path: Path, late: timedelta) -> None:
    calm = life(quick_path / "calm", 0, late)
    assert calm.moments > 60
    for at in range(1, calm.moments + 1):
        saboteur = life(quick_path / str(at), at, late)
        assert saboteur.fired, f"moment {at} of {calm.moments} never came"


def test_a_share_that_was_made_just_before_a_kill_and_taken_back_later_stays_away(quick_path: Path) -> None:
    time = Time()
    xnat = FakeArchive(time)
    subject = xnat.subject("P1", "S1")
    xnat.projects["P2"] = True
    desk = Desk(quick_path, FakeSharing(xnat), time)
    desk.save("S1,P1,P2")
    desk.close()
    at = next(at for at in range(1, 200) if killed_after_share(quick_path, xnat, time, at))
    assert at
    assert xnat.labels("P2") == ["S1"]
    lives(quick_path, xnat, time, Saboteur(), turns=0)
    xnat.take_back(subject, "P2")
    lives(quick_path, xnat, time, Saboteur(), turns=3)
    assert xnat.labels("P2") == []


def killed_after_share(root: Path, xnat: FakeArchive, time: Time, at: int) -> bool:
    saboteur = Saboteur(at)
    lives(root, xnat, time, saboteur, turns=0)
    return saboteur.fired == "after gateway.share"
