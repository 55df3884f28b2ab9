"""How answers are read and judged, without a server."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from xnat_watchd.adapters.xnat.answer_meanings import MEANINGS, Purpose, error_for, retry_after
from xnat_watchd.adapters.xnat.answers import Answer, count, item, session_xml, table, uris
from xnat_watchd.adapters.xnat.records import header_values, path, row_at, row_holding, session_holding, subject
from xnat_watchd.adapters.xnat.sop_uid import sop_uid
from xnat_watchd.core.delivery import Place, Scan
from xnat_watchd.core.errors import (
    AlreadyImported,
    AuthRefused,
    Conflict,
    InDoubt,
    NotYet,
    Permanent,
    RepeatOnce,
    Scope,
    ServerFailure,
    Transient,
    Unavailable,
    WatchdError,
)
from xnat_watchd.sandbox.samples import study, uid

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PLACE = Place("P1", "20240229_101112130", "xw-1")


def page(words: str, status: int = 500, title: str = "Status page") -> Answer:
    text = f"<html>\n<head>\n<title>{title}</title></head><body>\n<h3>{words}</h3><p>You can get details.</p></body>"
    return Answer(status, text.encode())


def as_json(value: object) -> Answer:
    return Answer(200, json.dumps(value).encode(), {"content-type": "application/json"})


TOMCAT = page("Apache Tomcat/9.0.70", 404, "HTTP Status 404 \u2013 Not Found")


def rows(*cells: object) -> Answer:
    return as_json({"ResultSet": {"Result": list(cells)}})


# -- verdicts: each row of the table has a case ----------------------------------------------------------------

CASES: list[tuple[int, str, Purpose, type[WatchdError]]] = [
    (302, "", Purpose.READ, Unavailable),
    (403, "Your security token has expired. Please try again", Purpose.READ, AuthRefused),
    (407, "", Purpose.ARCHIVE, Unavailable),
    (408, "", Purpose.IMPORT, InDoubt),
    (429, "", Purpose.IMPORT, Unavailable),
    (502, "", Purpose.READ, Unavailable),
    (503, "", Purpose.IMPORT, Unavailable),
    (504, "", Purpose.ARCHIVE, Unavailable),
    (401, "", Purpose.IMPORT, Transient),
    (413, "", Purpose.IMPORT, Permanent),
    (405, "The method specified in the request is not allowed", Purpose.SHARE, Permanent),
    (404, "Unknown importer implementation specified: DICOM-zip", Purpose.IMPORT, Permanent),
    (404, "", Purpose.IMPORT, Transient),
    (409, "Session already exists with matching files.", Purpose.IMPORT, AlreadyImported),
    (409, "", Purpose.IMPORT, InDoubt),
    (400, "unable to read DICOM object 1.dcm: No space left on device", Purpose.IMPORT, ServerFailure),
    (423, "", Purpose.IMPORT, InDoubt),
    (500, "java.io.IOException: No project named NOPE", Purpose.IMPORT, Permanent),
    (500, "Premature end of file.", Purpose.IMPORT, RepeatOnce),
    (500, "Transfer Syntax UID is null", Purpose.IMPORT, RepeatOnce),
    (500, "/data/xnat/prearchive/P1/T/F.xml (No such file or directory)", Purpose.IMPORT, RepeatOnce),
    (400, "Upload did not include parseable files for session generation.", Purpose.IMPORT, RepeatOnce),
    (403, "user tech does not have create permissions for project P1", Purpose.IMPORT, RepeatOnce),
    (500, "something else", Purpose.IMPORT, ServerFailure),
    (403, "Operation already in progress on this prearchive entry.", Purpose.ARCHIVE, InDoubt),
    (403, "/prearchive/projects/P1/T/F", Purpose.ARCHIVE, RepeatOnce),
    (404, "/prearchive/projects/P1/T/F not found.", Purpose.ARCHIVE, InDoubt),
    (409, "Session processing may already be in progress: AutoRun. Concurrent ...", Purpose.ARCHIVE, NotYet),
    (409, "Concurrent modification is discouraged.", Purpose.ARCHIVE, NotYet),
    (409, "Session already exists, retry with overwrite enabled", Purpose.ARCHIVE, Conflict),
    (409, "Invalid modification of session modality via archive process.", Purpose.ARCHIVE, Conflict),
    (423, "Duplicate archive attempt.", Purpose.ARCHIVE, InDoubt),
    (400, "unable to identify subject", Purpose.ARCHIVE, RepeatOnce),
    (404, "", Purpose.DISCARD, InDoubt),
    (404, "", Purpose.BUILD, InDoubt),
    (409, "", Purpose.BUILD, NotYet),
    (423, "", Purpose.DISCARD, NotYet),
    (403, "no create permissions", Purpose.DISCARD, RepeatOnce),
    (403, "insufficient edit privileges", Purpose.WRITE, RepeatOnce),
    (408, "", Purpose.WRITE, InDoubt),
    (409, "", Purpose.WRITE, Conflict),
    (400, "ID cannot be modified", Purpose.WRITE, Conflict),
    (400, "Must Be A Valid Date", Purpose.WRITE, Permanent),
    (409, "Already assigned to project:P2", Purpose.SHARE, Conflict),
    (403, "Sharing is not allowed.", Purpose.SHARE, RepeatOnce),
    (403, "only project owners", Purpose.GRANT, Permanent),
    (403, "", Purpose.READ, RepeatOnce),
    (400, "", Purpose.READ, Transient),
    (418, "", Purpose.READ, Transient),
    (507, "", Purpose.BUILD, InDoubt),
    (500, "", Purpose.READ, Transient),
    (100, "", Purpose.ARCHIVE, InDoubt),
    (100, "", Purpose.READ, Transient),
    (600, "", Purpose.ARCHIVE, InDoubt),
    (600, "", Purpose.READ, Transient),
]


@pytest.mark.parametrize(("status", "words", "purpose", "kind"), CASES, ids=str)
def test_an_answer_means_what_the_table_says(
    status: int, words: str, purpose: Purpose, kind: type[WatchdError]
) -> None:
    error = error_for(page(words, status), purpose, "P1", NOW)
    assert type(error) is kind
    assert "P1" in str(error)
    assert error.advice
    assert not words or words not in str(error)


@pytest.mark.parametrize(
    ("status", "words", "purpose", "scope"),
    [
        (400, "unable to read DICOM object", Purpose.IMPORT, Scope.STUDY),
        (400, "unable to read DICOM object 1.dcm: No space left on device", Purpose.IMPORT, Scope.PROJECT),
        (413, "", Purpose.IMPORT, Scope.STUDY),
        (409, "", Purpose.IMPORT, Scope.STUDY),
        (400, "Must Be A Valid Date", Purpose.WRITE, Scope.STUDY),
        (409, "Session already exists, retry with overwrite enabled", Purpose.ARCHIVE, Scope.STUDY),
        (404, "", Purpose.SHARE, Scope.STUDY),
        (403, "user tech does not have create permissions for project P1", Purpose.IMPORT, Scope.PROJECT),
        (403, "/prearchive/projects/P1/T/F", Purpose.ARCHIVE, Scope.PROJECT),
        (403, "Sharing is not allowed.", Purpose.SHARE, Scope.PROJECT),
        (500, "No space left on device", Purpose.IMPORT, Scope.PROJECT),
        (507, "", Purpose.IMPORT, Scope.PROJECT),
        (503, "", Purpose.IMPORT, Scope.SERVER),
        (429, "", Purpose.READ, Scope.SERVER),
    ],
    ids=str,
)
def test_an_answer_says_whose_trouble_it_may_be(status: int, words: str, purpose: Purpose, scope: Scope) -> None:
    assert error_for(page(words, status), purpose, "P1", NOW).scope is scope


def test_tomcat_without_xnat_is_not_there() -> None:  # F270
    error = error_for(TOMCAT, Purpose.READ, "", NOW)
    assert type(error) is Unavailable


def test_every_row_of_the_table_has_a_case() -> None:
    cases = [(page(words, status), purpose) for status, words, purpose, _ in CASES]
    cases.append((TOMCAT, Purpose.READ))
    met = {
        next(
            n
            for n, row in enumerate(MEANINGS)
            if answer.status in row.status and purpose in row.purposes and row.words in answer.words
        )
        for answer, purpose in cases
    }
    assert sorted(set(range(len(MEANINGS))) - met) == []


@pytest.mark.parametrize("purpose", Purpose)
def test_no_status_is_without_a_verdict(purpose: Purpose) -> None:
    for status in range(600):
        assert isinstance(error_for(page("?", status), purpose, "P1", NOW), WatchdError)


def test_only_a_deed_leaves_a_doubt_behind() -> None:
    assert error_for(page("", 503), Purpose.IMPORT, "P1", NOW).spoke
    assert not error_for(page("", 503), Purpose.READ, "P1", NOW).spoke
    assert not error_for(page("", 429), Purpose.IMPORT, "P1", NOW).spoke
    assert not error_for(page("", 413), Purpose.IMPORT, "P1", NOW).spoke


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", timedelta(minutes=2)),
        (" 0 ", timedelta(0)),
        ("99999999", timedelta(hours=1)),
        ("Sun, 22 Nov 2026 09:05:00 GMT", timedelta(minutes=5)),
        ("Sun, 22 Nov 2026 08:00:00 GMT", timedelta(0)),
        ("Sun, 22 Nov 2026 09:05:00 -0000", None),
        ("soon", None),
        ("-5", None),
        ("9" * 4000, None),
        ("²", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value: str, wait: timedelta | None) -> None:
    assert retry_after(value, NOW) == wait


# -- pages -----------------------------------------------------------------------------------------------------


def test_the_reason_of_a_page_is_found_and_bounded() -> None:  # F54
    assert page("Session &amp; <b>more</b>\n words").reason == "Session & more words"
    tomcat = "<p><b>Message</b> Login attempt failed.</p><h3>Apache Tomcat/9.0.70</h3>"
    assert Answer(401, tomcat.encode()).reason == "Login attempt failed."
    assert len(page("x" * 10_000).reason) == 500


@pytest.mark.parametrize(
    "text", ["<!doctype html>", "\n <HTML lang='en'>", "<!-- hello --><html>", "<!DOCTYPE HTML PUBLIC>"]
)
def test_a_page_is_known_by_its_beginning(text: str) -> None:  # F281
    assert Answer(200, text.encode()).is_page


@pytest.mark.parametrize("text", ["", "{}", '<?xml version="1.0"?><xnat:Session/>', "<htmlish/>", "/data/prearchive"])
def test_an_answer_is_no_page(text: str) -> None:
    assert not Answer(200, text.encode()).is_page


def test_the_charset_is_that_of_the_header() -> None:  # F128
    said = {"content-type": "text/plain;charset=ISO-8859-1"}
    assert Answer(200, "ü".encode("latin-1"), said).text == "ü"
    assert Answer(200, "ü".encode()).text == "ü"
    assert Answer(200, "ü".encode(), {"content-type": "text/plain;charset=klingon"}).text == "ü"


# -- tables and items ------------------------------------------------------------------------------------------


def test_odd_cells_are_left_out_and_numbers_are_text() -> None:
    answer = rows({"a": "x", "b": 3, "c": None, "d": ["y"], "e": True}, "no row", ["nor", "this"])
    assert table(answer) == [{"a": "x", "b": "3"}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"ResultSet": 1}',
        b'{"ResultSet": {"Result": {}}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_table_is_not_read_as_an_empty_one(body: bytes) -> None:
    with pytest.raises(Transient):
        table(Answer(200, body))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"items": []}', b'{"items": [1]}', b'{"items": {"0": {}}}'])
def test_what_is_no_item_is_refused(body: bytes) -> None:
    with pytest.raises(Transient):
        item(Answer(200, body))


def test_an_item_of_wrong_shapes_is_read_as_far_as_it_goes() -> None:
    node = item(
        as_json({"items": [{"data_fields": ["no"], "children": [7, {"field": 3}, {"field": "x", "items": 5}]}]})
    )
    assert (node.fields, node.children) == ({}, {"x": ()})


@pytest.mark.parametrize("depth", [100, 200, 240, 300])
def test_items_within_items_are_no_crash(depth: int) -> None:
    body = b'{"items": [' + b'{"children": [{"field": "x", "items": [' * depth + b"]}]}" * depth + b"]}"
    with suppress(Transient):  # read, or refused; never a crash
        item(Answer(200, body))


@pytest.mark.parametrize(("text", "number"), [("3", 3), ("0", 0), ("", None), ("-1", None), ("1e3", None), ("²", None)])
def test_a_count_is_a_number_or_unknown(text: str, number: int | None) -> None:
    assert count(text) == number


@pytest.mark.parametrize(
    ("line", "uri"),
    [
        ("/data/prearchive/projects/P1/T/F", "/data/prearchive/projects/P1/T/F"),
        ("/prearchive/projects/P1/T/F", "/data/prearchive/projects/P1/T/F"),
        ("http://host:8080/xnat/data/prearchive/projects/P1/T/F", "/data/prearchive/projects/P1/T/F"),
        ("/archive/projects/P1/subjects/S/experiments/E", "/data/archive/projects/P1/subjects/S/experiments/E"),
        ("/xapi/direct-archive/P1/1.2/L", "/xapi/direct-archive/P1/1.2/L"),
        ("Welcome to XNAT", "Welcome to XNAT"),
    ],
)
def test_the_lines_of_an_import_are_brought_to_one_form(line: str, uri: str) -> None:
    assert uris(Answer(200, f"{line}\r\n".encode())) == [uri]


# -- session XML -----------------------------------------------------------------------------------------------


def test_a_session_xml_names_the_uids() -> None:
    xml = """<?xml version="1.0"?><xnat:CTSession UID="1.2" xmlns:xnat="http://nrg.wustl.edu/xnat"><xnat:scans>
      <xnat:scan ID="1" UID="1.2.1"><xnat:scan ID="no" UID="no"/></xnat:scan><xnat:scan ID="2-MR1" UID="1.2.2"/>
      </xnat:scans></xnat:CTSession>"""
    found = session_xml(Answer(200, xml.encode()))
    assert (found.study_uid, found.scans) == ("1.2", {"1": "1.2.1", "2-MR1": "1.2.2"})


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><x UID="&b;"/>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x UID="1">&a;</x>'


@pytest.mark.parametrize("xml", ["", "<x", "<x><y></x>", "no xml", LAUGHS, OUTSIDE, "<!DOCTYPE x><x/>"])
def test_xml_that_is_broken_or_wants_something_expanded_is_refused(xml: str) -> None:
    with pytest.raises(Transient):
        session_xml(Answer(200, xml.encode()))


# -- records ---------------------------------------------------------------------------------------------------


def test_only_the_row_of_our_place_is_ours() -> None:
    ours = {"project": "P1", "timestamp": PLACE.timestamp, "folderName": "xw-1", "status": "READY", "tag": "1.2"}
    row = row_at(PLACE, [{**ours, "project": "Unassigned"}, {**ours, "folderName": "xw-10"}, ours])
    assert row is not None
    assert (row.status, row.subject, row.study_uid) == ("READY", "", "1.2")
    assert row_at(PLACE, [{"project": "P1"}]) is None
    with pytest.raises(Transient):
        row_at(PLACE, [{**ours, "status": ""}])


def resource(scan: str, files: str, label: str = "DICOM") -> dict[str, str]:
    return {"category": "scans", "cat_id": scan, "label": label, "file_count": files}


def test_a_built_row_counts_dicom_and_secondary_of_every_scan() -> None:
    xml = session_xml(Answer(200, b'<a UID="1"><scans><scan ID="1" UID="1.1"/><scan ID="2" UID="1.2"/></scans></a>'))
    seen = [resource("1", "3"), resource("1", "2", "secondary"), resource("1", "9", "SNAPSHOTS"), resource("7", "1")]
    assert row_holding(xml, seen).scans == (
        Scan("1", "1.1", 5, ("DICOM", "secondary")), Scan("2", "1.2", 0), Scan("7", "", 1, ("DICOM",)),
    )  # fmt: skip
    with pytest.raises(NotYet):
        row_holding(xml, [resource("1", "")])


def scan_node(files: object, label: str = "DICOM") -> dict[str, object]:
    file = {"data_fields": {"label": label, "file_count": files}}
    return {"data_fields": {"ID": "1", "UID": "1.1"}, "children": [{"field": "file", "items": [file]}]}


def test_a_session_without_counts_is_counted_by_its_resources() -> None:
    def session(*scans: object) -> Answer:
        return as_json(
            {"items": [{"data_fields": {"UID": "1"}, "children": [{"field": "scans/scan", "items": list(scans)}]}]}
        )

    whole = session_holding(item(session(scan_node(3))), None)
    assert whole is not None
    assert whole.scans == (Scan("1", "1.1", 3),)
    for unknown in ("", None):
        node = item(session(scan_node(unknown)))
        assert session_holding(node, None) is None
        again = session_holding(node, [resource("1", "4")])
        assert again is not None
        assert again.scans == (Scan("1", "1.1", 4),)
    assert session_holding(item(session({"data_fields": {"ID": "1"}})), None) is None


def test_a_dump_is_believed_only_with_the_studys_own_uid() -> None:
    def row(tag: str, value: str, within: str = "") -> dict[str, str]:
        return {"tag1": tag, "tag2": within, "value": value}

    dump = [
        row("(0020,000D)", "1.2"),
        row("(0010,0040)", "F"),
        row("(0010,1010)", "0&lt;1"),
        row("(0010,0030)", "x", "y"),
    ]
    assert header_values(dump, "1.2") == {"PatientSex": "F", "PatientAge": "0<1"}
    for wrong in ("1.3", ""):
        with pytest.raises(NotYet):
            header_values(dump, wrong)
    for names_none in ([], [row("(0010,0040)", "F")], [row("(0020,000D)", "")], [row("(0020,000D)", "31\\2E\\32")]):
        assert header_values(names_none, "1.2") is None


def test_a_subject_is_unescaped() -> None:
    custom = {"data_fields": {"name": "Remark", "field": "a &amp; &#252;"}}
    person = {"data_fields": {"age": 31, "gender": "male", "xnat_abstractDemographicData_id": 3}}
    children = [{"field": "fields/field", "items": [custom, {}]}, {"field": "demographics", "items": [person]}]
    found = subject(
        item(as_json({"items": [{"data_fields": {"ID": "XNAT_S1", "label": "S1"}, "children": children}]})), "P1"
    )
    assert (found.fields, found.demographics) == ({"remark": "a & ü"}, {"age": "31", "gender": "male"})


def test_segments_of_a_path_stay_segments() -> None:
    assert path("projects", "a/b?c#d", "ü %") == "/data/projects/a%2Fb%3Fc%23d/%C3%BC%20%25"
    for one in ("", ".", ".."):
        with pytest.raises(Permanent):
            path("projects", one)


# -- SOP instances ---------------------------------------------------------------------------------------------


def test_a_sop_uid_is_read_from_the_beginning_of_a_file() -> None:
    [(_, content)] = study(7, images=1, pixels=(256, 256))
    assert sop_uid(content[:1024]) == uid(7, 1, 1)


@pytest.mark.parametrize("content", [b"", b"II*\0", bytes(128) + b"DICM", b"\xff" * 300])
def test_a_file_that_is_no_dicom_names_none(content: bytes) -> None:
    with pytest.raises(Transient):
        sop_uid(content)


def test_a_file_cut_anywhere_names_the_right_one_or_none() -> None:
    [(_, content)] = study(7, images=1)
    for size in range(0, 600, 3):
        try:
            found = sop_uid(content[:size])
        except Transient:
            continue
        assert found == uid(7, 1, 1)
