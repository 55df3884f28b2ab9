"""What happens between the commands of a page: each by the words in which the page's comment names it."""

from __future__ import annotations

from collections.abc import Callable
from zipfile import ZIP_STORED

from tests.docs.stage import LOGIN, SETTINGS, Stage, is_full
from tests.others import restored_without
from tests.postgres.databases import cluster
from xnat_watchd.sandbox.samples import INGEBORG, THADDAEUS, Patient, damage, study, uid, write_zip

Happening = Callable[[Stage], None]
DATABASE = "postgresql://db.example.org/xnat_watchd"  #: of all workstations
NEW_PASSWORD = "another secret"


def _exported(name: str, seed: int, **about: object) -> Happening:
    """Return what puts a ZIP with one study beside whoever types."""
    return lambda stage: _write(stage, name, seed, **about)


def _write(stage: Stage, name: str, seed: int, **about: object) -> None:
    stage.home.joinpath(name).parent.mkdir(exist_ok=True)
    write_zip(stage.home / name, study(seed, **about))  # type: ignore[arg-type]  # as `study` has them


def _service_runs(stage: Stage) -> None:
    stage.log_in()
    stage.start()


def _folders_name_projects(stage: Stage) -> None:
    stage.write(SETTINGS.replace('project = "MYPROJECT"\n', ""))
    for name in ("BRAIN", "BRIAN"):
        (stage.root / "drop" / name).mkdir()


def _damaged(name: str, seed: int, date: str) -> Happening:
    """Return what puts a damaged ZIP beside whoever types, and a whole one of the same study."""

    def happen(stage: Stage) -> None:
        members = study(seed, patient=THADDAEUS, modalities=("CR",), images=5, date=date, pixels=(128, 128))
        write_zip(stage.home / f"{name}_again.zip", members)
        damage(write_zip(stage.home / f"{name}.zip", members, method=ZIP_STORED))

    return happen


def _two_in_one(stage: Stage) -> None:
    first, second = study(13, patient=THADDAEUS), study(13, patient=INGEBORG, images=4)
    write_zip(stage.home / "both.zip", [*first, second[-1]])


def _password_changed(stage: Stage) -> None:
    stage.wait_for_an_answer()
    stage.xnat.add_user(LOGIN[0], NEW_PASSWORD)
    stage.xnat.forget_logins()


def _two_people(stage: Stage) -> None:
    stage.write(SETTINGS + '\n[labels]\nsubject = "{{PatientID}}"\n')
    other = Patient(name="Zwickelbeyn^Theodora", id=THADDAEUS.id, birth_date="19910101", age="033Y", sex="F")
    _write(stage, "first.zip", 11, patient=THADDAEUS)
    _write(stage, "second.zip", 12, patient=other)


def _anonymised(stage: Stage) -> None:
    nobody = Patient(name="ANON^042", id="042", birth_date="", age="", sex="F")
    _write(stage, "brain.zip", 21)
    _write(stage, "brain_anonymised.zip", 21, patient=nobody)
    _write(stage, "brain_new_uids.zip", 22, patient=nobody)


def _full(stage: Stage) -> None:
    stage.write(SETTINGS.replace('"1MB"', '"900TB"'))


def _room(stage: Stage) -> None:
    stage.write(SETTINGS)
    assert stage.type("xnat-watchd reload")[0] == 0
    stage.settle(lambda now: not is_full(now))


def _restarted(stage: Stage) -> None:
    stage.stop()
    stage.start()
    stage.settle(lambda now: bool(now["gate"]["open"]))


def _not_whole(stage: Stage) -> None:
    _write(stage, "knee.zip", 2, date="20240912")
    whole = (stage.home / "knee.zip").read_bytes()
    (stage.root / "drop" / "knee.zip").write_bytes(whole[:-30])
    (stage.root / "drop" / "hip.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(600))
    stage.settle(lambda now: len(now["ignored"]) == 2)


def _lost(stage: Stage) -> None:
    restored_without(stage.xnat, uid(1, 1, 1), uid(1, 1, 2))


def _database(stage: Stage) -> None:
    stage.addresses[DATABASE] = cluster().database_of(stage.root)


HAPPENINGS: dict[str, Happening] = {
    "the service runs": _service_runs,
    "the service stops": Stage.stop,
    "the service starts": Stage.start,
    "the service starts again": _restarted,
    "there is brain.zip": _exported("brain.zip", 1),
    "there is knee.zip": _exported("knee.zip", 2, date="20240912"),
    "folders name the projects": _folders_name_projects,
    "there is a damaged export": _damaged("wrist", 7, "20240402"),
    "there is a damaged export of another study": _damaged("elbow", 8, "20240503"),
    "there are two files that are no whole ZIP": _not_whole,
    "the password is changed": _password_changed,
    "there are two people with one PatientID": _two_people,
    "there is a ZIP with two people in one study": _two_in_one,
    "a study is exported with its names and without": _anonymised,
    "the disk is full": _full,
    "there is room again": _room,
    "XNAT is restored from a backup": _lost,
    "XNAT moves": Stage.move_server,
    "there is a database for all": _database,
    "everything is copied to another machine": Stage.move_here,
}
