"""Subjects: demographics and custom fields, checked, escaped, dropped and read back (F40 to F45, F59)."""

from __future__ import annotations

import pytest

from tests.sandbox.kit import Visitor, child, place, reason, series_of, zipped

S1 = "/data/projects/P1/subjects/S1"
DEMOGRAPHIC = "xnat:subjectData/demographics[@xsi:type=xnat:demographicData]/"


def field(name: str) -> str:
    return f"xnat:subjectData/fields/field[name={name}]/field"


def demographics(visitor: Visitor) -> dict[str, object]:
    found = next(iter(child(visitor.item(S1), "demographics")), {})
    return {name: value for name, value in found.items() if not name.startswith("xnat_")}  # their own numbers


def fields(visitor: Visitor) -> dict[str, str]:
    return {one["name"]: one["field"] for one in child(visitor.item(S1), "fields/field")}


def test_a_put_makes_a_subject_and_the_next_finds_it(either: Visitor) -> None:  # F40, F215
    first, second = either.put(S1), either.put(S1)
    assert (first.status_code, first.text) == (201, "XNAT_S00001")
    assert (second.status_code, second.text) == (200, "XNAT_S00001")


def test_shortcuts_paths_and_custom_fields_are_stored_together(either: Visitor) -> None:  # F40, F219
    values = {
        "gender": "male",
        f"{DEMOGRAPHIC}dob": "1980-01-02",
        f"{DEMOGRAPHIC}age": "31",
        field("Subject_Age"): "30",
    }
    either.put(S1, values)
    assert demographics(either) == {"gender": "male", "dob": "1980-01-02", "age": 31}
    assert fields(either) == {"subject_age": "30"}
    assert either.xnat.subject("P1", "S1") == {
        "id": "XNAT_S00001", "label": "S1", "demographics": demographics(either), "fields": {"subject_age": "30"},
    }  # fmt: skip


def test_a_form_body_is_stored_on_1_8_and_ignored_with_200_on_1_6(old: Visitor, new: Visitor) -> None:  # F59
    for visitor, stored in ((old, {}), (new, {"gender": "female"})):
        visitor.put(S1)
        answer = visitor.ask("PUT", S1, data={"gender": "female"})
        assert (answer.status_code, answer.text) == (200, "XNAT_S00001")
        assert demographics(visitor) == stored


def test_values_come_back_escaped(old: Visitor, new: Visitor) -> None:  # F41, F122
    written = 'it\'s <b>"x"</b> & é'
    for visitor, last in ((old, "&#233;"), (new, "é")):
        visitor.put(S1, {field("note"): written})
        assert fields(visitor) == {"note": f"it&apos;s &lt;b&gt;&quot;x&quot;&lt;/b&gt; &amp; {last}"}


def test_an_empty_value_changes_nothing_on_1_6_and_null_clears(old: Visitor) -> None:  # F42
    old.put(S1, {"dob": "1980-01-02", "gender": "male", field("age"): "42"})
    old.put(S1, {"dob": "", field("age"): ""})
    assert demographics(old) == {"dob": "1980-01-02", "gender": "male"}
    assert fields(old) == {"age": "42"}
    old.put(S1, {"dob": "NULL"})
    assert demographics(old) == {"gender": "male"}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("dob", "notadate", "Must Be A Valid Date"),
        ("age", "old", "Must Be A Valid Integer"),
        ("gender", "banana", "'banana' Must Match Pre-Defined Values...(male,female,other,unknown,M,F)"),
    ],
)
def test_a_value_that_is_not_valid_stores_nothing(either: Visitor, name: str, value: str, words: str) -> None:  # F43
    answer = either.put(S1, {"handedness": "left", name: value})
    assert answer.status_code == 400
    assert words in reason(answer)
    assert either.get(S1, format="json").status_code == 404


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1984-6-7", "1984-06-07"), ("06/07/1984", "1984-06-07"), ("19840607", "1984-06-07"),
        ("13/05/1983", "1984-01-05"), ("2000-13-45", "2001-02-14"),
    ],
)  # fmt: skip
def test_dates_are_read_leniently_and_roll_over(either: Visitor, written: str, stored: str) -> None:  # F43
    either.put(S1, {"dob": written})
    assert demographics(either) == {"dob": stored}


def test_an_unknown_path_is_dropped_without_a_word(either: Visitor) -> None:  # F43, F217
    assert either.put(S1, {"xnat:subjectData/nonsense": "1", "gender": "M"}).status_code == 201
    assert demographics(either) == {"gender": "M"}


def test_a_label_renames_and_drops_the_rest_of_the_request(either: Visitor) -> None:  # F44, F216
    either.put(S1)
    either.put("/data/projects/P1/subjects/S2")
    answer = either.put(S1, {"label": "S9", "gender": "M"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert demographics_of(either, "S9") == []
    taken = either.put("/data/projects/P1/subjects/S9", {"label": "S2"})
    assert (taken.status_code, reason(taken)) == (409, "Specified label is already in use.")


def demographics_of(visitor: Visitor, label: str) -> list[dict[str, object]]:
    return child(visitor.item(f"/data/projects/P1/subjects/{label}"), "demographics")


def test_bad_labels_and_unknown_projects_are_refused(either: Visitor) -> None:  # F44
    assert either.put("/data/projects/P1/subjects/NEW%203").status_code == 500
    answer = either.put("/data/projects/NOPE/subjects/S1")
    assert answer.status_code == 422
    assert reason(answer) == "Submitted subject record must include the project attribute."


def test_a_missing_subject_is_404_with_a_sentence(either: Visitor) -> None:  # F44
    answer = either.get("/data/projects/P1/subjects/NOSUBJ", format="json")
    assert answer.status_code == 404
    assert reason(answer).endswith("does not contain a subject identifiable by the ID or label NOSUBJ.")


def test_rights_are_those_of_the_project(either: Visitor) -> None:  # F50
    either.put(S1)
    either.xnat.add_user("col", "secret")
    either.xnat.grant("col", "P1", "collaborator")
    for name, verb in (("outsider", "create"), ("col", "edit")):
        with Visitor(either.xnat, name) as visitor:
            answer = visitor.put(S1, {"group": "x"})
        assert (answer.status_code, f"insufficient {verb} privileges" in reason(answer)) == (403, True)


def test_a_subject_shows_its_sessions(either: Visitor) -> None:  # F125
    either.sent(zipped(series_of(1)), dest=place())
    either.archived(place(), subject="S1", session="E1")
    (session,) = child(either.item(S1), "experiments/experiment")
    assert (session["label"], session["subject_ID"]) == ("E1", "XNAT_S00001")
    assert either.item("/data/subjects/XNAT_S00001")["data_fields"]["label"] == "S1"


def test_only_owners_delete(either: Visitor) -> None:  # F50, F56
    either.sent(zipped(series_of(1)), dest=place())
    uri = either.archived(place(), subject="S1", session="E1")
    assert (either.ask("DELETE", uri).status_code, either.ask("DELETE", S1).status_code) == (403, 403)
    either.xnat.grant("tech", "P1", "owner")
    assert either.ask("DELETE", S1).status_code == 200
    assert (either.ask("DELETE", S1).status_code, either.xnat.instances()) == (404, [])
