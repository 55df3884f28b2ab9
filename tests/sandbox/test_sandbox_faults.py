"""Faults on demand: each is seen by a plain client, and one that was not used up is an error."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.sandbox.kit import OTHER_STUDY, STUDY, Visitor, place, series_of, zipped
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.sandbox.faults import FAULTS

IMPORT, ARCHIVE, ROWS = "/data/services/import", "/data/services/archive", "/data/prearchive/projects/P1"


def send(visitor: Visitor) -> requests.Response:
    return visitor.send(zipped(series_of(2)), dest=place(), session="xw_1")


def in_background(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_refusal_comes_before_anything_is_done(either: Visitor) -> None:
    either.xnat.faults.on("POST", IMPORT).refuse(503, "busy", **{"Retry-After": "7"})
    answer = send(either)
    assert (answer.status_code, answer.headers["Retry-After"], either.xnat.instances()) == (503, "7", [])
    assert send(either).status_code == 200
    either.xnat.faults.check()


def test_a_failure_comes_after_everything_was_done(either: Visitor) -> None:
    either.xnat.faults.on("POST", IMPORT).fail(504)
    assert (send(either).status_code, len(either.xnat.instances())) == (504, 2)


def test_some_requests_may_go_well_first(either: Visitor) -> None:
    either.xnat.faults.on("GET", "/data/projects", skip=2, times=2).refuse(502)
    assert [either.get("/data/projects").status_code for _ in range(5)] == [200, 200, 502, 502, 200]


def test_a_fault_that_never_came_to_pass_is_an_error_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"POST /nowhere: lose_answer \(2 left\)"), Sandbox(tmp_path) as xnat:
        xnat.faults.on("POST", "/nowhere", times=2).lose_answer()


def test_another_error_is_not_hidden_by_a_fault_that_never_came_to_pass(tmp_path: Path) -> None:
    xnat = Sandbox(tmp_path)
    xnat.faults.on("POST", "/nowhere").lose_answer()
    with pytest.raises(KeyError), xnat:
        raise KeyError


def test_a_script_that_is_forgotten_is_no_error(either: Visitor) -> None:
    either.xnat.faults.on("POST", "/nowhere").lose_answer()
    either.xnat.faults.clear()


def test_a_pattern_may_look_into_the_query(either: Visitor) -> None:
    either.xnat.faults.on("GET", r"/data/projects\?.*data=writable").refuse(500)
    assert either.get("/data/projects").status_code == 200
    assert either.get("/data/projects", data="writable").status_code == 500


def test_a_reset_in_mid_body_leaves_nothing_of_si_and_a_torso_of_dicom_zip(old: Visitor, new: Visitor) -> None:  # F67
    content = zipped(series_of(60))
    for visitor, left in ((old, False), (new, True)):
        visitor.xnat.faults.on("POST", IMPORT).reset(after=len(content) // 2)
        with pytest.raises(requests.ConnectionError):
            visitor.send(content, dest=place())
        visitor.xnat.stop()
        assert (len(visitor.xnat.instances()) > 0) is left
        assert visitor.xnat.requests[-1][3] == 0


def test_a_client_that_hangs_up_in_mid_body_leaves_the_same(old: Visitor, new: Visitor) -> None:  # F67, F158
    content = zipped(series_of(60))
    for visitor, left in ((old, False), (new, True)):
        cookie = visitor.get("/data/projects").cookies["JSESSIONID"]
        head = (
            f"POST {IMPORT}?dest={place()} HTTP/1.1\r\nHost: x\r\nCookie: JSESSIONID={cookie}\r\n"
            f"Content-Type: application/zip\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", int(visitor.xnat.url.rpartition(":")[2]))) as connection:
            connection.sendall(head.encode() + content[: len(content) // 2])
        visitor.xnat.wait_for_requests(2)
        assert (len(visitor.xnat.instances()) > 0) is left


def test_a_lost_answer_hides_work_that_was_done(either: Visitor) -> None:
    either.xnat.faults.on("POST", IMPORT).lose_answer()
    with pytest.raises(requests.ConnectionError):
        send(either)
    assert len(either.xnat.instances()) == 2


def test_a_cut_answer_breaks_off(either: Visitor) -> None:
    either.xnat.faults.on("POST", IMPORT).cut_answer(after=10)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        send(either)
    assert len(either.xnat.instances()) == 2


def test_a_page_or_another_status_may_stand_in_for_the_answer(either: Visitor) -> None:
    either.xnat.faults.on("GET", "/data/projects").page()
    either.xnat.faults.on("GET", "/data/projects").restate(201)
    answer = either.get("/data/projects")
    assert (answer.status_code, answer.text.startswith("<!DOCTYPE")) == (200, True)
    assert either.get("/data/projects").status_code == 201


def test_a_late_answer_comes_after_its_effect(either: Visitor) -> None:
    done = threading.Event()
    either.xnat.faults.on("POST", IMPORT).delay(until=done)
    answers: list[int] = []
    thread = in_background(lambda: answers.append(send(either).status_code))
    with Visitor(either.xnat) as other:
        while not other.rows(ROWS):
            assert answers == []
    done.set()
    thread.join()
    assert answers == [200]


def test_a_late_effect_comes_when_the_client_has_gone(old: Visitor) -> None:  # F67
    done = threading.Event()
    old.xnat.faults.on("POST", IMPORT).late_effect(until=done)
    with pytest.raises(requests.ConnectionError):
        send(old)
    assert old.rows(ROWS) == []
    done.set()
    while not old.rows(ROWS):
        pass
    assert old.rows(f"/data{place()}/resources")[0]["file_count"] == "2"


def test_an_early_answer_comes_while_the_body_is_still_being_sent(either: Visitor) -> None:
    either.xnat.faults.on("POST", IMPORT).answer_early(413, after=1, reads_on=True)
    assert (send(either).status_code, either.xnat.instances()) == (413, [])


def test_a_row_may_look_stuck_for_some_looks(either: Visitor) -> None:  # F178
    send(either)
    either.xnat.faults.on("GET", ROWS, times=2).stick("_ARCHIVING")
    assert [either.rows(ROWS)[0]["status"] for _ in range(3)] == ["_ARCHIVING", "_ARCHIVING", "READY"]


def test_a_row_may_vanish_and_files_may_be_missing(either: Visitor) -> None:  # F61
    either.xnat.faults.on("POST", IMPORT).lose_row()
    assert (send(either).status_code, either.rows(ROWS)) == (200, [])
    either.xnat.faults.on("POST", IMPORT).lose_files(1)
    send(either)
    assert either.rows(f"/data{place()}/resources")[0]["file_count"] == "1"


def test_another_import_may_be_mixed_in(either: Visitor) -> None:  # F61
    either.xnat.faults.on("POST", IMPORT).mix_in(zipped(series_of(3, study=OTHER_STUDY)))
    assert send(either).status_code == 200
    assert {one.study_uid for one in either.xnat.instances()} == {STUDY, OTHER_STUDY}
    assert [row["tag"] for row in either.rows(ROWS)] == [STUDY]


def test_a_dump_may_be_of_somebody_elses_session(either: Visitor) -> None:  # F210
    send(either)
    either.sent(zipped(series_of(1, study=OTHER_STUDY)), dest=place("xw_2"), session="xw_2")
    either.xnat.faults.on("GET", "dicomdump").cross_talk()
    dump = {"src": place("xw_2"), "field": "StudyInstanceUID"}
    found = [either.rows("/data/services/dicomdump", **dump)[0]["value"] for _ in range(2)]
    assert found == [STUDY, OTHER_STUDY]


def test_a_slow_reader_still_reads_everything(either: Visitor) -> None:
    either.xnat.faults.on("POST", IMPORT).read_slowly(0.01)
    assert (send(either).status_code, len(either.xnat.instances())) == (200, 2)


def test_stopping_ends_what_waits(either: Visitor) -> None:
    either.xnat.faults.on("GET", "/data/projects").delay(seconds=60)
    waiting = in_background(lambda: _swallow(lambda: either.get("/data/projects")))
    while either.xnat.faults.unused():
        pass
    either.xnat.stop()
    waiting.join(10)
    assert not waiting.is_alive()


def _swallow(act: Callable[[], object]) -> None:
    try:
        act()
    except requests.RequestException:
        return


def test_faults_can_be_planned_over_a_control_address(either: Visitor) -> None:
    control = either.xnat.listen_for_faults()
    plan = {"method": "GET", "path": "/data/projects", "fault": "refuse", "with": {"status": 418}}
    assert requests.post(f"{control}/faults", json=plan, timeout=10).status_code == 201
    assert requests.get(f"{control}/faults", timeout=10).json() == ["GET /data/projects refuse 1"]
    assert either.get("/data/projects").status_code == 418
    assert requests.get(f"{control}/faults", timeout=10).json() == []
    send(either)
    assert len(requests.get(f"{control}/instances", timeout=10).json()) == 2
    assert len(requests.get(f"{control}/requests", timeout=10).json()) == 2
    assert requests.delete(f"{control}/faults", timeout=10).status_code == 200


IN_FULL: dict[str, dict[str, object]] = {
    "say": {"words": "nothing"},
    "restate": {"status": 201}, "read_slowly": {"seconds": 0.001}, "stick": {"status": "_ARCHIVING"},
    "mix_in": {"content": b64encode(zipped(series_of(1, study=OTHER_STUDY))).decode()},
    "collide": {"content": b64encode(zipped(series_of(1, study=OTHER_STUDY))).decode()},
}  # fmt: skip


@pytest.mark.parametrize(("body", "length"), [(b"", "-1"), (b"", "many"), (b"[" * 60_000, "60000"), (b"[1]", "3")])
def test_an_order_that_is_none_is_refused_and_the_control_address_goes_on(
    new: Visitor, body: bytes, length: str
) -> None:
    control = new.xnat.listen_for_faults()
    host, port = control.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(f"POST /faults HTTP/1.0\r\nContent-Length: {length}\r\n\r\n".encode() + body)
        assert line.recv(100).split()[1] == b"400"
    assert requests.get(f"{control}/faults", timeout=10).json() == []


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_can_be_planned_over_the_control_address_and_comes_to_pass(new: Visitor, fault: str) -> None:
    control = new.xnat.listen_for_faults()
    plan = {"method": "POST", "path": IMPORT, "fault": fault, "with": IN_FULL.get(fault, {})}
    assert requests.post(f"{control}/faults", json=plan, timeout=10).status_code == 201
    _swallow(lambda: send(new))
    assert requests.get(f"{control}/faults", timeout=10).json() == []


@pytest.mark.parametrize(
    "plan",
    [
        {},
        {"fault": "plan_from"},
        {"fault": "mix_in", "method": "GET", "path": "/", "with": {"content": "%"}},
        {"fault": "refuse"},
        {"fault": "refuse", "method": "GET"},
    ],
)
def test_a_plan_that_is_none_is_refused(either: Visitor, plan: dict[str, str]) -> None:
    control = either.xnat.listen_for_faults()
    assert requests.post(f"{control}/faults", json=plan, timeout=10).status_code == 400


def test_an_import_may_be_answered_with_other_lines(either: Visitor) -> None:
    either.xnat.faults.on("POST", IMPORT).say("/data/elsewhere\r\n")
    answer = send(either)
    assert (answer.status_code, answer.text, len(either.xnat.instances())) == (200, "/data/elsewhere\r\n", 2)


def test_a_session_may_silently_become_a_guests(either: Visitor) -> None:
    either.xnat.faults.on("GET", "/data/auth").as_guest()
    assert [either.get("/data/auth").text.rstrip(".") for _ in range(2)] == [
        "User 'guest' is logged in",
        "User 'tech' is logged in",
    ]


def test_a_full_disk_keeps_nothing_of_si_and_what_came_before_of_dicom_zip(old: Visitor, new: Visitor) -> None:  # F154
    for visitor, status, left in ((old, 500, 0), (new, 400, 1)):
        visitor.xnat.faults.on("POST", IMPORT).fill_disk(after=len(zipped(series_of(2))) // 2)
        assert (send(visitor).status_code, len(visitor.xnat.instances())) == (status, left)
        assert send(visitor).status_code == 200


def test_something_may_happen_just_before_a_request(either: Visitor) -> None:
    either.xnat.faults.on("GET", "/data/projects").meanwhile(lambda: either.xnat.add_project("P9"))
    assert "P9" in [one["ID"] for one in either.rows("/data/projects")]
