"""Who is one person, and who is two."""

from __future__ import annotations

import unicodedata
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnat_watchd.core.delivery import PATIENT, Person
from xnat_watchd.core.persons import is_one, joined, may_be_one, merged

SAME_NAME = [
    ("Doe^Jane", "Doe^Jane"),
    ("Doe^Jane", "DOE^JANE^^"),
    ("Phantom, Four D", "PHANTOM^FOUR D^^"),
    ("Doe^Jane", " Doe  Jane"),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada^Tarou"),
    ("Yamada^Tarou=山田^太郎", "Yamada^Tarou==やまだ^たろう"),
    ("=山田^太郎", "Yamada^Tarou=山田^太郎"),
    (unicodedata.normalize("NFC", "Müller^Zoë"), unicodedata.normalize("NFD", "Müller^Zoë")),
]
OTHER_NAME = [
    ("Doe^Jane", "Roe^Jane"),
    ("Doe^Jane", "Doe^Janet"),
    ("Ann^Abell", "Anna^Bell"),
    ("Yamada^Tarou=山田^太郎", "Yamada^Tarou=山本^太郎"),
    ("Müller", "Muller"),
]


@pytest.mark.parametrize(("one", "other"), SAME_NAME)
def test_one_id_and_one_name_however_written_are_one_person(one: str, other: str) -> None:
    for same in (is_one, may_be_one):
        assert same(Person(name=one, id="1"), Person(name=other, id="1"))
        assert same(Person(name=other, id="1"), Person(name=one, id="1"))


@pytest.mark.parametrize(("one", "other"), OTHER_NAME)
def test_two_names_are_two_people_under_one_id_and_without_any(one: str, other: str) -> None:
    for same in (is_one, may_be_one):
        assert not same(Person(name=one, id="1"), Person(name=other, id="1"))
        assert not same(Person(name=one), Person(name=other))


@pytest.mark.parametrize(("one", "other"), [("ab1", "AB1"), ("1", "2"), ("1", "01")])
def test_two_ids_are_two_people_even_where_only_their_case_differs(one: str, other: str) -> None:
    for same in (is_one, may_be_one):
        assert not same(Person(name="Doe", id=one), Person(name="Doe", id=other))


def test_without_an_id_birth_dates_count_and_with_one_they_do_not() -> None:
    for same in (is_one, may_be_one):
        assert not same(Person(name="Doe", birth_date="19500101"), Person(name="Doe", birth_date="19990101"))
        assert same(Person(name="Doe", birth_date="19500101"), Person(name="Doe", birth_date="19500101"))
        assert same(
            Person(name="Doe", id="1", birth_date="19500101"), Person(name="Doe", id="1", birth_date="19990101")
        )


@pytest.mark.parametrize(
    "less",
    [
        Person(name="Doe"),
        Person(id="1"),
        Person(),
        Person(birth_date="19990101"),
        Person(name="Doe", birth_date="1950"),
    ],
)
def test_what_an_instance_leaves_out_makes_nobody_else_of_it_and_what_a_study_leaves_out_proves_nothing(
    less: Person,
) -> None:
    whole = Person(name="Doe", id="1", birth_date="1950")

    assert may_be_one(whole, less)
    assert not is_one(whole, less)


def test_a_birth_date_speaks_where_one_of_two_has_no_id() -> None:
    assert not may_be_one(Person(name="Doe", id="1", birth_date="1950"), Person(name="Doe", birth_date="1960"))


def test_what_is_known_of_a_person_adds_up() -> None:
    assert merged(Person(name="Doe", sex="F"), Person(name="DOE", id="1", age="3")) == Person(
        name="Doe", id="1", sex="F", age="3"
    )


def test_all_that_is_said_of_a_person_is_held_against_the_next_and_the_first_word_stays() -> None:
    known = joined(joined(Person(name="Yamada^T"), Person(name="YAMADA^T=山田", id="1")), Person(name="==やまだ"))

    assert known == Person(name="Yamada^T=山田=やまだ", id="1")
    assert not may_be_one(known, Person(name="Yamada^T=山本", id="1"))


def test_every_attribute_that_is_kept_adds_up_and_has_a_column_and_a_tag_of_its_own() -> None:
    whole = Person.read(lambda attribute: attribute.keyword)
    assert merged(Person(), whole) == merged(whole, Person()) == whole
    for distinct in ("keyword", "tag", "column", "name"):
        assert len({getattr(attribute, distinct) for attribute in PATIENT}) == len(fields(Person))


PEOPLE = st.builds(
    Person,
    name=st.sampled_from(["", "Doe", "DOE^", "Roe", "Doe=土井", "=土井", "=="]),
    id=st.sampled_from(["", "a", "A"]),
    birth_date=st.sampled_from(["", "1950", "1960"]),
)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(one=PEOPLE, other=PEOPLE)
def test_it_does_not_matter_who_is_asked_about_first_and_to_be_sure_is_more_than_not_to_doubt(
    one: Person, other: Person
) -> None:
    assert is_one(one, one)
    assert is_one(one, other) == is_one(other, one)
    assert may_be_one(one, other) == may_be_one(other, one)
    assert may_be_one(one, other) or not is_one(one, other)
