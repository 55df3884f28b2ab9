from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnat_watchd.core import labels
from xnat_watchd.core.delivery import Person
from xnat_watchd.core.errors import Undecided
from xnat_watchd.core.project_rules import LabelRules

# What a real XNAT 1.6.5 listed in its prearchive, and what it called the subject or session once archived.
OBSERVED = [
    ("***", "___"),
    ("FA191122", "FA191122"),
    ("JANCT000", "JANCT000"),
    ("99000", "99000"),
    ("Jane_Doe", "Jane_Doe"),
    ("02", "02"),
    ("Test^Regression", "Test_Regression"),
    ("DEV", "DEV"),
    ("ZZZDOWNTIME^MARY", "ZZZDOWNTIME_MARY"),
    ("40404040404", "40404040404"),
    ("PF_PAT_POS_BW_INTERP_test", "PF_PAT_POS_BW_INTERP_test"),
    ("IRC - Slice Timing", "IRC_-_Slice_Timing"),
    ("phantom_check_MBfactor_TerraX_XA60", "phantom_check_MBfactor_TerraX_XA60"),
    ("05aug14test", "05aug14test"),
    ("TVD_GBM_IC1_070610_19", "TVD_GBM_IC1_070610_19"),
    ("PCAMPMRI-00001", "PCAMPMRI-00001"),
    ("CompressedSamples^NM1", "CompressedSamples_NM1"),
    ("8NM1", "8NM1"),
    ("boost^breast", "boost_breast"),
    ("123456", "123456"),
    ("KAUFMAN^SCOTT", "KAUFMAN_SCOTT"),
    ("6774825273", "6774825273"),
    # F70, F278
    ("ZZZDOWNTIME^MARY^^", "ZZZDOWNTIME_MARY"),
    ("a@b", "a_b"),
    ("S 9/x", "S_9_x"),
    ("Buc^Jérôme", "Buc_Jérôme"),
    ("Διονυσιος", "Διονυσιος"),
    ("שרון^דבורה", "שרון_דבורה"),
    ("Wang^XiaoDong=王^小东=", "Wang_XiaoDong_王_小东_"),
]


def facts(**changes: object) -> labels.LabelFacts:
    given_facts: dict[str, object] = {
        "person": Person(name="Test^Regression", id="DEV 01"),
        "date": "20180918",
        "time": "121229.940000",
        "modalities": ("SR", "MR"),
        "study_uid": "1.2.840.1",
        "project": "P1",
        "zip_name": "p02 Siemens Skyra.ZIP",
        "subject": "Test_Regression",
    }
    return labels.LabelFacts(**(given_facts | changes))  # type: ignore[arg-type]  # the names are the test's own


@pytest.mark.parametrize(("listed", "archived"), OBSERVED)
def test_a_label_is_cleaned_as_a_real_server_cleaned_it(listed: str, archived: str) -> None:
    assert labels.clean(listed) == archived


def test_every_character_that_xnat_replaces_becomes_an_underscore() -> None:
    assert len(labels.REPLACED_BY_XNAT) == 30
    assert {labels.clean(f"a{char}b") for char in labels.REPLACED_BY_XNAT} == {"a_b"}


@pytest.mark.parametrize("odd", ["a!b", "a’b", "a\u3000b", "a\tb", "a\0b", "a·b", "a€b"])  # noqa: RUF001 - such names exist
def test_what_xnat_would_leave_and_then_refuse_becomes_an_underscore_too(odd: str) -> None:
    assert labels.clean(odd) == "a_b"


@settings(deadline=None, max_examples=60)
@given(st.text())
def test_cleaning_keeps_every_letter_and_digit_and_is_done_once(text: str) -> None:
    cleaned = labels.clean(text)
    assert labels.clean(cleaned) == cleaned
    assert [c for c in cleaned if c.isalnum()] == [c for c in text if c.isalnum()]


def test_two_names_in_another_script_stay_two_subjects() -> None:
    assert labels.clean("Διονυσιος") != labels.clean("Αλεξανδρα")


@pytest.mark.parametrize("label", ["S1", "IRC_-_Slice", "Buc_Jérôme", "王_小东", "_7"])
def test_letters_of_every_script_make_a_label(label: str) -> None:
    assert labels.is_label(label)


@pytest.mark.parametrize("text", ["", "___", "a b", "a.b", "../x", "a/b", "a!b", "e\u0301", "𠮷田", "x" * 201])
def test_what_xnat_refuses_is_no_label(text: str) -> None:
    assert not labels.is_label(text)


def test_xnat_1_6_spoils_letters_that_come_as_a_parameter() -> None:  # F278
    assert labels.as_stored_by_1_6("E 9 &é") == "E_9__amp___233_"
    assert labels.as_stored_by_1_6("Test_Regression-1") == "Test_Regression-1"


# -- templates


def test_a_session_is_named_by_subject_date_time_and_modality() -> None:
    assert labels.session_label(LabelRules().session, facts()) == "Test_Regression_20180918T121229_MR"


def test_every_field_can_be_used() -> None:
    template = "-".join(f"{{{name}}}" for name in labels.SESSION_FIELDS)
    labels.check_template(template, labels.SESSION_FIELDS)
    assert labels.session_label(template, facts()) == (
        "Test_Regression-20180918-121229-MR-DEV_01-Test_Regression-1_2_840_1-p02_Siemens_Skyra-P1"
    )


@pytest.mark.parametrize(
    ("change", "sentence", "option"),
    [
        ({"date": "***"}, "the study date is missing or not a date", "--label LABEL"),
        ({"time": ""}, "the study time is missing or not a time", "--label LABEL"),
        ({"modalities": ("***",)}, "no series names its modality", "--label LABEL"),
        ({"subject": None}, "the subject is not known", "--subject SUBJECT"),
    ],
)
def test_a_missing_part_is_for_a_person_to_decide(change: dict[str, object], sentence: str, option: str) -> None:
    with pytest.raises(Undecided, match=sentence) as caught:
        labels.session_label(LabelRules().session, facts(**change))
    assert option in caught.value.advice


def test_a_masked_id_is_no_id() -> None:
    with pytest.raises(Undecided, match="the PatientID has no letter or digit"):
        labels.session_label("{PatientID}_{study_date}", facts(person=Person(id="***")))


def test_values_are_never_interpreted() -> None:
    hostile = facts(person=Person(id="{project}{0.__class__}%s"))
    assert labels.session_label("x{PatientID}", hostile) == "x_project__0___class____s"


def test_a_label_that_is_too_long_is_not_cut() -> None:
    long = facts(person=Person(id="x" * 195))
    with pytest.raises(Undecided, match="longer than XNAT can keep"):
        labels.session_label("{PatientID}_{study_date}", long)


def test_a_subject_is_what_xnat_makes_of_the_listed_name() -> None:
    assert labels.subject_label("", facts(subject=None), "Buc^Jérôme") == "Buc_Jérôme"


def test_a_subject_may_come_from_a_template_or_from_a_person() -> None:
    assert labels.subject_label("{PatientID}", facts(subject=None), "Other^Name") == "DEV_01"
    assert labels.subject_label("{PatientID}", facts(subject="chosen"), "Other^Name") == "chosen"


@pytest.mark.parametrize("name", ["", "^^", "***", " "])
def test_a_name_without_a_letter_names_nobody(name: str) -> None:
    with pytest.raises(Undecided, match="no letter or digit") as caught:
        labels.subject_label("", facts(subject=None, person=Person(name=name)), name)
    assert "--subject SUBJECT" in caught.value.advice


def test_letters_that_only_xnat_does_not_show_are_not_said_to_be_missing() -> None:
    greek = facts(subject=None, person=Person(name="\u039e\u03b1\u03bd\u03b8^\u0395\u03c1"))
    with pytest.raises(Undecided, match="XNAT shows no letter of the PatientName") as caught:
        labels.subject_label("", greek, "????^??")
    assert "--subject SUBJECT" in caught.value.advice


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("Ξανθίππη^Σωσώ", "_____________"),
        ("שרון^דבורה", "__________"),
        ("王^小東", "____"),
        ("王^小東^^", "______"),
        ("王^^", "_"),
    ],
)
def test_a_name_of_which_a_newer_xnat_lists_no_letter_names_a_subject_by_its_own(name: str, listed: str) -> None:
    about = facts(subject=None, person=Person(name=name))
    assert labels.subject_label("", about, listed) == labels.clean(name)
    assert labels.is_label(labels.clean(name))


def test_a_name_that_a_rule_of_the_site_has_replaced_is_never_told_as_a_label() -> None:
    about = facts(subject=None, person=Person(name="王^小東"))
    assert labels.subject_label("", about, "ANON7") == "ANON7"
    with pytest.raises(Undecided, match="XNAT shows no letter"):
        labels.subject_label("", about, "***")


def test_a_newer_xnats_own_reading_of_a_name_stays_where_something_can_be_read() -> None:
    about = facts(subject=None, person=Person(name="Müller^Jörg"))
    assert labels.subject_label("", about, "M_ller_J_rg") == "M_ller_J_rg"


@pytest.mark.parametrize(
    ("listed", "together"), [(normalize("NFD", "Müller^Jörg"), "Müller^Jörg"), ("Mu_ller_Jo_rg", "M_ller_J_rg")]
)
def test_a_name_whose_marks_are_written_apart_has_the_label_of_the_same_name_written_together(
    listed: str, together: str
) -> None:
    one = facts(subject=None, person=Person(name=normalize("NFD", "Müller^Jörg")))
    other = facts(subject=None, person=Person(name="Müller^Jörg"))

    assert labels.subject_label("", one, listed) == labels.subject_label("", other, together)
    assert labels.subject_label("{PatientName}", one, listed) == "Müller_Jörg"


@pytest.mark.parametrize("listed", ["????^??", "_______"])
def test_letters_that_the_export_has_lost_are_told_as_lost(listed: str) -> None:
    with pytest.raises(Undecided, match=r"the export wrote `\?` for the letters"):
        labels.subject_label("", facts(subject=None, person=Person(name="????^??")), listed)


def test_a_subject_with_letters_that_xnat_refuses_is_for_a_person_to_decide() -> None:
    with pytest.raises(Undecided, match="a character that XNAT refuses"):
        labels.subject_label("", facts(subject=None), "\u0e27\u0e34\u0e0a\u0e31\u0e22")


def test_the_zip_alone_shows_what_is_missing() -> None:
    with pytest.raises(Undecided, match="study date"):
        labels.check_parts(LabelRules(), facts(subject=None, date=""))
    with pytest.raises(Undecided, match="no letter or digit to name a subject by"):
        labels.check_parts(LabelRules(), facts(subject=None, person=Person(id="7")))
    with pytest.raises(Undecided, match="PatientID"):
        labels.check_parts(LabelRules(subject="{PatientID}"), facts(subject=None, person=Person(name="A^B")))


def test_a_person_is_asked_once_for_all_that_is_missing() -> None:
    masked = facts(subject=None, person=Person(name="***", id="***"), date="***")
    with pytest.raises(Undecided, match=r"no letter or digit .*; the study date is missing") as caught:
        labels.check_parts(LabelRules(), masked)
    assert "--subject SUBJECT --label LABEL" in caught.value.advice
    with pytest.raises(Undecided) as caught:
        labels.check_parts(LabelRules(), masked, label="visit-1")
    assert "--label" not in caught.value.advice


def test_what_a_person_chose_or_the_template_leaves_out_is_not_missed() -> None:
    labels.check_parts(LabelRules(), facts(subject=None))
    labels.check_parts(LabelRules(), facts(date=""), label="visit-1")
    labels.check_parts(LabelRules(), facts(subject="chosen", person=Person()))
    labels.check_parts(LabelRules(subject="{PatientID}"), facts(subject=None, person=Person(id="7")))
    labels.check_parts(LabelRules(session="{zip_name}"), facts(date="", time="", modalities=()))


def test_no_message_holds_patient_data() -> None:
    canary = Person(name="Κανάρι^Canary\u0e31", id="canary.\u0e31" * 60)
    for rules in (LabelRules(), LabelRules(subject="{PatientID}")):
        with pytest.raises(Undecided) as caught:
            labels.check_parts(rules, facts(subject=None, person=canary))
        said = (str(caught.value) + caught.value.advice + caught.value.detail).lower()
        assert "canary" not in said


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{subjct}_x", r"\{subjct\} is not a field of this template; the nearest is \{subject\}"),
        ("{patient_id}", r"\{patient_id\} .* nearest is \{PatientID\}"),
        ("{StudyDate}", r"\{StudyDate\} .* nearest is \{study_date\}"),
        ("{}", r"\{\} is not a field"),
        ("{subject.__class__}", "is not a field"),
        ("{subject!r}", "is not a field"),
        ("{subject", "may have letters"),
        ("a b", "may have letters"),
        ("{subject}/{modality}", "may have letters"),
        ("", "empty"),
    ],
)
def test_a_template_that_cannot_work_is_refused_with_the_nearest_field(template: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        labels.check_template(template, labels.SESSION_FIELDS)


def test_a_subject_is_not_made_of_itself() -> None:
    labels.check_template("{PatientID}", labels.SUBJECT_FIELDS)
    with pytest.raises(ValueError, match="not a field"):
        labels.check_template("{subject}", labels.SUBJECT_FIELDS)


@settings(deadline=None, max_examples=60)
@given(st.text(), st.text(), st.text(), st.text())
def test_whatever_a_header_says_a_label_is_sound_or_undecided(name: str, number: str, day: str, code: str) -> None:
    hostile = facts(subject=None, person=Person(name=name, id=number), date=day, modalities=(code,), zip_name=name)
    for template in ("{PatientID}_{PatientName}", "{zip_name}-{modality}", "{study_date}"):
        try:
            label = labels.session_label(template, hostile)
        except Undecided:
            continue
        assert labels.is_label(label)
