"""What the sessions of one subject say together."""

from __future__ import annotations

from xnat_watchd.core.demographics import merge_headers

FIRST = {"PatientAge": "042Y", "PatientBirthDate": "19820301", "PatientSex": "F"}


def test_what_all_say_is_believed() -> None:
    said = merge_headers([FIRST, {**FIRST, "PatientAge": "043Y"}])
    assert said.header == FIRST
    assert said.disagreeing == ()


def test_what_one_leaves_out_another_may_say() -> None:
    assert merge_headers([{}, {"PatientSex": "", "PatientBirthDate": "nonsense"}, FIRST]).header == FIRST


def test_what_they_do_not_agree_about_is_left_out_and_named() -> None:
    said = merge_headers([FIRST, {"PatientSex": "M", "PatientBirthDate": "19820301"}])
    assert "PatientSex" not in said.header
    assert [attribute.keyword for attribute in said.disagreeing] == ["PatientSex"]


def test_one_day_in_two_forms_is_one_day() -> None:
    assert merge_headers([FIRST, {"PatientBirthDate": "1982.03.01"}]).disagreeing == ()


def test_the_age_is_of_the_first_that_has_one() -> None:
    said = merge_headers([{"PatientAge": "old"}, {"PatientAge": "044Y"}, FIRST])
    assert (said.header["PatientAge"], said.first) == ("044Y", 1)


def test_no_session_says_nothing() -> None:
    assert (merge_headers([]).header, merge_headers([]).first) == ({}, 0)
