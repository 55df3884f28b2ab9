"""Faults of the site: rights, projects, passwords, a full disk, and days without a server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from tests.faults.fault import BOTH, IMPORT, NEW, OLD, Fault, Zips, a_study
from tests.faults.scene import Scene, Setting

LOGIN = "PUT /data/services/auth"
NO_RIGHT = "XNAT lists no such project that this account may write to"
FULL = "XNAT answered 400 to the upload in project P1"
STILL = "postponed: the answer was lost, and what was sent may still appear"
A_NIGHT = "postponed: it is sent once more after a night: it was sent 2 times without success: .*"
IN_VAIN = "held: it was sent 3 times without success: .*"
HOURS = 4  #: that a disk is full or a right is lost
TRIALS = 2 * HOURS + 1  #: of a project whose gate opens every half hour, at most
AN_HOUR = timedelta(hours=1)
DAYS = 3  #: that the server is down


def several(count: int, folder: str = "") -> Callable[[], Zips]:
    return lambda: {f"{folder}{seed}.zip": a_study(seed) for seed in range(1, count + 1)}


def in_two_projects() -> Zips:
    return {**several(6, "P1/")(), "P2/11.zip": a_study(11), "P2/12.zip": a_study(12)}


def disk_full(scene: Scene, _: int) -> None:
    scene.always("POST", "/data/services/import").fill_disk(after=600)
    scene.time.after(scene.lift, hours=HOURS)


def disk_full_for_an_hour(scene: Scene, _: int) -> None:
    scene.always("POST", "/data/services/import").fill_disk(after=600)
    scene.time.after(scene.lift, hours=1)


def disk_full_for_days(scene: Scene, _: int) -> None:
    scene.always("POST", "/data/services/import").fill_disk(after=600)


def uploaded_three_times_at_most(scene: Scene) -> None:
    assert scene.count(IMPORT) <= 3, scene.count(IMPORT)


def each_uploaded_twice(scene: Scene) -> None:
    """See that a 400 is the study's own: a server with a full disk says of all what it says of bad bytes (F154)."""
    assert scene.count(IMPORT) == 2 * 6


def few_uploads_in_vain(scene: Scene) -> None:
    assert scene.count(IMPORT) <= 2 * 6 + TRIALS + 6, scene.count(IMPORT)


def right_lost(scene: Scene, _: int) -> None:
    scene.xnat.grant("tech", "P1", None)
    scene.time.after(lambda: scene.xnat.grant("tech", "P1", "member"), hours=HOURS)


def right_lost_for_good(scene: Scene, _: int) -> None:
    scene.xnat.grant("tech", "P1", None)


def nobody_waited_for_it(scene: Scene) -> None:
    """See that the other project's studies were done before the right came back."""
    imports = [one.at for one in scene.asked if one.line.startswith(IMPORT)]
    lost = imports[0].replace(hour=HOURS - 1)
    assert [at < lost for at in imports] == [True] * 2 + [False] * 6


def bad_password(scene: Scene, _: int) -> None:
    scene.xnat.add_user("tech", "another")
    scene.time.after(lambda: scene.xnat.add_user("tech", "secret"), days=7)


def logins_were_few(scene: Scene) -> None:
    """See that no hour of the week had more than four, as many as a site may call an attack."""
    tried = [one.at for one in scene.asked if one.line == LOGIN]
    assert len(tried) > 24
    assert all(later - earlier >= AN_HOUR for earlier, later in zip(tried, tried[4:], strict=False))


def down_for_days(scene: Scene, _: int) -> None:
    scene.down(days=DAYS)
    scene.time.after(lambda: scene.when(IMPORT, scene.another_worker_tries), days=DAYS)


def no_stampede(scene: Scene) -> None:
    """See that one study went ahead of all, and that a server that is down is asked every few minutes."""
    assert scene.others == [False]
    back = scene.asked[0].at + timedelta(days=DAYS)
    in_vain = [one for one in scene.asked if one.at < back]
    assert {one.line for one in in_vain} == {LOGIN}
    assert len(in_vain) < timedelta(days=DAYS) / timedelta(minutes=5) + 10


SITE = (
    Fault(
        name="disk full at the server for an hour, 1.6",
        dialects=OLD,
        strike=disk_full_for_an_hour,
        told=["postponed: XNAT answered 500 to the upload in project P1", STILL, A_NIGHT],
        look=uploaded_three_times_at_most,
    ),
    Fault(
        name="disk full at the server for days, 1.6",
        dialects=OLD,
        strike=disk_full_for_days,
        told=[
            "postponed: XNAT answered 500 to the upload in project P1",
            STILL,
            A_NIGHT,
            IN_VAIN,
        ],
        held=True,
        leaves={},
        look=uploaded_three_times_at_most,
    ),
    Fault(
        name="disk full at the server for hours, 1.6, and many to send",
        dialects=OLD,
        strike=disk_full,
        zips=several(6),
        item="2.1",
        told=["postponed: XNAT answered 500 to the upload in project P1"],
        look=few_uploads_in_vain,
    ),
    Fault(
        name="disk full at the server for hours",
        dialects=NEW,
        strike=disk_full,
        zips=several(6),
        item="2.1",
        told=[f"postponed: {FULL}", f"held: {FULL}"],
        held=True,
        leaves={},
        look=each_uploaded_twice,
    ),
    Fault(
        name="right lost for one project while others go on",
        setting=Setting(projects=("P1", "P2"), folders=True),
        strike=right_lost,
        zips=in_two_projects,
        told=[f"held: {NO_RIGHT}", "released: None"],
        look=nobody_waited_for_it,
    ),
    Fault(
        name="right lost with one study under way",
        strike=right_lost_for_good,
        told=[f"held: {NO_RIGHT}"],
        held=True,
        leaves={},
    ),
    Fault(
        name="project missing",
        setting=Setting(folders=True),
        zips=lambda: {"NOPE/1.zip": a_study()},
        told=[f"held: {NO_RIGHT}"],
        held=True,
        leaves={},
    ),
    Fault(
        name="bad password for a week",
        strike=bad_password,
        hours=24 * 8,
        lives=30,
        told=["returned: XNAT refuses the user or the password"],
        look=logins_were_few,
    ),
    *(
        Fault(
            name=f"server down for three days, {under_way} under way",
            dialects=dialects,
            strike=down_for_days,
            hours=24 * (DAYS + 1),
            zips=several(under_way),
            told=["returned: XNAT cannot be reached"],
            look=no_stampede,
        )
        for under_way, dialects in ((1, BOTH), (12, NEW))
    ),
)
