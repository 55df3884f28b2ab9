"""Whether the judge sees what may go wrong: each of its complaints, with a store made for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stateful.judge import Lying, Truth, Wrong, complete, judge, judge_mount_point, judge_rest
from tests.stateful.parcels import ALL_KINDS, Image, digest, images, parcel, uid_of
from tests.stateful.world import World

ONE, TWO = images(1, 2)
HIS = Image("ZQ-51", 501, 1)


def lying(image: Image, session: str = "E1", **other: str) -> Lying:
    known = {"where": "archive", "project": "P1", "subject": image.label, **other}
    return Lying(session=session, digest=digest(image.data), **known)


def told(*kinds: str, study: int = 1) -> Truth:
    truth = Truth(strangers={digest(HIS.data): HIS})
    for kind in kinds or ("plain",):
        truth.arrives("P1", parcel(kind, study, 2))
    return truth


WHOLE = (lying(ONE), lying(TWO), lying(HIS, "E9"))


def test_the_judge_is_content_with_every_image_once() -> None:
    judge(told(), WHOLE, [])
    judge_rest(told(), WHOLE)


def test_the_judge_is_content_while_the_zip_is_there() -> None:
    judge(told(), [lying(HIS)], [parcel("plain", 1, 2).digest])


@pytest.mark.parametrize(
    ("store", "words"),
    [
        (WHOLE[1:], "lost"),
        ((lying(ONE, where="prearchive"), *WHOLE[1:]), "lost"),
        (WHOLE[:2], "another client's images are gone"),
        ((*WHOLE, lying(ONE, "E2")), "twice in the archive"),
        ((WHOLE[0], lying(TWO, "E2"), WHOLE[2]), "several sessions"),
        ((*WHOLE, lying(HIS, "E1")), "in one session"),
        ((*WHOLE[:2], lying(HIS, "E9", subject=ONE.label)), "under one subject"),
        ((*WHOLE, lying(Image("ZQ-1", 1, 7), "E1")), "nobody's bytes"),
        ((*WHOLE, lying(ONE, "E2", project="P2")), "archived in another project"),
    ],
)
def test_the_judge_sees_what_is_wrong_in_xnat(store: tuple[Lying, ...], words: str) -> None:
    with pytest.raises(Wrong, match=words):
        judge(told(), store, [])


def test_the_judge_sees_that_something_was_sent_without_a_persons_word() -> None:
    truth, bad = told("zeros for an image"), parcel("zeros for an image", 1, 2)
    with pytest.raises(Wrong, match="without a person's word"):
        judge(truth, WHOLE, [bad.digest])
    truth.accepts("P1", bad, 1)
    judge(truth, WHOLE, [bad.digest])
    with pytest.raises(Wrong, match="lost"):  # what was left behind lies in the ZIP alone
        judge(truth, WHOLE, [])


def test_nobodys_word_sends_two_people_as_one() -> None:
    truth, bad = told("two people"), parcel("two people", 1, 2)
    truth.accepts("P1", bad, 1)
    with pytest.raises(Wrong, match="without a person's word"):
        judge(truth, WHOLE, [bad.digest])


def test_the_judge_sees_what_is_complete_while_something_is_wrong() -> None:
    study = ("P1", parcel("empty image", 1, 2).digest, uid_of(1))
    with pytest.raises(Wrong, match="complete while"):
        complete(told("empty image"), [study], [])
    complete(told("empty image"), [study], [study])


def test_the_judge_sees_what_is_not_done_at_rest() -> None:
    with pytest.raises(Wrong, match="nothing is wrong with it"):
        judge_rest(told(), WHOLE[1:])
    row = {"where": "prearchive"}
    with pytest.raises(Wrong, match="several rows"):
        judge_rest(told(), (*WHOLE, lying(ONE, "P1/1/watchd-1", **row), lying(TWO, "P1/2/watchd-1", **row)))


def test_the_judge_sees_a_zip_that_the_service_puts_into_an_empty_mount_point() -> None:
    judge_mount_point("drop", ["a.zip"])  # by people
    judge_mount_point("done", [])
    with pytest.raises(Wrong, match="empty mount point of done"):
        judge_mount_point("done", ["1_a.zip"])


def test_the_judge_wants_what_a_person_has_moved_in_the_other_project() -> None:
    truth, there = told(), [lying(one, project="P2") for one in (ONE, TWO)]
    with pytest.raises(Wrong, match="archived in another project"):
        judge(truth, [*there, lying(HIS, "E9")], [parcel("plain", 1, 2).digest])
    truth.moves("P1", "P2", parcel("plain", 1, 2), [1])
    judge(truth, [*there, lying(HIS, "E9")], [])
    with pytest.raises(Wrong, match="lost"):
        judge(truth, [there[0], lying(HIS, "E9")], [])


def test_the_judge_wants_what_came_twice_where_only_one_zip_was_moved_in_both_projects() -> None:
    truth, there = told("plain", "repacked"), [lying(one, project="P2") for one in (ONE, TWO)]
    truth.moves("P1", "P2", parcel("plain", 1, 2), [1])
    with pytest.raises(Wrong, match="lost"):
        judge(truth, [*there, lying(HIS, "E9")], [])


def test_the_judge_wants_nothing_in_the_other_project_of_the_studies_that_were_not_moved() -> None:
    truth = told("several")
    truth.moves("P1", "P2", parcel("several", 1, 2), [1])
    assert {(project, image.study) for project, image in truth.sound()} == {("P1", 1), ("P1", 2), ("P2", 1)}


def test_nobodys_move_sends_two_people_as_one() -> None:
    truth, bad = told("two people"), parcel("two people", 1, 2)
    truth.moves("P1", "P2", bad, [1])
    with pytest.raises(Wrong, match="without a person's word"):
        judge(truth, [lying(ONE, project="P2"), lying(HIS, "E9")], [bad.digest])


@pytest.mark.parametrize("way", ["kill", "meanwhile"])
def test_what_is_to_happen_in_the_middle_of_work_happens_there(quick_path: Path, way: str) -> None:
    world = World(quick_path, "1.8")
    try:
        world.drop("plain", 1, 2)
        if way == "kill":
            world.kill(20)
        else:
            world.meanwhile("worker-2", 0, 20)
        world.sweep()
        world.work()
        assert world.told[way] == 1
        world.settle()
        assert len(world.archived()) == 2
    finally:
        world.end()


@pytest.mark.parametrize("name", ["drop", "work", "done"])
def test_a_folder_that_was_away_for_a_while_costs_nothing(quick_path: Path, name: str) -> None:
    world = World(quick_path, "1.8")
    try:
        for study in (0, 1):
            world.drop("plain", study, 2)
            world.sweep()
            world.work()
            world.unmount(name)
        assert world.told["unmounted"] == 1
        world.mount(name)
        world.settle()
        assert len(world.archived()) == 4
    finally:
        world.end()


def test_images_of_a_site_with_uids_of_its_own_are_known_for_what_was_sent(quick_path: Path) -> None:
    world = World(quick_path, "1.8")
    try:
        world.remaps(on=True)
        world.drop("plain", 1, 2)
        world.settle()
        world.remaps(on=True)
        world.drop("plain", 3, 2)
        world.sweep()
        world.work()
        assert {one.digest for one in world.archived()} == {digest(one.data) for n in (1, 3) for one in images(n, 2)}
    finally:
        world.end()


def test_settings_that_need_a_start_wait_for_it_and_the_others_hold_at_once(quick_path: Path) -> None:
    world = World(quick_path, "1.8")
    try:
        workers = []
        for change in ("three workers", "", "not understood"):
            if change:
                world.reload(change)
            else:
                world.restart()
            assert world._service is not None
            workers.append(len(world._service.workers))
        assert workers == [4, 3, 3]
        world.restart()  # settings that are not understood are set right for it
        world.reload("uploads only")
        world.drop("plain", 1, 2)
        world.sweep()
        world.work()
        assert (len(world.archived()), len(world._stored())) == (0, 2)
    finally:
        world.end()


def test_every_kind_of_zip_differs_from_the_others() -> None:
    assert len({parcel(kind, 1, 2).digest for kind in ALL_KINDS}) == len(ALL_KINDS)


@pytest.mark.parametrize("dialect", ["1.8", "1.6"])
def test_a_world_without_trouble_ends_with_everything_in_the_archive(quick_path: Path, dialect: str) -> None:
    world = World(quick_path, dialect)
    try:
        for kind in ("plain", "several", "part", "with text"):
            world.drop(kind, 1, 2)
        world.settle()
        assert {one.where for one in world._stored()} == {"archive"}
        assert len(world._stored()) == 5
    finally:
        world.end()


def test_a_world_tells_of_a_service_that_deletes_too_early(quick_path: Path) -> None:
    world = World(quick_path, "1.8")
    try:
        world.drop("plain", 1, 2)
        world.sweep()
        next((world.root / "work").glob("*.zip")).unlink()
        with pytest.raises(Wrong, match="lost"):
            world.judged()
    finally:
        world.end()
