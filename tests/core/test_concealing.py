"""Names that may be patients' are taken out of sentences, whatever they look like and however many there are."""

from __future__ import annotations

import re
from time import process_time

from hypothesis import given
from hypothesis import strategies as st

from xnat_watchd.core.concealing import CONCEALED, Concealer, conceal

texts = st.text(st.sampled_from("ab -.é^\\("), max_size=30)
names = st.text(st.sampled_from("ab -.é^\\("), min_size=1, max_size=5)
MANY, SECONDS = 5000, 5.0


def whole(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")


@given(texts, names)
def test_a_name_is_replaced_wherever_it_stands_alone_and_nowhere_else(text: str, name: str) -> None:
    assert conceal(text, [name]) == whole(name).sub(CONCEALED, text)


@given(texts, st.lists(names, max_size=5))
def test_of_several_names_none_is_left(text: str, some: list[str]) -> None:
    told = conceal(text, some)
    assert not [name for name in some if whole(name).search(told)]


def test_the_longest_name_goes_first() -> None:
    assert conceal("project Doe Jane waits", ["Doe", "Doe Jane"]) == f"project {CONCEALED} waits"


def test_thousands_of_sentences_and_names_take_no_more_than_each_takes() -> None:
    """Anybody who may drop files may make a folder for each of thousands of ZIPs, and the service ends if it hangs."""
    concealer = Concealer(f"Doe {number}" for number in range(MANY))
    began = process_time()
    for number in range(MANY):
        told = concealer.conceal(f"project Doe {number} waits. If you meant BRAIN, type `retry {number}.1`.")
        assert told.startswith(f"project {CONCEALED} waits")
    assert process_time() - began < SECONDS
