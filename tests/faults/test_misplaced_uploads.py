"""An upload that XNAT put elsewhere than asked: what was sent there is gone before the study is sent again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.fault import BOTH, IMPORT, a_study, small
from tests.faults.scene import Certificates, Scene, Setting, a_scene
from tests.others import sent_by_others
from tests.sandbox.kit import Visitor
from xnat_watchd.core.delivery import Place
from xnat_watchd.sandbox.samples import write_zip

STAMP = "20260101_000010000"
STILL_THERE = "an upload of it still lies where XNAT was not asked to put it"


@pytest.fixture(params=BOTH)
def scene(request: pytest.FixtureRequest, quick_path: Path, certificates: Certificates) -> Iterator[Scene]:
    """Yield a scene with two projects that we may write to."""
    setting = Setting(projects=("P1", "P2"))
    with (
        pytest.MonkeyPatch.context() as patch,
        a_scene(quick_path, request.param, setting, certificates, patch) as scene,
    ):
        yield scene


def carried(scene: Scene) -> None:
    for name, members in small().items():
        scene.drop(name, members)
    scene.carry()


def retry(scene: Scene) -> None:
    """Do as `retry` does."""
    ledger, now = scene.station.ledger, scene.time.now()
    for key in ledger.views.held().values():
        ledger.decisions.retry(key, now)
    scene.station.work(steps=20_000)


def held(scene: Scene) -> list[str]:
    return [one["why"] for one in scene.station.ledger.views.attention()]


def study(scene: Scene) -> dict[str, Any]:
    delivery = scene.station.ledger.views.delivery(1)
    assert delivery is not None
    return dict(delivery["studies"][0])


def our_place(scene: Scene) -> Place:
    place = study(scene)["places"][-1]
    return Place(place["project"], place["timestamp"], place["folder"])


def in_all(scene: Scene) -> dict[str, int]:
    return {place: found.total() for place, found in scene.where().items() if found}


def whole(scene: Scene) -> bool:
    return scene.where()["archive"] == scene.whole() and in_all(scene) == {"archive": 2}


def filed_under_another_name(scene: Scene) -> str:
    """Let XNAT file the upload where it says, under a name that is not ours; give its path there."""
    scene.xnat.faults.on("POST", "/data/services/import").say(f"/data/prearchive/projects/P1/{STAMP}/another\r\n")
    carried(scene)
    with Visitor(scene.xnat, "tech", "secret") as xnat:
        assert xnat.ask("DELETE", f"/data{our_place(scene).path}").ok
    sent_by_others(scene.xnat, "another", (scene.station.folders.work / "1.zip").read_bytes(), stamp=STAMP)
    return f"/data/prearchive/projects/P1/{STAMP}/another"


def filed_in_another_project(scene: Scene) -> None:
    """Let XNAT file the upload in another project, under the name that we gave it."""

    def say_so() -> None:
        place = our_place(scene)
        scene.xnat.faults.on("POST", "/data/services/import").say(
            f"/data/prearchive/projects/P2/{place.timestamp}/{place.folder}\r\n"
        )

    scene.when(IMPORT, say_so)
    carried(scene)
    with Visitor(scene.xnat, "tech", "secret") as xnat:
        place = f"/data{our_place(scene).path}"
        xnat.ask("POST", place, params={"action": "move", "newProject": "P2"})


def carried_into_unassigned(scene: Scene) -> None:
    import_ = scene.xnat.faults.on("POST", "/data/services/import")
    import_.meanwhile(lambda: scene.xnat.grant("tech", "P1", None))
    carried(scene)
    scene.xnat.grant("tech", "P1", "member")


def test_as_long_as_it_lies_there_nothing_more_is_sent_however_often_somebody_types_retry(scene: Scene) -> None:
    there = filed_under_another_name(scene)
    for _ in range(2):
        retry(scene)
        assert held(scene) == [STILL_THERE]
    assert study(scene)["detail"] == there
    assert in_all(scene) == {"prearchive": 2}
    assert scene.count(IMPORT) == 1


def test_once_a_person_has_deleted_it_the_study_is_sent_again(scene: Scene) -> None:
    there = filed_under_another_name(scene)
    retry(scene)
    with Visitor(scene.xnat, "tech", "secret") as xnat:
        xnat.ask("DELETE", there)
    retry(scene)
    assert whole(scene)


def test_what_bears_our_name_and_holds_our_study_alone_is_removed_from_another_project(scene: Scene) -> None:
    filed_in_another_project(scene)
    assert in_all(scene) == {"prearchive": 2}
    retry(scene)
    assert whole(scene)


def test_what_may_be_the_only_copy_is_not_removed(scene: Scene) -> None:
    filed_in_another_project(scene)
    (scene.station.folders.work / "1.zip").unlink()
    retry(scene)
    assert in_all(scene) == {"prearchive": 2}
    assert held(scene) == ["gave up after 20 attempts: the study's ZIP is not in the work folder"]


def test_what_bears_our_name_is_left_where_it_holds_more_than_was_sent(scene: Scene) -> None:
    filed_in_another_project(scene)
    place = our_place(scene)
    with Visitor(scene.xnat, "tech", "secret") as xnat:
        xnat.ask("DELETE", f"/data/prearchive/projects/P2/{place.timestamp}/{place.folder}")
    more = write_zip(scene.root / "more.zip", a_study(1, images=3)).read_bytes()
    sent_by_others(scene.xnat, place.folder, more, project="P2", stamp=place.timestamp)
    retry(scene)
    assert held(scene) == [STILL_THERE]
    assert scene.count(IMPORT) == 1


@pytest.mark.parametrize("scene", ["1.8"], indirect=True)
def test_what_lies_unseen_in_unassigned_is_gone_by_the_word_of_who_types_retry(scene: Scene) -> None:
    carried_into_unassigned(scene)
    scene.xnat.add_user("boss", "secret", admin=True)
    with Visitor(scene.xnat, "boss", "secret") as xnat:
        (there,) = study(scene)["places"]
        assert in_all(scene) == {"unassigned": 2}
        xnat.ask("DELETE", f"/data/prearchive/projects/Unassigned/{there['timestamp']}/{there['folder']}")
    assert in_all(scene) == {}
    retry(scene)
    assert whole(scene)


@pytest.mark.parametrize("scene", ["1.8"], indirect=True)
def test_an_account_that_sees_unassigned_removes_our_upload_there_itself(scene: Scene) -> None:
    carried_into_unassigned(scene)
    scene.xnat.add_user("tech", "secret", admin=True)
    retry(scene)
    assert whole(scene)


@pytest.mark.parametrize("path", ["/data/prearchive/projects/P1/../x", "/data/archive/projects/P2/x", "/xapi/y"])
def test_what_is_no_place_of_the_prearchive_does_not_keep_a_study_from_going_on(scene: Scene, path: str) -> None:
    place = "/data/prearchive/projects/P1/20260101_000010000/gone"
    scene.xnat.faults.on("POST", "/data/services/import").say(f"{place}\r\n{path}\r\n")
    carried(scene)
    assert held(scene) == ["XNAT put the upload elsewhere than we asked"]
    retry(scene)
    assert whole(scene)


def test_of_a_study_that_nobody_wants_nothing_is_left_there_either(scene: Scene) -> None:
    filed_in_another_project(scene)
    scene.station.ledger.decisions.skip(study(scene)["key"], "a phantom", scene.time.now())
    scene.station.work()
    assert in_all(scene) == {}
    assert study(scene)["standing"] == "skipped"
