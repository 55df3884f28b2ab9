"""Faults of our row in the prearchive: it does not get on, or will not be built or removed."""

from __future__ import annotations

from functools import partial

from tests.faults.fault import NEW, OLD, Fault
from tests.faults.scene import Scene

LOOKS = r"^/data/prearchive/projects/P1/[^/]+/[^/?]+\?format=json$"  #: at the state of a row
XML = r"^/data/prearchive/projects/P1/[^/]+/[^/?]+\?format=xml$"
WORKING = "postponed: XNAT is at work on it .{}."
NEVER = "held: XNAT did not get done with it within 0:20:00: XNAT is at work on it .{}."
STUCK = {"RECEIVING": NEW, "BUILDING": OLD, "QUEUED_BUILDING": NEW, "QUEUED_ARCHIVING": OLD, "_ARCHIVING": NEW}


def stuck(status: str, looks: int, scene: Scene, _: int) -> None:
    """Let the row have this status. What is not built, or is moved into the archive, has no XML (F176)."""
    scene.xnat.faults.on("GET", XML).refuse(404, "there is no session XML")
    plan = scene.xnat.faults.on("GET", LOOKS, times=looks) if looks else scene.always("GET", LOOKS)
    plan.stick(status)


def short_and_locked(status: int, scene: Scene, _: int) -> None:
    """Let the row be short, so that it is given up, and locked when it is to be removed."""
    scene.xnat.faults.on("POST", "/data/services/import").lose_files()
    scene.xnat.faults.on("DELETE", "/data/prearchive", times=2).refuse(status, "the session is locked")


def broken_and_locked(status: int, scene: Scene, _: int) -> None:
    scene.xnat.faults.on("GET", XML).refuse(404, "there is no session XML")
    scene.xnat.faults.on("GET", LOOKS, times=3).stick("ERROR")
    scene.xnat.faults.on("POST", "action=build", times=2).refuse(status, "the session is locked")


def built_once(scene: Scene) -> None:
    assert [one.line.startswith("POST /data/prearchive") for one in scene.asked].count(True) == 1


ROWS = (
    *(
        Fault(name=f"row in {status} for a while", strike=partial(stuck, status, 6), told=[WORKING.format(status)])
        for status in STUCK
    ),
    *(
        Fault(
            name=f"row in {status} for ever",
            dialects=dialects,
            strike=partial(stuck, status, 0),
            told=[WORKING.format(status), NEVER.format(status)],
            held=True,
            leaves={"prearchive": 2},
        )
        for status, dialects in STUCK.items()
    ),
    Fault(name="row in ERROR until it is built", strike=partial(stuck, "ERROR", 1), look=built_once),
    Fault(name="row in ERROR for ever, and archived all the same", strike=partial(stuck, "ERROR", 0), look=built_once),
    *(
        Fault(
            name=f"{status} to removing our row",
            strike=partial(short_and_locked, status),
            told=[
                f"postponed: XNAT answered {status} to removing our prearchive row in project P1",
                "postponed: XNAT did not keep every image; sent again",
            ],
        )
        for status in (409, 423)
    ),
    *(
        Fault(
            name=f"{status} to building our row",
            strike=partial(broken_and_locked, status),
            told=[f"postponed: XNAT answered {status} to building the session in project P1"],
        )
        for status in (409, 423)
    ),
)
