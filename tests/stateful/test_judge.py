"""Whether the judge sees what may go wrong: each of its complaints, with a store made for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stateful.judge import Lying, Truth, Wrong, complete, judge, judge_rest
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
