import csv
import io
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.sharing import table
from xnat_watchd.core.sharing.plan import (
    MadeShare,
    RowPlan,
    SeenProject,
    SeenSession,
    ShareSession,
    ShareSubject,
    plan,
)
from xnat_watchd.core.sharing.row_state import RowState
from xnat_watchd.core.sharing.table import COLUMNS, LONGEST_CELL, MOST_BYTES, ShareRow, read

# -- reading


def rows_of(text: str, encoding: str = "utf-8") -> tuple[ShareRow, ...]:
    return read(text.encode(encoding)).rows


def asked(row: ShareRow) -> tuple[str, ...]:
    return tuple(getattr(row, column) for column in COLUMNS)


def asked_by_name(row: ShareRow) -> dict[str, str]:
    return dict(zip(COLUMNS, asked(row), strict=True))


PLAIN = "subject,source,destination\nS1,P1,P2\n"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("line", ["sep={}", "SEP={}", '"sep={}"', "sep={},,", "sep=,"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_line_that_tells_a_spreadsheet_the_separator_is_no_header(mark: str, line: str, encoding: str) -> None:
    table = f"{line.format(mark)}\r\n" + PLAIN.replace(",", mark).replace("\n", "\r\n")

    (row,) = rows_of(table, encoding)

    assert (row.line, *asked(row)[:3]) == (3, "S1", "P1", "P2")


@pytest.mark.parametrize("end", ["\x1a", "\r\n\x1a", "\x1a\x1a\r\n", "\x1a\0\0"])
def test_a_control_z_ends_a_table_as_programs_for_dos_write_it(end: str) -> None:
    assert rows_of(PLAIN + end) == rows_of(PLAIN)
    assert rows_of("subject,source,destination\n" + end) == ()


@pytest.mark.parametrize("text", [PLAIN + "\x1aS2,P1,P2\n", PLAIN + "\0", "\x1a" + PLAIN])
def test_no_row_hides_behind_a_control_z(text: str) -> None:
    with pytest.raises(Unusable, match="not a table of text"):
        rows_of(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_table_is_read_however_a_spreadsheet_wrote_it(encoding: str, delimiter: str, newline: str) -> None:
    text = "Subject,source,DESTINATION,label\nMüller,042,P2,001\n".replace(",", delimiter)
    (row,) = rows_of(text.replace("\n", newline), encoding)
    assert asked(row) == ("Müller", "042", "P2", "001", "", "")
    assert (row.line, row.fault, row.same_as) == (2, "", None)


def test_utf_16_is_read_in_both_orders() -> None:
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        assert [row.subject for row in read(mark + PLAIN.encode(encoding)).rows] == ["S1"]


def test_columns_may_stand_in_any_order_and_be_written_in_any_case() -> None:
    header = "\n\n Session-Label ;SESSIONS; Destination;notes;Source;subject;;Label\n"
    table = read((header + "{subject}_{study_date};*_MR;P2;seen;P1;S1;;anon\n").encode())
    assert asked(table.rows[0]) == ("S1", "P1", "P2", "anon", "*_MR", "{subject}_{study_date}")
    assert table.ignored == ("notes",)


def test_blank_lines_and_trailing_blanks_mean_nothing() -> None:
    rows = rows_of('subject,source,destination,,\n\n , ,\t,,\n,,,,\n S1 , P1,"P2 "  ,,\n'.replace('"  ', '"'))
    assert [(row.line, row.subject, row.source, row.destination) for row in rows] == [(5, "S1", "P1", "P2")]


def test_quotes_keep_delimiters_and_line_ends_and_lines_are_still_counted_right() -> None:
    rows = rows_of('subject,source,destination,notes\n"S1",P1,"P2","a, ""b""\nc"\nS2,P1,P2,\n')
    assert [(row.line, row.subject) for row in rows] == [(2, "S1"), (4, "S2")]
    assert rows[0].cells == ("S1", "P1", "P2", 'a, "b"\nc')


def test_a_quote_may_follow_a_blank() -> None:
    (row,) = rows_of('subject, source, destination\n"S1", "P1", "P2"\n')
    assert asked(row)[:3] == ("S1", "P1", "P2")


def test_a_row_that_says_the_same_again_names_the_first() -> None:
    rows = rows_of(PLAIN + "S2,P1,P2\n S1,P1 ,P2\n")
    assert [(row.line, row.same_as, row.fault) for row in rows] == [(2, None, ""), (3, None, ""), (4, 2, "")]


def test_rows_that_contradict_each_other_all_say_so() -> None:
    rows = rows_of("subject,source,destination,label\nS1,P1,P2,A\nS1,P1,P2,B\nS1,P1,P3,C\nS2,P1,P2,\nS2,P1,P2,S2\n")
    assert [row.fault for row in rows] == [
        "line 3 gives the same subject another label",
        "line 2 gives the same subject another label",
        "",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (",P1,P2", "the subject is empty"),
        ("S1,,P2", "the source is empty"),
        ("S1,P1", "the destination is empty"),
        ("S1,P1,P1", "source and destination are the same project"),
        ("S1,P1,P2,a b", "the label has a character that XNAT refuses, or is too long"),
        ("S1,P1,P2,,,{sesion}", "the nearest is {session}"),
        ("S1,P1,P2,,,{subject.__class__}", "is not a field of this template"),
        ("S1,P1,P2,,,,extra", "more cells than the header"),
        ("S" * (LONGEST_CELL + 1) + ",P1,P2", "longer than any"),
    ],
)
def test_a_row_that_cannot_be_meant_is_faulted_alone(cells: str, fault: str) -> None:
    good, bad = rows_of(",".join(COLUMNS) + "\nS0,P1,P2\n" + cells + "\n")
    assert not good.fault
    assert fault in bad.fault


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the table is empty"),
        (b"\n\n ,,\n", "the table is empty"),
        (b"subject,source\nS1,P1\n", "no column destination"),
        (b"Mustermann,P1,P2\n", "no column subject"),
        (b"subject,source,destination,Subject\n", "names the column subject twice"),
        (b"subject,source,destination,sesions\n", "almost, but not quite, sessions"),
        (b"subject,source,destination,session lable\n", "almost, but not quite, session_label"),
        (b"subject,source,destination,lable\n", "almost, but not quite, label"),
        (b'subject,source,destination\n"S1,P1,P2\nS2,P1,P2\n', "that begins in line 2"),
        (b'subject,source,destination\n"S1"x,P1,P2\n', "that begins in line 2"),
        (b"subject,source,destination\n" + b"S" * 200_000 + b",P1,P2\n", "that begins in line 2"),
        (PLAIN.encode() + b"\0", "not a table of text"),
        (PLAIN.encode("utf-16-le"), "not a table of text"),
        (PLAIN.encode("utf-32"), "not a table of text"),
        (b"\xef\xbb\xbfsubject,\xff", "not a table of text"),
        (b"subject,source,destination\n\x81,P1,P2", "not a table of text"),
        (b"PK\x03\x04\x14\0\0\0", "a spreadsheet, no CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a spreadsheet, no CSV"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a table of text"),
        (b" " * (MOST_BYTES + 1), "larger than 16 MiB"),
    ],
)
def test_what_is_no_table_gets_one_sentence_and_a_next_step(data: bytes, sentence: str) -> None:
    with pytest.raises(Unusable, match=sentence) as caught:
        read(data)
    assert "save it" in caught.value.advice.lower()


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        ("subjct,source,destination", "`subjct` is no column; did you mean `subject`?"),
        ("subject,source,destination, Lable ", "`Lable` is no column; did you mean `label`?"),
        (
            "subj,source,destination",
            "the header line has no column subject: `subj` is no column; did you mean `subject`?",
        ),
        ("Mustermann,source,destination", "the header line has no column subject: it has: Mustermann"),
    ],
)
def test_a_column_that_is_wrong_is_named_for_people_only(header: str, detail: str) -> None:
    with pytest.raises(Unusable) as caught:
        read(f"{header}\nS1,P1,P2\n".encode())
    assert caught.value.detail == detail
    assert not {"`", "subjct", "Lable", "Mustermann"}.intersection(str(caught.value).split())


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_ROWS", 3)
    header = b"subject,source,destination\n"
    assert len(read(header + b"S,P,Q\n" * 3).rows) == 3
    with pytest.raises(Unusable, match="more than 3 rows"):
        read(header + b"S,P,Q\n" * 4)


@pytest.mark.parametrize("text", ["subject,source,destination{}\n", "subject,source,destination\nS1,P1,P2{}\n"])
def test_a_row_of_countless_cells_is_refused(text: str) -> None:
    assert len(read(text.format(",x" * 997).encode()).rows) in (0, 1)
    with pytest.raises(Unusable, match="more than 1,000 cells"):
        read(text.format(",x" * 998).encode())


@pytest.mark.parametrize("cell", [",ab", ',"\n"'])
@pytest.mark.parametrize("begin", ["subject,source,destination", "subject,source,destination\nS1,P1,P2"])
def test_a_row_without_end_costs_no_memory(begin: str, cell: str) -> None:
    data = (begin + cell * (4 * 1024 * 1024 // len(cell))).encode()
    tracemalloc.start()
    with pytest.raises(Unusable, match="too long"):
        read(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 15 * len(data)


def test_the_sentence_quotes_nothing_of_a_table_without_a_header() -> None:
    with pytest.raises(Unusable) as caught:
        read(b"Mustermann^Erika,P1,P2\n")
    assert "Mustermann" not in str(caught.value)
    assert "Mustermann" in caught.value.detail


def test_a_changed_cell_makes_a_changed_row_and_a_new_line_or_note_does_not() -> None:
    (row,) = rows_of(PLAIN)
    (moved,) = rows_of("notes,subject,source,destination\n\nx,S1,P1,P2\n")
    assert moved.key == row.key
    for column in COLUMNS:
        (changed,) = rows_of(f"{','.join(COLUMNS)}\n{','.join({**asked_by_name(row), column: '{session}'}.values())}\n")
        assert changed.key != row.key


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [("", ["a_MR", "b_CT", "B_MR"]), ("*_MR", ["a_MR", "B_MR"]), ("b*", ["b_CT"]), ("[ab]_??", ["a_MR", "b_CT"])],
)
def test_a_pattern_chooses_sessions_by_label(pattern: str, wanted: list[str]) -> None:
    (row,) = rows_of(PLAIN)
    row = replace(row, sessions=pattern)
    assert [label for label in ("a_MR", "b_CT", "B_MR") if row.wants(label)] == wanted


def test_a_hostile_pattern_takes_no_time() -> None:
    (row,) = rows_of(PLAIN)
    assert not replace(row, sessions="*a" * 200 + "b").wants("a" * 255)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_unusable(data: bytes) -> None:
    for start in (b"", b"subject;source;destination\n", b"\xff\xfe"):
        try:
            read(start + data)
        except Unusable:
            continue


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=300))
def test_any_text_below_a_header_is_rows_or_unusable(text: str) -> None:
    try:
        table = read(("subject,source,destination\n" + text).encode("utf-8", "replace"))
    except Unusable:
        return
    assert all(row.subject or row.fault for row in table.rows)


CELLS = st.text(st.characters(codec="cp1252", exclude_categories=["Cc"]), max_size=12).map(str.strip)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(*[CELLS] * len(COLUMNS)), max_size=8),
    columns=st.permutations(COLUMNS),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    delimiter=st.sampled_from(",;\t"),
    newline=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_a_spreadsheet_writes_comes_back_as_text(
    rows: list[tuple[str, ...]],
    columns: Sequence[str],
    encoding: str,
    delimiter: str,
    newline: str,
    quoting: int,
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=quoting)  # type: ignore[arg-type]  # one of the two above
    writer.writerow([name.upper() for name in columns])
    for row in rows:
        writer.writerow([row[COLUMNS.index(name)] for name in columns])
    data = out.getvalue().encode(encoding)
    assume(encoding != "cp1252" or not _is_utf_8(data) or data.isascii())
    assert [asked(row) for row in read(data).rows] == [row for row in rows if any(row)]


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


# -- planning


def project(
    subjects: dict[str, str] | None = None, *sessions: tuple[str, str, str], writable: bool = True
) -> SeenProject:
    return SeenProject(
        writable=writable,
        subjects=subjects or {},
        sessions=[SeenSession(id=i, label=x, subject=s, date="2018-09-18") for i, x, s in sessions],
    )


SOURCE = project(
    {"S1": "X_S1", "S2": "X_S2"},
    ("X_E1", "S1_MR", "X_S1"),
    ("X_E2", "S1_CT", "X_S1"),
    ("X_E3", "S2_MR", "X_S2"),
)


def row(subject: str = "S1", destination: str = "P2", **more: str) -> ShareRow:
    return ShareRow(line=2, subject=subject, source="P1", destination=destination, **more)  # type: ignore[arg-type]  # the test's own names


def planned(one: ShareRow, destination: SeenProject, *made: MadeShare) -> RowPlan:
    (result,) = plan([one], {"P1": SOURCE, "P2": destination}, made)
    return result


def done(seen: dict[str, SeenProject], plans: Sequence[RowPlan]) -> dict[str, SeenProject]:
    """Return what the server would show after every action; raise what it would refuse."""
    seen = dict(seen)
    for action in dict.fromkeys(action for one in plans for action in one.actions):
        into = seen[action.destination]
        assert into.writable
        if isinstance(action, ShareSubject):
            assert seen[action.source].subjects[action.name] == action.id
            assert action.label not in into.subjects
            assert action.id not in into.subjects.values()
            seen[action.destination] = replace(into, subjects={**into.subjects, action.label: action.id})
        else:
            (session,) = (one for one in seen[action.source].sessions if one.id == action.id)
            assert session.subject in into.subjects.values()
            assert all(action.label != one.label and action.id != one.id for one in into.sessions)
            seen[action.destination] = replace(into, sessions=[*into.sessions, replace(session, label=action.label)])
    return seen


def test_a_subject_is_shared_first_and_then_its_sessions() -> None:
    result = planned(row(), project())
    ends = {"source": "P1", "destination": "P2"}
    assert result.state is RowState.SHARED
    assert result.actions == (
        ShareSubject(**ends, id="X_S1", name="S1", label="S1"),
        ShareSession(**ends, id="X_E2", name="S1_CT", label="S1_CT", subject="S1", subject_id="X_S1"),
        ShareSession(**ends, id="X_E1", name="S1_MR", label="S1_MR", subject="S1", subject_id="X_S1"),
    )


def test_nothing_is_done_twice() -> None:
    seen = {"P1": SOURCE, "P2": project()}
    rows = [row(), row(), row("S2", sessions="*_CT"), row("S2", sessions="*_MR")]
    after = done(seen, plan(rows, seen, ()))
    assert [(one.state, one.actions, one.sessions) for one in plan(rows, after, ())] == [
        (RowState.THERE, (), 2),
        (RowState.THERE, (), 2),
        (RowState.THERE, (), 0),
        (RowState.THERE, (), 1),
    ]


def test_a_session_that_arrives_later_is_shared_too() -> None:
    there = project({"S1": "X_S1"}, ("X_E1", "S1_MR", "X_S1"))
    result = planned(row(), there)
    assert [action.id for action in result.actions] == ["X_E2"]
    assert (result.state, result.sessions) == (RowState.SHARED, 1)


def test_labels_and_patterns_are_those_of_the_table() -> None:
    result = planned(
        row(label="anon7", sessions="*_MR", session_label="{subject}_{study_date}_{session_id}"), project()
    )
    assert [action.label for action in result.actions] == ["anon7", "anon7_20180918_X_E1"]


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (ShareRow(line=2, subject="S1", source="P9", destination="P2"), "no source project"),
        (ShareRow(line=2, subject="S1", source="P1", destination="P9"), "no destination project"),
        (row("S9"), "the source has no subject of this label yet"),
        (row("X_S1"), "no subject of this label"),
        (row("s1"), "no subject of this label yet, but one in other capitals"),
        (row("a/b?c#d"), "no subject of this label"),
    ],
)
def test_what_is_not_listed_is_waited_for_and_never_asked_for(one: ShareRow, reason: str) -> None:
    result = planned(one, project())
    assert (result.state, result.actions) == (RowState.WAITING, ())
    assert reason in result.reason


@pytest.mark.parametrize(
    ("one", "destination", "reason"),
    [
        (row(), project({"S1": "Y_S7"}), "the label is taken in the destination"),
        (row(label="anon"), project({"ANON": "Y_S7"}), "the label is taken in the destination"),
        (row(), project(writable=False), "we may not share into the destination"),
        (row(label="anon"), project({"S1": "X_S1"}), "there under another label"),
        (row(fault="the label is odd"), project(), "the label is odd"),
    ],
)
def test_a_row_that_fails_says_why_and_does_nothing(one: ShareRow, destination: SeenProject, reason: str) -> None:
    result = planned(one, destination)
    assert (result.state, result.actions) == (RowState.FAILED, ())
    assert reason in result.reason


def test_a_share_that_somebody_named_otherwise_is_fine_when_the_table_names_no_label() -> None:
    there = project({"other": "X_S1"}, ("X_E1", "X_E1", "X_S1"), ("X_E2", "odd", "X_S1"), writable=False)
    assert planned(row(), there).state is RowState.THERE


def test_one_session_that_fails_does_not_stop_the_others() -> None:
    result = planned(row(), project({}, ("Y_E9", "S1_MR", "Y_S7")))
    assert [action.id for action in result.actions] == ["X_S1", "X_E2"]
    assert result.state is RowState.FAILED
    assert result.reason.startswith("1 of 2 sessions: the label is taken in the destination")


def test_one_label_for_two_sessions_is_given_once() -> None:
    result = planned(row(session_label="{subject}_scan"), project())
    assert [action.label for action in result.actions] == ["S1", "S1_scan"]
    assert result.state is RowState.FAILED


def test_two_rows_of_two_tables_that_want_one_label_do_not_both_get_it() -> None:
    seen = {"P1": SOURCE, "P2": project()}
    first, second = plan([row(label="anon"), row("S2", label="anon")], seen, ())
    assert (first.state, second.state) == (RowState.SHARED, RowState.FAILED)
    third, fourth = plan([row(label="anon"), row(label="other")], seen, ())
    assert (third.state, fourth.state) == (RowState.SHARED, RowState.FAILED)
    assert "another row" in fourth.reason


def test_a_session_without_a_date_gets_no_label_made_of_one() -> None:
    source = replace(SOURCE, sessions=[replace(session, date="") for session in SOURCE.sessions])
    (result,) = plan([row(session_label="{study_date}")], {"P1": source, "P2": project()}, ())
    assert result.state is RowState.FAILED
    assert [type(action) for action in result.actions] == [ShareSubject]


def test_a_share_of_ours_that_vanished_is_not_made_again() -> None:
    made = MadeShare(row().key, "P2", "X_S1")
    result = planned(row(), project(), made)
    assert (result.state, result.actions) == (RowState.REMOVED, ())


def test_a_session_of_ours_that_vanished_stays_away_and_the_others_go_on() -> None:
    result = planned(row(), project({"S1": "X_S1"}), MadeShare(row().key, "P2", "X_E1"))
    assert [action.id for action in result.actions] == ["X_E2"]
    assert result.state is RowState.REMOVED
    assert result.reason.startswith("1 of 2 sessions: it is not shared again")


def test_a_share_of_ours_that_is_still_there_is_simply_there() -> None:
    made = [MadeShare(row().key, "P2", "X_S1"), MadeShare(row().key, "P2", "X_E1"), MadeShare(row().key, "P2", "X_E2")]
    there = project({"S1": "X_S1"}, ("X_E1", "S1_MR", "X_S1"), ("X_E2", "S1_CT", "X_S1"))
    assert planned(row(), there, *made).state is RowState.THERE


def test_another_row_does_not_bring_back_what_was_taken_back() -> None:
    made = [MadeShare(row(sessions="*_MR").key, "P2", "X_S1")]
    rows = [row(sessions="*_CT"), row(sessions="*_MR")]
    seen = {"P1": SOURCE, "P2": project()}
    assert [one.state for one in plan(rows, seen, made)] == [RowState.REMOVED, RowState.REMOVED]


def test_a_row_that_was_changed_shares_again() -> None:
    made = MadeShare(row().key, "P2", "X_S1")
    assert planned(row(label="anon"), project(), made).state is RowState.SHARED


def test_a_share_into_one_project_says_nothing_about_another() -> None:
    assert planned(row(), project(), MadeShare(row().key, "P3", "X_S1")).state is RowState.SHARED


GRAVITY = {state: rank for rank, state in enumerate(RowState)}
NAMES = st.sampled_from(["A", "a", "B", "C"])
IDS = st.sampled_from(["S1", "S2", "S3"])


@st.composite
def projects(draw: st.DrawFn, prefix: str) -> SeenProject:
    subjects = draw(st.dictionaries(NAMES, IDS, max_size=3).filter(lambda d: len(set(d.values())) == len(d)))
    sessions = draw(st.lists(st.tuples(st.integers(1, 4), NAMES, IDS), max_size=4, unique_by=lambda t: t[0]))
    named = {label: (f"E{number}", label, subject) for number, label, subject in sessions}
    if prefix == "source":
        named = {label: one for label, one in named.items() if one[2] in subjects.values()}
    return project(subjects, *named.values(), writable=draw(st.booleans()))


ROWS = st.lists(
    st.builds(
        row,
        NAMES,
        st.sampled_from(["P2", "P3"]),
        label=st.sampled_from(["", "A", "x"]),
        sessions=st.sampled_from(["", "A*", "?"]),
        session_label=st.sampled_from(["", "{subject}_{session}", "y"]),
    ),
    max_size=5,
)


@settings(deadline=None, max_examples=60)
@given(ROWS, projects("source"), projects("into"), projects("into"))
def test_whatever_the_server_shows_one_sweep_makes_true_what_can_be_and_a_second_does_nothing(
    rows: list[ShareRow], source: SeenProject, into: SeenProject, beside: SeenProject
) -> None:
    seen = {"P1": source, "P2": into, "P3": beside}
    first = plan(rows, seen, ())
    after = done(seen, first)
    second = plan(rows, after, ())
    assert not [action for one in second for action in one.actions]
    for before, now in zip(first, second, strict=True):
        assert GRAVITY[now.state] <= GRAVITY[before.state]
        assert now.state is RowState.THERE or before.state is not RowState.SHARED


def test_ten_thousand_rows_over_five_projects_are_read_and_planned_at_once() -> None:
    text = "subject,source,destination\n" + "".join(f"S{n},P1,P{2 + n % 4}\n" for n in range(10_000))
    subjects = {f"S{n}": f"X_S{n}" for n in range(10_000)}
    sessions = [(f"X_E{n}", f"S{n}_MR", f"X_S{n}") for n in range(10_000)]
    seen = {"P1": project(subjects, *sessions)} | {f"P{n}": project() for n in range(2, 6)}
    plans = plan(rows_of(text), seen, ())
    assert sum(len(one.actions) for one in plans) == 20_000
