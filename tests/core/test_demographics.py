import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnat_watchd.core import demographics
from xnat_watchd.core.delivery import Person, Subject
from xnat_watchd.core.project_rules import DemographicRules

HEADER = {"PatientAge": "042Y", "PatientBirthDate": "19660101", "PatientSex": "F"}
FIELDS = {"subject_age": "42", "subject_dob": "1966-01-01", "subject_gender": "Female"}
STANDARD = {"age": "42", "dob": "1966-01-01", "gender": "female"}


def subject(fields: dict[str, str] | None = None, standard: dict[str, str] | None = None) -> Subject:
    return Subject(id="XNAT_S00001", label="S1", fields=fields or {}, demographics=standard or {})


@pytest.mark.parametrize(
    ("raw", "years"),
    [
        ("042Y", 42),
        ("000Y", 0),
        ("030D", 0),
        ("365D", 0),
        ("366D", 1),
        ("006M", 0),
        ("012M", 1),
        ("035M", 2),
        ("012W", 0),
        ("053W", 1),
        ("104W", 1),
        ("105W", 2),
        ("042Y ", 42),
        ("42", None),
        ("75Y", None),
        ("042y", None),
        ("0042Y", None),
        ("999Z", None),
        ("04\u0662Y", None),
        ("***", None),
        ("", None),
        (None, None),
    ],
)
def test_an_age_is_read_by_the_standard_and_never_guessed(raw: str | None, years: int | None) -> None:
    assert demographics.age_years(raw) == years


@pytest.mark.parametrize(
    ("raw", "day"),
    [
        ("19660101", "1966-01-01"),
        ("1966.01.01", "1966-01-01"),
        ("19000000", None),
        ("20190229", None),
        ("1966", None),
        ("***", None),
        ("", None),
        (None, None),
    ],
)
def test_only_a_day_that_exists_is_a_birth_date(raw: str | None, day: str | None) -> None:
    assert demographics.birth_date(raw) == day


@pytest.mark.parametrize(
    ("raw", "said"),
    [("M", "male"), ("F ", "female"), ("O", "other"), ("", None), ("m", None), ("X", None), (None, None)],
)
def test_a_sex_is_said_in_the_words_of_xnat(raw: str | None, said: str | None) -> None:
    assert demographics.sex(raw) == said


def test_an_empty_subject_gets_all_that_is_known_in_both_places() -> None:  # F220
    writes = demographics.plan(HEADER, subject(), DemographicRules())
    assert (writes.fields, writes.demographics) == (FIELDS, STANDARD)
    assert (writes.kept, writes.disagreeing) == ((), ())


def test_a_zip_says_the_same_as_a_header_dump() -> None:
    person = Person(name="A^B", id="7", birth_date="19660101", age="042Y", sex="F")
    assert demographics.header_of(person) == HEADER


def test_what_is_missing_or_invalid_is_not_written() -> None:
    header = {"PatientAge": "42", "PatientBirthDate": "19000000"}
    assert not demographics.plan(header, subject(), DemographicRules())


def test_a_newborn_has_an_age() -> None:
    writes = demographics.plan({"PatientAge": "003D"}, subject(), DemographicRules())
    assert (writes.fields, writes.demographics) == ({"subject_age": "0"}, {"age": "0"})


def test_only_what_is_configured_is_written() -> None:
    rules = DemographicRules(fields={"sex": "Sex_At_Birth", "age": ""}, standard=False)
    writes = demographics.plan(HEADER, subject(), rules)
    assert (writes.fields, writes.demographics) == ({"sex_at_birth": "Female"}, {})


def test_without_birth_dates_none_is_written_anywhere() -> None:
    writes = demographics.plan(HEADER, subject(), DemographicRules(birth_date=False))
    assert "1966" not in str([*writes.fields.values(), *writes.demographics.values()])
    assert set(writes.fields) | set(writes.demographics) == {"subject_age", "subject_gender", "age", "gender"}


def test_a_persons_entry_stays_and_only_a_different_one_disagrees() -> None:
    there = subject({"Subject_Age": "42", "subject_gender": "unknown"}, {"dob": "1970-05-05", "gender": " "})
    writes = demographics.plan(HEADER, there, DemographicRules())
    assert writes.fields == {"subject_dob": "1966-01-01"}
    assert writes.demographics == {"age": "42", "gender": "female"}
    assert writes.kept == ("subject_age", "subject_gender", "dob")
    assert writes.disagreeing == ("subject_gender", "dob")


def test_a_persons_entry_gives_way_only_when_asked_and_only_when_it_differs() -> None:
    there = subject({"subject_age": "42"}, {"dob": "1970-05-05"})
    writes = demographics.plan(HEADER, there, DemographicRules(overwrite=True))
    assert writes.fields == {"subject_dob": "1966-01-01", "subject_gender": "Female"}
    assert writes.demographics == STANDARD
    assert (writes.kept, writes.disagreeing) == (("subject_age",), ("dob",))


@pytest.mark.parametrize(
    "theirs", ["1966-01-01", "19660101", "1966-01-01 00:00:00.0", " 1966-01-01T00:00:00", "1966&#45;01-01"]
)
def test_one_day_written_in_two_ways_does_not_disagree(theirs: str) -> None:
    there = subject({"subject_dob": theirs}, {"dob": theirs, "gender": "F", "age": "042"})
    writes = demographics.plan(HEADER, there, DemographicRules())
    assert writes.disagreeing == ()
    assert writes.kept == ("subject_dob", "age", "dob", "gender")


def test_what_the_server_stored_as_written_is_settled() -> None:
    writes = demographics.plan(HEADER, subject(), DemographicRules())
    after = subject(FIELDS, {**STANDARD, "dob": "1966-01-01 00:00:00.0", "gender": "Female"})
    assert demographics.not_stored(writes, after) == ()


def test_what_the_server_swallowed_or_rolled_over_is_named_without_its_value() -> None:
    writes = demographics.plan(HEADER, subject(), DemographicRules())
    after = subject({"subject_age": "42", "subject_dob": "1966-01-01"}, {**STANDARD, "dob": "1966-01-02"})
    assert demographics.not_stored(writes, after) == ("subject_gender", "dob")


def test_no_value_is_seen_when_writes_are_printed() -> None:
    shown = repr(demographics.plan(HEADER, subject(), DemographicRules()))
    assert "1966" not in shown
    assert "emale" not in shown


@settings(deadline=None, max_examples=60)
@given(st.text(), st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_whatever_a_header_says_every_write_is_sound_and_what_is_written_settles(
    age: str, day: str, code: str, fields: dict[str, str]
) -> None:
    header = {"PatientAge": age, "PatientBirthDate": day, "PatientSex": code}
    writes = demographics.plan(header, subject(fields), DemographicRules())
    after = subject({**fields, **writes.fields}, dict(writes.demographics))
    assert demographics.not_stored(writes, after) == ()
    assert not demographics.plan(header, after, DemographicRules())
