"""What XNAT holds is compared with what was sent, series by series."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xnat_watchd.core.comparison import (
    AllPresent,
    Incomplete,
    LeftOut,
    Mixed,
    SentSeries,
    Unproved,
    judge,
    judge_images,
)
from xnat_watchd.core.delivery import Holding, Scan

UID = "1.2.3"
SENT = {"mr": SentSeries(10, image=True), "sr": SentSeries(3, image=False)}


def holding(uid: str = "1.2.3", /, **counts: int) -> Holding:
    return Holding(uid, tuple(Scan(str(n), series, count) for n, (series, count) in enumerate(counts.items())))


def test_equal_counts_under_our_uid_are_whole() -> None:
    assert judge(SENT, holding(mr=10, sr=3), UID) == AllPresent("1.2.3")


def test_scans_that_xnat_renamed_and_secondary_files_belong_to_their_series() -> None:
    seen = Holding("1.2.3", (Scan("1", "mr", 6), Scan("1-MR1", "mr", 4), Scan("99", "sr", 3)))
    assert judge(SENT, seen, UID) == AllPresent("1.2.3")


def test_a_missing_image_is_short() -> None:
    assert judge(SENT, holding(mr=9, sr=3), UID) == Incomplete(1, frozenset())


def test_a_missing_image_series_is_short_and_named() -> None:
    assert judge(SENT, holding(sr=3), UID) == Incomplete(10, frozenset({"mr"}))


def test_a_missing_series_without_images_may_be_left_out_by_the_server() -> None:
    assert judge(SENT, holding(mr=10), UID) == LeftOut("1.2.3", frozenset({"sr"}))


def test_part_of_a_series_without_images_is_short_all_the_same() -> None:
    assert judge(SENT, holding(mr=10, sr=2), UID) == Incomplete(1, frozenset())


def test_nothing_at_all_is_not_left_out() -> None:
    assert judge({"sr": SentSeries(3, image=False)}, holding(), UID) == Incomplete(3, frozenset({"sr"}))


def test_more_than_we_sent_is_mixed() -> None:
    assert judge(SENT, holding(mr=11, sr=3), UID) == Mixed()
    assert judge(SENT, holding(mr=10, sr=3, other=1), UID) == Mixed()


def test_a_foreign_study_uid_is_mixed_whatever_the_counts_say() -> None:
    assert judge(SENT, holding("9.9", x=3, y=10), UID) == Mixed()
    assert judge(SENT, holding("9.9", mr=10, sr=3), UID) == Mixed()


# -- image by image ----------------------------------------------------------------------------------------

KINDS = {"mr": SentSeries(2, image=True), "sr": SentSeries(1, image=False)}
OURS = {"mr": frozenset({"1", "2"}), "sr": frozenset({"3"})}


def images(**series: str) -> dict[str, frozenset[str]]:
    return {uid: frozenset(uids.split()) for uid, uids in series.items()}


def test_every_image_by_its_own_uid_is_whole_whatever_the_series_are_called_there() -> None:
    assert judge_images(KINDS, OURS, images(x="1 2", y="3"), "9.9") == AllPresent("9.9")


def test_an_image_in_the_place_of_ours_is_mixed_though_the_counts_are_equal() -> None:
    assert judge_images(KINDS, OURS, images(mr="1 7", sr="3"), UID) == Mixed()


def test_one_image_more_is_mixed() -> None:
    assert judge_images(KINDS, OURS, images(mr="1 2 7", sr="3"), UID) == Mixed()


def test_as_many_of_which_none_is_known_prove_nothing() -> None:
    assert judge_images(KINDS, OURS, images(x="7 8", y="9"), "9.9") == Unproved()
    assert judge_images(KINDS, OURS, images(x="7 8"), "9.9") == Mixed()


def test_what_is_missing_is_short_or_left_out_as_by_counts() -> None:
    assert judge_images(KINDS, OURS, images(mr="1", sr="3"), UID) == Incomplete(1, frozenset())
    assert judge_images(KINDS, OURS, images(mr="1 2"), UID) == LeftOut(UID, frozenset({"sr"}))
    assert judge_images(KINDS, OURS, images(sr="3"), UID) == Incomplete(2, frozenset({"mr"}))


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5), min_size=1),
       st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5)))  # fmt: skip
def test_whole_is_said_only_of_equal_counts(sent: dict[str, int], seen: dict[str, int]) -> None:
    verdict = judge({s: SentSeries(n, image=True) for s, n in sent.items()}, holding("1.2.3", **seen), UID)
    assert isinstance(verdict, AllPresent) == (sent == {s: n for s, n in seen.items() if n})
