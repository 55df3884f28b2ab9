"""Habits that are off unless the options ask for them: filters, other UIDs, scripts, delays, queues, limits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from tests.sandbox.kit import OTHER_STUDY, STUDY, Clock, Visitor, dicom, place, reason, series_of, zipped
from xnat_watchd.sandbox import Options, Sandbox

ROWS = "/data/prearchive/projects/P1"
Opened = Callable[..., Visitor]


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[Opened]:
    """Yield a function that opens an XNAT of a dialect with these options."""
    with ExitStack() as stack:

        def open_one(dialect: str = "1.8", **options: object) -> Visitor:
            settings = Options(**options)  # type: ignore[arg-type]
            xnat = Sandbox(tmp_path / dialect, dialect, projects=["P1"], users={"tech": "secret"}, clock=clock,
                           options=settings)  # fmt: skip
            return stack.enter_context(Visitor(stack.enter_context(xnat)))

        yield open_one


def archive_together(visitor: Visitor, places: list[str], subject: str) -> list[tuple[int, str]]:
    """Archive several rows at the same moment, each in a login session of its own."""
    answers: list[tuple[int, str]] = []
    gate = threading.Barrier(len(places))

    def one(number: int, src: str) -> None:
        with Visitor(visitor.xnat) as own:
            gate.wait()
            answer = own.archive(src, subject=subject, session=f"E{number}")
            answers.append((answer.status_code, reason(answer)))

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(places)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(answers)


def test_a_series_filter_drops_in_silence(opened: Opened) -> None:  # F140
    visitor = opened(left_out_series="series 2")
    members = {**series_of(1), **series_of(2, series=2)}
    assert visitor.send(zipped(members), dest=place()).status_code == 200
    assert len(visitor.xnat.instances()) == 1
    answer = visitor.send(zipped(series_of(2, series=2)), dest=place("all"))
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_site_may_give_every_object_other_uids(opened: Opened) -> None:  # F174
    visitor = opened(remaps_uids=True)
    row = visitor.sent(zipped(series_of(2)), dest=place(), session="xw_1")
    (shown,) = visitor.rows(ROWS)
    assert shown["tag"] != STUDY
    assert {one.study_uid for one in visitor.xnat.instances()} == {shown["tag"]}
    assert len({one.sop_uid for one in visitor.xnat.instances()}) == 2
    visitor.archived(row, subject="S1", session="E1")
    dump = {"src": "/archive/projects/P1/experiments/E1", "field": "StudyInstanceUID"}
    assert visitor.rows("/data/services/dicomdump", **dump)[0]["value"] == shown["tag"]


def test_a_later_upload_no_longer_matches_a_remapped_row(opened: Opened) -> None:  # F174
    visitor = opened(remaps_uids=True)
    for series in (1, 2):
        visitor.sent(zipped(series_of(1, series=series)), dest="/prearchive/projects/P1", session="E1")
    assert len(visitor.rows(ROWS)) == 2


def test_names_are_replaced_at_reception_on_1_8(opened: Opened) -> None:  # F147
    visitor = opened(anonymises=True)
    content = dicom(PatientName="Canary^Kimberley", StudyDescription="secret study")
    visitor.sent(zipped({"a": content}), dest=place(), subject="S1", session="E1")
    stored = visitor.xnat.instances()[0].path.read_bytes()
    assert b"Canary" not in stored
    assert b"secret study" not in stored
    assert stored.endswith(content[-64:])


@pytest.mark.parametrize(
    ("dest", "replaced"), [("/archive/projects/P1/subjects/S1/experiments/E1", True), (place(), False)]
)
def test_names_are_replaced_on_the_straight_way_only_on_1_6(
    opened: Opened, dest: str, *, replaced: bool
) -> None:  # F18
    visitor = opened("1.6", anonymises=True)
    where = visitor.sent(zipped({"a": dicom(implicit=True)}), dest=dest)
    if not replaced:
        visitor.archived(where, subject="S1", session="E1")
    dump = {"src": "/archive/projects/P1/experiments/E1", "field": "PatientName"}
    assert visitor.rows("/data/services/dicomdump", **dump)[0]["value"] == ("S1" if replaced else "Canary^Kim")


def test_an_archiving_that_takes_long_is_500_while_it_goes_on(opened: Opened) -> None:  # F194
    visitor = opened(archiving_takes=timedelta(seconds=0.2), archive_timeout=timedelta(seconds=0.01))
    row = visitor.sent(zipped(series_of(1)), dest=place(), session="xw_1")
    answer = visitor.archive(row, subject="S1", session="E1")
    assert (answer.status_code, "time-out" in reason(answer)) == (500, True)
    assert visitor.rows(ROWS)[0]["status"] == "_ARCHIVING"
    assert visitor.archive(row, subject="S1", session="E1").status_code == 403
    assert visitor.ask("DELETE", f"/data{row}").status_code == 200
    while visitor.rows(ROWS):
        pass
    assert [one["label"] for one in visitor.xnat.sessions("P1")] == ["E1"]


def test_a_second_attempt_meanwhile_is_423_on_1_6(opened: Opened) -> None:  # F38
    visitor = opened("1.6", archiving_takes=timedelta(seconds=0.3))
    visitor.sent(zipped(series_of(1)), dest=place(), session="xw_1")
    first, second = archive_together(visitor, [place(), place()], "S1")
    assert first == (200, "")
    assert second == (423, "Duplicate archive attempt.  Preachive session already archiving.")


def test_two_sessions_that_make_one_subject_at_once_break_1_6_and_not_1_8(opened: Opened) -> None:  # F38, F200
    for dialect, worst in (("1.6", 500), ("1.8", 200)):
        visitor = opened(dialect, archiving_takes=timedelta(seconds=0.2))
        for number, study in enumerate((STUDY, OTHER_STUDY)):
            visitor.sent(zipped(series_of(1, study=study)), dest=place(f"xw_{number}"), session=f"xw_{number}")
        answers = archive_together(visitor, [place("xw_0"), place("xw_1")], "NEW")
        assert [status for status, _ in answers] == [200, worst]


def test_a_subject_that_exists_may_be_used_by_several_at_once(opened: Opened) -> None:  # F38
    visitor = opened("1.6", archiving_takes=timedelta(seconds=0.1))
    visitor.put("/data/projects/P1/subjects/THERE")
    for number, study in enumerate((STUDY, OTHER_STUDY)):
        visitor.sent(zipped(series_of(1, study=study)), dest=place(f"xw_{number}"), session=f"xw_{number}")
    assert archive_together(visitor, [place("xw_0"), place("xw_1")], "THERE") == [(200, ""), (200, "")]


def test_queued_work_is_done_later(opened: Opened, clock: Clock) -> None:  # F25, F183
    visitor = opened(queue_takes=timedelta(seconds=3))
    row = visitor.sent(zipped(series_of(1)), dest=place(), session="xw_1")
    visitor.ask("POST", "/data/services/prearchive/delete", params={"src": row})
    assert visitor.rows(ROWS)[0]["status"] == "QUEUED_DELETING"
    clock.move(seconds=3)
    assert visitor.rows(ROWS) == []


def test_a_workflow_ends_by_itself(opened: Opened, clock: Clock) -> None:  # F29
    visitor = opened("1.6", pipelines_take=timedelta(seconds=5))
    for number in (1, 2):
        visitor.sent(zipped(series_of(1, series=number)), dest=place(f"xw_{number}"), session="xw")
    visitor.archived(place("xw_1"), subject="S1", session="E1")
    assert visitor.archive(place("xw_2"), subject="S1", session="E1", overwrite="append").status_code == 409
    clock.move(seconds=6)
    visitor.archived(place("xw_2"), subject="S1", session="E1", overwrite="append")


def test_too_many_login_sessions_refuse_the_next(opened: Opened, clock: Clock) -> None:  # F105
    visitor = opened(session_limit=3)

    def login() -> int:
        visitor.http.cookies.clear()
        return visitor.get("/data/projects").status_code

    assert [login() for _ in range(4)] == [200, 200, 200, 401]
    clock.move(minutes=16)
    assert login() == 200


def test_stopping_ends_an_archiving_in_the_background(opened: Opened) -> None:
    visitor = opened(archiving_takes=timedelta(seconds=60), archive_timeout=timedelta(seconds=0.01))
    row = visitor.sent(zipped(series_of(1)), dest=place(), session="xw_1")
    assert visitor.archive(row).status_code == 500
    visitor.xnat.stop()
    assert {one.where for one in visitor.xnat.instances()} == {"prearchive"}


def import_together(visitor: Visitor, contents: list[bytes], *, shared_login: bool = False) -> list[tuple[int, str]]:
    """Import several ZIPs at the same moment."""
    answers: list[tuple[int, str]] = []
    gate = threading.Barrier(len(contents))
    cookies = dict(visitor.get("/data/projects").cookies) if shared_login else {}

    def one(number: int, content: bytes) -> None:
        with Visitor(visitor.xnat) as own:
            own.http.cookies.update(cookies)
            gate.wait()
            answer = own.send(content, dest=place(f"xw_{number}"), session=f"xw_{number}")
            answers.append((answer.status_code, reason(answer)))

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(contents)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(answers)


def test_imports_that_start_together_fall_into_one_row(opened: Opened) -> None:  # F61
    visitor = opened("1.6", collides_within=timedelta(seconds=10))
    ours, theirs = zipped(series_of(3)), zipped(series_of(2, study=OTHER_STUDY))
    good, bad = import_together(visitor, [ours, theirs])
    assert (good[0], bad) == (200, (400, "Upload did not include parseable files for session generation."))
    (row,) = visitor.rows(ROWS)
    counts = sum(int(one["file_count"]) for one in visitor.rows(f"/data{row['url']}/resources"))
    assert (counts, row["status"]) == (5, "READY")
    assert {one.study_uid for one in visitor.xnat.instances()} == {STUDY, OTHER_STUDY}


class HandledFirst(threading.Event):
    """An event for which an answer waits. `handled`: it does, so the request was handled and is under way still."""

    def __init__(self) -> None:
        super().__init__()
        self.handled = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.handled.set()
        return super().wait(timeout)


def test_imports_whose_starts_lie_apart_do_no_harm_though_they_overlap(opened: Opened) -> None:  # F68
    visitor, second_is_in = opened("1.6", collides_within=timedelta(microseconds=100)), HandledFirst()
    visitor.xnat.faults.on("POST", "/data/services/import").delay(second_is_in)
    with Visitor(visitor.xnat) as other, ThreadPoolExecutor() as threads:
        first = threads.submit(other.send, zipped(series_of(3)), dest=place("xw_0"), session="xw_0")
        assert second_is_in.handled.wait(30)
        second = visitor.send(zipped(series_of(2, study=OTHER_STUDY)), dest=place("xw_1"), session="xw_1")
        assert not first.done()
        second_is_in.set()
        assert (first.result().status_code, second.status_code) == (200, 200)
    assert sorted(row["files"] for row in visitor.xnat.rows("P1")) == [2, 3]


def test_imports_that_start_together_do_no_harm_by_default(opened: Opened) -> None:
    visitor = opened("1.6")
    contents = [zipped(series_of(3)), zipped(series_of(2, study=OTHER_STUDY))]
    assert import_together(visitor, contents) == [(200, ""), (200, "")]


def test_one_login_session_for_two_imports_may_be_403(opened: Opened) -> None:  # F62
    visitor = opened("1.6", confuses_sessions=True)
    visitor.xnat.faults.on("POST", "/data/services/import", times=2).read_slowly(0.1)
    contents = [zipped(series_of(1)), zipped(series_of(1, study=OTHER_STUDY))]
    answers = import_together(visitor, contents, shared_login=True)
    assert [status for status, _ in answers] == [200, 403]
    assert "user tech does not have create permissions" in answers[1][1]


def test_a_site_admin_never_meets_that(opened: Opened) -> None:  # F62
    visitor = opened("1.6", confuses_sessions=True)
    visitor.xnat.add_user("tech", "secret", admin=True)
    visitor.xnat.faults.on("POST", "/data/services/import", times=2).read_slowly(0.1)
    contents = [zipped(series_of(1)), zipped(series_of(1, study=OTHER_STUDY))]
    assert import_together(visitor, contents, shared_login=True) == [(200, ""), (200, "")]


def test_a_project_that_archives_by_itself_may_do_so_in_spite_of_the_destination(opened: Opened) -> None:  # F160
    for anyway, where in ((False, "prearchive"), (True, "archive")):
        visitor = opened(archives_anyway=anyway)
        visitor.xnat.add_project("AUTO", prearchive_code=4)
        visitor.xnat.grant("tech", "AUTO", "member")
        content = zipped(series_of(1))
        assert visitor.sent(content, dest=place(project="AUTO"), session="E").startswith(f"/{where}/")


def test_a_failed_import_may_be_marked_as_an_error(opened: Opened) -> None:  # F159
    visitor = opened(marks_failed_imports=True)
    assert visitor.send(zipped({**series_of(1), "README": b"x"}), dest=place()).status_code == 400
    (row,) = visitor.rows(ROWS)
    assert row["status"] == "ERROR"
    assert "failed partway" in visitor.get(f"/data{row['url']}/logs/last").text
