"""Faults of an import, and of the row that should come of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial

from pydicom.dataset import Dataset

from tests.faults.fault import IMPORT, NEW, OLD, Fault, Zips, a_study, large, small
from tests.faults.scene import Scene, Setting
from xnat_watchd.sandbox.samples import THADDAEUS, Member, study, write_zip

MIB = 1 << 20
AWAY = "returned: XNAT cannot be reached"
HALF = 600  #: bytes of a small upload: the first of its two files, and a part of the second
OTHERS = "/prearchive/projects/P2/20260101_000010000/others"
PLACE = "/data/prearchive/projects/P1/20260101_000010000/{}\r\n"
BROKE = "postponed: the connection to XNAT broke"
TORN = f"{BROKE}( in the middle of the upload)?"
STILL = "postponed: the answer was lost, and what was sent may still appear"
AGAIN = "postponed: XNAT did not keep every image; sent again"
A_NIGHT = (
    "postponed: it is sent once more after a night: "
    "it was sent 2 times without success: XNAT did not keep every image; .*"
)
FOREIGN = "postponed: files of another import lie at our place in the prearchive; sent again to a new place"
REMAPPED = "postponed: XNAT shows other UIDs than were sent; sent again under names that prove which images they are"
EITHER = f"{FOREIGN}|{REMAPPED}"  # of a newer server nobody can tell yet which of the two it is
LEFT_OUT = "held: XNAT leaves out 1 series of images every time"
ELSEWHERE = "held: XNAT put the upload elsewhere than we asked"


def early(status: int, scene: Scene, number: int) -> None:
    scene.on(number).answer_early(status, reads_on=True)


def sending_stopped_at_once(scene: Scene) -> None:
    assert scene.sent_at_once < 16 * MIB


def asked_once(scene: Scene) -> None:
    assert scene.count(IMPORT) == 1


def says(words: str, scene: Scene, number: int) -> None:
    scene.on(number).say(words)


def refused(status: int, scene: Scene, number: int) -> None:
    scene.on(number).refuse(status, "Session already exists with matching files.")


def always_fewer(scene: Scene, _: int) -> None:
    scene.always("POST", "/data/services/import").lose_files()


def dies(leaves: int | None, scene: Scene, number: int) -> None:
    scene.on(number).die_importing(leaves)
    scene.at(number + 1, lambda: scene.down(minutes=1))


@cache
def somebody_else() -> list[Member]:
    return study(77, patient=THADDAEUS, images=2, pixels=(4, 4))


def mixed(scene: Scene, number: int) -> None:
    path = write_zip(scene.root / "other.zip", somebody_else())
    scene.on(number).mix_in(path.read_bytes())


@cache
def of_the_same_name() -> list[Member]:
    """Return another study of our patient, with the file names and numbers of ours."""
    return [(ours[0], theirs[1]) for ours, theirs in zip(a_study(1), a_study(9), strict=True)]


@cache
def of_the_same_series() -> list[Member]:
    """Return as many other images of our series, as another station has them, under the names of ours."""
    more = a_study(1, images=4)[2:]
    return [(ours[0], theirs[1]) for ours, theirs in zip(a_study(1), more, strict=True)]


@cache
def under_three_numbers() -> list[Member]:
    """Return a series of three images, each with a SeriesNumber of its own (F81)."""

    def numbered(data_set: Dataset) -> None:
        data_set.SeriesNumber = data_set.InstanceNumber

    return study(1, images=3, pixels=(4, 4), date="20240301", change=numbered)


def collides(theirs: Callable[[], list[Member]], way: str, dest: str, scene: Scene, number: int) -> None:
    """Let another client of the account import this in the same millisecond (F96)."""
    path = write_zip(scene.root / "theirs.zip", theirs())
    scene.on(number).collide(path.read_bytes(), way, dest)


def a_person_is_told_of_the_place(scene: Scene) -> None:
    """See that status names the place, and that what lies there is neither ours nor removed."""
    (row,) = (one for one in scene.station.ledger.views.attention() if one["item"] == "1.1")
    delivery = scene.station.ledger.views.delivery(1)
    assert delivery is not None
    (place,) = (one for one in delivery["studies"][0]["places"] if one["mixed"])
    assert f"/prearchive/projects/P1/{place['timestamp']}/{place['folder']}" in row["advice"]


def named_as_any_other(scene: Scene) -> None:
    """See that the session has the label that we would have given it, not our place's (F99)."""
    asked_once(scene)
    (session,) = scene.xnat.sessions("P1")
    assert session["label"] == "Quastenflosser_Ingeborgine_20240301T101112_MR"


def nobody_is_asked(scene: Scene) -> None:
    assert scene.station.ledger.views.attention() == []


def with_series(*modalities: str, images: int = 2) -> Callable[[], Zips]:
    return lambda: {"1.zip": a_study(1, images, modalities)}


def noted_as_left_out(scene: Scene) -> None:
    delivery = scene.station.ledger.views.delivery(1)
    assert delivery is not None
    assert [one["left_out"] for one in delivery["studies"][0]["series"] if one["modality"] == "SR"] == [1]


IMPORTS = (
    Fault(
        name="reset in mid-body, and nothing kept",
        at=IMPORT,
        dialects=OLD,
        zips=large,
        strike=lambda scene, number: scene.on(number).reset(after=8 * MIB),
        told=[TORN, STILL],
    ),
    Fault(
        name="reset in mid-body, and the first files kept",
        at=IMPORT,
        dialects=NEW,
        zips=large,
        strike=lambda scene, number: scene.on(number).reset(after=8 * MIB),
        told=[TORN, "postponed: XNAT is at work on it .RECEIVING.", AGAIN],
    ),
    Fault(
        name="import done a minute after its answer was lost",
        at=IMPORT,
        strike=lambda scene, number: scene.later(scene.on(number), minutes=1),
        told=[BROKE, STILL],
    ),
    Fault(
        name="import done half an hour after its answer was lost",
        at=IMPORT,
        dialects=OLD,
        setting=Setting(server={"read_timeout": 3600.0}, deadline=timedelta(hours=2)),
        strike=lambda scene, number: scene.later(scene.on(number), minutes=30),
        told=[BROKE, STILL],
    ),
    Fault(
        name="server dies in mid-import, and brings all of it back at its start",
        at=IMPORT,
        dialects=OLD,  # a newer one writes to our place itself
        strike=partial(dies, None),
        told=[BROKE, AWAY, "postponed: XNAT is at work on it .RECEIVING."],
    ),
    Fault(
        name="server dies in mid-import, and brings a part of it back at its start",
        at=IMPORT,
        dialects=OLD,  # a newer one writes to our place itself
        strike=partial(dies, 1),
        told=[BROKE, AWAY, "postponed: XNAT is at work on it .RECEIVING."],
    ),
    Fault(
        name="413 while we still send",
        at=IMPORT,
        zips=large,
        strike=partial(early, 413),
        told=["held: XNAT answered 413 to the upload in project P1"],
        held=True,
        leaves={},
        look=sending_stopped_at_once,
    ),
    Fault(
        name="401 while we still send",
        at=IMPORT,
        zips=large,
        strike=partial(early, 401),
        told=["postponed: the login was lost during the upload"],
        look=sending_stopped_at_once,
    ),
    Fault(
        name="slow reader",
        at=IMPORT,
        zips=large,
        setting=Setting(slowest_piece=1.5, server={"connect_timeout": 1.5}),
        strike=lambda scene, number: scene.on(number).read_slowly(0.1),
        look=asked_once,
    ),
    Fault(
        name="stalled reader",
        at=IMPORT,
        zips=large,
        setting=Setting(slowest_piece=0.5, server={"connect_timeout": 0.5}),
        strike=lambda scene, number: scene.on(number).read_slowly(600),
        told=[TORN, STILL],
    ),
    Fault(
        name="import answer with two lines",
        at=IMPORT,
        strike=partial(says, PLACE.format("ours") + PLACE.format("and-another")),
        told=[ELSEWHERE],
        held=True,
        leaves={"prearchive": 2},
        look=asked_once,
    ),
    Fault(
        name="import answer empty",
        at=IMPORT,
        strike=partial(says, ""),
        told=["postponed: XNAT took the upload and made nothing of it"],
    ),
    Fault(
        name="import answer of another place",
        at=IMPORT,
        strike=partial(says, PLACE.format("another")),
        told=[ELSEWHERE],
        held=True,
        leaves={"prearchive": 2},
        look=asked_once,
    ),
    Fault(
        name="import put into Unassigned",
        at=IMPORT,
        dialects=NEW,
        strike=lambda scene, number: scene.on(number).meanwhile(lambda: scene.xnat.grant("tech", "P1", None)),
        told=["held: XNAT put the upload into Unassigned"],
        held=True,
        leaves={"unassigned": 2},
        look=asked_once,
    ),
    Fault(
        name="fewer files than sent",
        at=IMPORT,
        strike=lambda scene, number: scene.on(number).lose_files(),
        told=[AGAIN],
    ),
    Fault(
        name="fewer files than sent, for ever",
        strike=always_fewer,
        told=[AGAIN, A_NIGHT, "held: it was sent 3 times without success: XNAT did not keep every image; sent again"],
        held=True,
        leaves={},
    ),
    Fault(
        name="a whole series of images lost, for ever",
        zips=with_series("MR", "MR", images=1),
        strike=always_fewer,
        told=[AGAIN, LEFT_OUT],
        held=True,
        leaves={},
    ),
    Fault(
        name="import answered, and nothing kept",
        at=IMPORT,
        strike=lambda scene, number: scene.on(number).lose_row(),
        told=["postponed: XNAT took it and does not list it yet", STILL],
    ),
    Fault(
        name="files of another study mixed in",
        at=IMPORT,
        strike=mixed,
        told=[FOREIGN],
        leaves={"archive": 2, "prearchive": 4},  # the mixed row is for a person
    ),
    Fault(
        name="image series left out",
        setting=Setting(options={"left_out_series": "CT"}),
        zips=with_series("MR", "CT"),
        told=[AGAIN, LEFT_OUT],
        held=True,
        leaves={},
    ),
    Fault(
        name="report series left out",
        setting=Setting(options={"left_out_series": "SR"}),
        zips=with_series("MR", "SR"),
        told=[AGAIN],
        leaves={"archive": 2},
        look=noted_as_left_out,
    ),
    Fault(
        name="site that remaps UIDs",
        dialects=NEW,
        setting=Setting(options={"remaps_uids": True}),
        told=[REMAPPED],
        leaves={"archive": 2},  # and no second row of it in the prearchive
        look=nobody_is_asked,
    ),
    Fault(
        name="second study of a site that remaps UIDs",
        dialects=NEW,
        setting=Setting(options={"remaps_uids": True}),
        before=small,
        zips=lambda: {"2.zip": a_study(2)},
        item="2.1",
        leaves={"archive": 4},
    ),
    Fault(
        name="another client's study at our place in the stead of ours",
        at=IMPORT,
        strike=partial(collides, of_the_same_name, "replace", ""),
        told=[EITHER],
        leaves={"archive": 2, "prearchive": 2},
        look=a_person_is_told_of_the_place,
    ),
    Fault(
        name="our study exchanged with another project's",
        at=IMPORT,
        setting=Setting(projects=("P1", "P2")),
        strike=partial(collides, of_the_same_name, "swap", OTHERS),
        told=[EITHER],
        leaves={"archive": 2, "prearchive": 4},  # theirs at ours, and ours at theirs
        look=a_person_is_told_of_the_place,
    ),
    Fault(
        name="the other half of the series at our place in the stead of ours",
        at=IMPORT,
        dialects=OLD,
        strike=partial(collides, of_the_same_series, "replace", ""),
        told=[FOREIGN],
        leaves={"archive": 2, "prearchive": 2},
        look=a_person_is_told_of_the_place,
    ),
    Fault(
        name="one series under three numbers",
        dialects=OLD,
        zips=lambda: {"1.zip": under_three_numbers()},
        look=nobody_is_asked,
    ),
    Fault(name="auto-archive project", setting=Setting(code=4)),
    Fault(
        name="auto-archive project that archives anyway",
        dialects=NEW,
        setting=Setting(code=4, options={"archives_anyway": True}),
        told=["postponed: XNAT has archived the upload by itself"],
        look=named_as_any_other,
    ),
    Fault(
        name="disk full at the server for one import",
        at=IMPORT,
        dialects=OLD,
        strike=lambda scene, number: scene.on(number).fill_disk(after=HALF),
        told=["postponed: XNAT answered 500 to the upload in project P1", STILL],
    ),
    Fault(
        name="disk full at the server after half an import",
        at=IMPORT,
        dialects=NEW,
        strike=lambda scene, number: scene.on(number).fill_disk(after=HALF),
        told=["postponed: XNAT answered 400 to the upload in project P1"],
    ),
    Fault(
        name="half an import left as ERROR",
        at=IMPORT,
        dialects=NEW,
        setting=Setting(options={"marks_failed_imports": True}),
        strike=lambda scene, number: scene.on(number).fill_disk(after=HALF),
        told=["postponed: XNAT answered 400 to the upload in project P1"],
    ),
    Fault(
        name="409 to an import",
        at=IMPORT,
        strike=partial(refused, 409),
        told=["postponed: XNAT took it and does not list it yet", STILL],
    ),
    Fault(
        name="423 to an import",
        at=IMPORT,
        strike=partial(refused, 423),
        told=["postponed: XNAT answered 423 to the upload in project P1", STILL],
    ),
)
