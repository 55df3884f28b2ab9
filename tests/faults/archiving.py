"""Faults of archiving and after it: conflicts, locks, jobs that outlive their answer, headers of others."""

from __future__ import annotations

from functools import partial

from tests.faults.fault import ARCHIVE, NEW, OLD, Fault, Zips, a_study
from tests.faults.rows import LOOKS
from tests.faults.scene import Scene, Setting
from xnat_watchd.core.delivery import Place
from xnat_watchd.sandbox.samples import study, write_zip

OTHERS = Place("P1", "20251231_235959999", "others")
LABEL = "Quastenflosser_Ingeborgine_20240301T101112_MR"
TAKEN = "held: XNAT holds (something else under this label|this study as another kind of session)"
AT_WORK = "XNAT (answered 409 to archiving in project P1|is still at work on the session of this label)"
BROKE = "postponed: the connection to XNAT broke"
AWAY = "returned: XNAT cannot be reached"
DIED_AT_IT = "postponed: XNAT has been archiving it since the answer was lost, and may have died meanwhile"
OTHER_HEADER = "the header dump was another session's"
MEANINGS = {
    "the label is used": "Session already exists, retry with overwrite enabled",
    "the files are there": "Session already exists with matching files.",
    "the UID is another": "Invalid modification of session UID via archive process.",
    "the subject is another": "Invalid modification of session subject via archive process.",
    "the modality is another": "Invalid modification of session modality via archive process.",
}
BUSY = {
    "an open workflow": "Session processing may already be in progress: AutoRun.",
    "a modification under way": "Concurrent modification is discouraged.",
}


def conflict(words: str, scene: Scene, _: int) -> None:
    """Refuse archiving as the dialect does: newer servers say 500, and the row says why (F193)."""
    archive = scene.xnat.faults.on("POST", "/data/services/archive")
    if scene.dialect == "1.6":
        archive.refuse(409, words)
        return
    archive.refuse(500, f"FAILED: Unable to archive: Operation Failed: {words}")
    scene.xnat.faults.on("GET", LOOKS).stick("CONFLICT")


def label_taken_meanwhile(scene: Scene, _: int) -> None:
    """Let somebody else archive another study under our label, in the moment before we do."""
    path = write_zip(scene.root / "others.zip", study(99, images=2, pixels=(4, 4)))
    others = scene.server.gateway()
    others.upload(OTHERS, str(path), lambda *_: None, alone=False)
    plan = scene.xnat.faults.on("POST", "/data/services/archive")
    plan.meanwhile(lambda: others.archive(OTHERS, "Quastenflosser_Ingeborgine", LABEL, join=False, pipelines=False))


def refused_twice(status: int, words: str, scene: Scene, _: int) -> None:
    scene.xnat.faults.on("POST", "/data/services/archive", times=2).refuse(status, words)


def dies(scene: Scene, number: int, *, done: bool = False) -> None:
    """Let the server die at it, and start it again a minute later."""
    scene.on(number).die_archiving(done=done)
    scene.at(number + 1, lambda: scene.down(minutes=1))


def dies_and_is_mended(scene: Scene, number: int) -> None:
    """Let its administrator set the row back later on, as the advice says."""
    dies(scene, number)

    def set_back() -> None:
        with scene.xnat._site.lock:
            (row,) = scene.xnat._site.store.rows.values()
            assert row.status == "_ARCHIVING"
            row.status = "READY"

    scene.time.after(set_back, minutes=10)


def the_locked_row_is_told(scene: Scene) -> None:
    """See that it is named until it is gone, with what its administrator must do."""
    ledger = scene.station.ledger
    (row,) = ledger.views.locked(scene.time.at)
    assert "administrator" in row["advice"]
    with scene.xnat._site.lock:
        scene.xnat._site.store.rows.clear()
    scene.time.pass_(minutes=15)
    scene.station.late.sweep()
    assert ledger.views.locked(scene.time.at) == []


def error_for_ever(scene: Scene, _: int) -> None:
    scene.always("POST", "/data/services/archive").refuse(500, "Unable to archive")
    scene.always("GET", LOOKS).stick("ERROR")


def done_between_two_questions(scene: Scene, _: int) -> None:
    """Let the job end after we asked the archive and before we ask the prearchive."""
    row = "GET /data/prearchive/projects/P1/"
    scene.when(ARCHIVE, lambda: scene.when(row, scene.xnat.wait_for_jobs, skip=1))


def another_day() -> Zips:
    return {"2.zip": a_study(2)}


def with_a_new_series() -> Zips:
    return {"2.zip": a_study(1, 2, ("MR", "MR"))}


def of_the_same_hour() -> Zips:
    return {"2.zip": study(50, images=2, pixels=(4, 4), date="20240301")}


def first() -> Zips:
    return {"1.zip": a_study()}


def archived_once(scene: Scene) -> None:
    assert scene.count(ARCHIVE) == 1


ARCHIVING = (
    Fault(
        name="archive done a minute after its answer was lost",
        at=ARCHIVE,
        strike=lambda scene, number: scene.later(scene.on(number), minutes=1),
        told=["postponed: the connection to XNAT broke"],
    ),
    Fault(
        name="server dies in mid-archive, and its administrator sets the row back",
        at=ARCHIVE,
        strike=dies_and_is_mended,
        told=[BROKE, AWAY, DIED_AT_IT],
    ),
    Fault(
        name="server dies in mid-archive, and nobody sets the row back",
        at=ARCHIVE,
        strike=dies,
        told=[BROKE, AWAY, DIED_AT_IT, f"held: XNAT did not get done with it within 0:20:00: {DIED_AT_IT[11:]}"],
        held=True,
        leaves={"prearchive": 2},
    ),
    Fault(
        name="server dies when it has archived, and the row stays locked",
        at=ARCHIVE,
        strike=partial(dies, done=True),
        told=[BROKE, AWAY, "postponed: XNAT is at work on it ._ARCHIVING."],
        look=the_locked_row_is_told,
    ),
    Fault(
        name="archive time-out as 500 while the job goes on",
        dialects=NEW,
        setting=Setting(options={"archiving_takes": 0.3, "archive_timeout": 0.05}),
        strike=lambda scene, _: scene.time.after(scene.xnat.wait_for_jobs, minutes=2),
        told=["postponed: XNAT is still archiving", "postponed: XNAT is at work on it ._ARCHIVING."],
        look=archived_once,
    ),
    Fault(
        name="archive done between two questions after its time-out",
        dialects=NEW,
        setting=Setting(options={"archiving_takes": 0.5, "archive_timeout": 0.05}),
        strike=done_between_two_questions,
        told=["postponed: XNAT is still archiving"],
        look=archived_once,
    ),
    *(
        Fault(
            name=f"409 to archiving: {meaning}",
            strike=partial(conflict, words),
            told=[TAKEN],
            held=True,
            leaves={"prearchive": 2},
        )
        for meaning, words in MEANINGS.items()
    ),
    *(
        Fault(
            name=f"409 to archiving: {meaning}",
            strike=partial(conflict, words),
            told=[f"postponed: {AT_WORK}"],
        )
        for meaning, words in BUSY.items()
    ),
    Fault(
        name="label taken by another study in the last moment",
        strike=label_taken_meanwhile,
        told=[TAKEN],
        held=True,
        leaves={"archive": 2, "prearchive": 2},
    ),
    Fault(
        name="label taken by another study",
        before=first,
        zips=of_the_same_hour,
        item="2.1",
        told=["held: XNAT has another study under the label that this one would get"],
        held=True,
        leaves={"archive": 2, "prearchive": 2},
    ),
    Fault(
        name="409 to writing demographics",
        at="PUT /data/projects",
        strike=lambda scene, number: scene.on(number).refuse(409, "Specified label is already in use."),
        told=["held: XNAT answered 409 to writing a subject in project P1"],
        held=True,
    ),
    Fault(
        name="423 to archiving",
        strike=partial(refused_twice, 423, "Duplicate archive attempt.  Preachive session already archiving."),
        told=["postponed: XNAT answered 423 to archiving in project P1"],
    ),
    Fault(
        name="403 to archiving: the row is locked",
        strike=partial(refused_twice, 403, "Operation already in progress on this prearchive entry."),
        told=["postponed: XNAT answered 403 to archiving in project P1"],
    ),
    Fault(
        name="404 to archiving",
        strike=partial(refused_twice, 404, "not found"),
        told=["postponed: XNAT answered 404 to archiving in project P1"],
    ),
    Fault(
        name="archive fails twice",
        strike=partial(refused_twice, 500, "Unable to archive"),
        told=["postponed: XNAT failed while archiving"],
    ),
    Fault(
        name="archive ends in ERROR for ever",
        strike=error_for_ever,
        told=["postponed: XNAT cannot archive the session", "held: XNAT cannot archive the session"],
        held=True,
        leaves={"prearchive": 2},
    ),
    Fault(
        name="AutoRun open for a while",
        setting=Setting(options={"pipelines_take": 600.0}),
        before=first,
        zips=with_a_new_series,
        item="2.1",
        told=[f"postponed: {AT_WORK}"],
    ),
    Fault(
        name="AutoRun open for ever",
        dialects=OLD,
        setting=Setting(options={"pipelines_take": 1e9}),
        before=first,
        zips=with_a_new_series,
        item="2.1",
        told=[f"postponed: {AT_WORK}", f"held: XNAT did not get done with it within 0:20:00: {AT_WORK}"],
        held=True,
        leaves={"archive": 2, "prearchive": 2},
    ),
    Fault(
        name="header dump of another study",
        before=first,
        zips=another_day,
        item="2.1",
        strike=lambda scene, _: scene.xnat.faults.on("GET", "dicomdump").cross_talk(),
        told=[f"postponed: {OTHER_HEADER}"],
    ),
    Fault(
        name="header dumps of another study for ever",
        dialects=NEW,
        before=first,
        zips=another_day,
        item="2.1",
        strike=lambda scene, _: scene.always("GET", "dicomdump").cross_talk(),
        told=[f"postponed: {OTHER_HEADER}", f"held: XNAT did not get done with it within 0:20:00: {OTHER_HEADER}"],
        held=True,
    ),
)
