"""What XNAT holds is compared with what was sent, series by series."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xnat_watchd.core.delivery import Holding, Scan
from xnat_watchd.core.judging import LeftOut, Mixed, Sent, Short, Whole, judge

UIDS = ("1.2.3",)
SENT = {"mr": Sent(10, image=True), "sr": Sent(3, image=False)}


def holding(uid: str = "1.2.3", /, **counts: int) -> Holding:
    return Holding(uid, tuple(Scan(str(n), series, count) for n, (series, count) in enumerate(counts.items())))


def test_equal_counts_under_our_uid_are_whole() -> None:
    assert judge(SENT, holding(mr=10, sr=3), UIDS) == Whole("1.2.3")


def test_scans_that_xnat_renamed_and_secondary_files_belong_to_their_series() -> None:
    seen = Holding("1.2.3", (Scan("1", "mr", 6), Scan("1-MR1", "mr", 4), Scan("99", "sr", 3)))
    assert judge(SENT, seen, UIDS) == Whole("1.2.3")


def test_a_missing_image_is_short() -> None:
    assert judge(SENT, holding(mr=9, sr=3), UIDS) == Short(1, frozenset())


def test_a_missing_image_series_is_short_and_named() -> None:
    assert judge(SENT, holding(sr=3), UIDS) == Short(10, frozenset({"mr"}))


def test_a_missing_series_without_images_may_be_left_out_by_the_server() -> None:
    assert judge(SENT, holding(mr=10), UIDS) == LeftOut("1.2.3", frozenset({"sr"}))


def test_part_of_a_series_without_images_is_short_all_the_same() -> None:
    assert judge(SENT, holding(mr=10, sr=2), UIDS) == Short(1, frozenset())


def test_nothing_at_all_is_not_left_out() -> None:
    assert judge({"sr": Sent(3, image=False)}, holding(), UIDS) == Short(3, frozenset({"sr"}))


def test_more_than_we_sent_is_mixed() -> None:
    assert judge(SENT, holding(mr=11, sr=3), UIDS) == Mixed()
    assert judge(SENT, holding(mr=10, sr=3, other=1), UIDS) == Mixed()


def test_a_foreign_uid_over_our_counts_is_a_site_that_remaps() -> None:
    assert judge(SENT, holding("9.9", x=3, y=10), UIDS) == Whole("9.9")


def test_a_foreign_uid_over_other_counts_is_somebody_elses() -> None:
    assert judge(SENT, holding("9.9", x=3, y=9), UIDS) == Mixed()


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5), min_size=1),
       st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5)))  # fmt: skip
def test_whole_is_said_only_of_equal_counts(sent: dict[str, int], seen: dict[str, int]) -> None:
    verdict = judge({s: Sent(n, image=True) for s, n in sent.items()}, holding("1.2.3", **seen), UIDS)
    assert isinstance(verdict, Whole) == (sent == {s: n for s, n in seen.items() if n})
