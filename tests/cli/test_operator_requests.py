"""What users of this machine may have the service do, and what somebody gets who sends anything else."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import click
import pytest

from tests.cli.test_people import DAMAGED, Desk, bad, desk
from tests.dicom import CANARIES, instance
from tests.station import zipped
from xnat_watchd.adapters import operator_socket
from xnat_watchd.adapters.operator_socket import BadMessage, CommandOutput, Requester, UserRequest, receive_request
from xnat_watchd.core.access import UserAccess, access_of
from xnat_watchd.core.errors import Occupied
from xnat_watchd.core.gate import Gate
from xnat_watchd.interfaces.cli import commands, passing_on
from xnat_watchd.interfaces.cli.items import ITEM
from xnat_watchd.interfaces.cli.operator_request import output_for
from xnat_watchd.interfaces.cli.user_commands import PERMITTED, NotPermitted, UserCommand, with_sudo

__all__ = ["desk"]

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="the kernel has to name root as the one who asks")
LOOKS, DECIDES = (Requester(1000, "ada", access) for access in (UserAccess.LOOK, UserAccess.DECIDE))
STRANGER = Requester(1001, "eve", UserAccess.NONE)


# -- who may do what ---------------------------------------------------------------------------------------


@pytest.fixture
def served(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return a desk whose service is the one of this machine."""
    monkeypatch.setenv("XNAT_WATCHD_CONFIG", str(desk.config))
    monkeypatch.setenv("COLUMNS", "80")  # is set anew for each request: it is put back after the test
    return desk


def asks(requester: Requester, *words: str, code: int = 0, terminal: bool = False) -> str:
    output = output_for(UserRequest(words, 60, terminal), requester)
    assert output.code == code, output
    return output.stdout + output.stderr


def test_groups_decide_what_somebody_may_do() -> None:
    assert access_of(0, ()) is UserAccess.DECIDE
    assert access_of(1000, {"users", "xnat-drop"}) is UserAccess.LOOK
    assert access_of(1000, {"xnat-admin"}) is UserAccess.DECIDE
    assert access_of(1000, {"users", "root", "sudo"}) is UserAccess.NONE


def test_who_may_look_sees_items_reasons_and_advice_and_no_name(served: Desk) -> None:
    bad(served, zipped([("Quokka 1.dcm", instance(1, 1, 1)), ("Quokka 2.dcm", instance(1, 1, 2)[:-100])]))
    status, show, programs = (asks(LOOKS, *words, code=code) for words, code in (
        (("status",), 1), (("show", "1"), 0), (("show", "1.1", "--json"), 0)))  # fmt: skip
    for said in (status, show):
        assert "1.1" in said
        assert DAMAGED in said
        assert "xnat-watchd accept 1.1 --why TEXT" in said
        assert "Decisions and names are for the group `xnat-admin`: ask somebody of it" in said
    assert "xnat-admin" not in asks(DECIDES, "status", code=1) + asks(DECIDES, "show", "1")
    told = json.loads(programs)
    assert told["studies"][0]["findings"][0]["why"] == DAMAGED
    assert told["studies"][0]["findings"][0]["members"] == []
    for said in (status, show, programs):
        assert not [name for name in (*CANARIES, "bad.zip", "Quokka") if name.lower() in said.lower()]


def test_who_may_look_may_ask_whose_a_session_in_xnats_prearchive_is(served: Desk) -> None:
    served.carry()
    (place,) = json.loads(asks(DECIDES, "show", "1", "--json"))["studies"][0]["places"]
    said = asks(LOOKS, "show", place["folder"])
    assert said.startswith("Delivery 1\n")
    assert not [name for name in (*CANARIES, "scan.zip") if name.lower() in said.lower()]
    assert "may not look for names" in asks(LOOKS, "show", "scan", code=78)
    assert "may not look for names" in asks(LOOKS, "show", f"{place['folder']}x", code=78)


def test_who_may_only_look_is_told_no_name_as_the_nearest(served: Desk) -> None:
    served.carry()
    (served.station.folders.drop / "Zenobia.zip").write_bytes(b"PK")
    assert "the nearest project is P1" in asks(LOOKS, "deliveries", "--project", "p1", code=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xnat_watchd.adapters.ledger.views.Views.confirmed_projects", lambda _: [])
        assert "nearest" not in asks(LOOKS, "deliveries", "--project", "p1", code=1)
    said = asks(LOOKS, "deliveries")
    assert "not taken" in said
    assert "Zenobia" not in said
    assert "Zenobia.zip" in asks(DECIDES, "deliveries")


def test_what_somebody_typed_as_a_reason_is_for_those_who_see_names(served: Desk) -> None:
    bad(served)
    said = asks(DECIDES, "accept", "1.1", "--why", "Zenobia came again")
    assert f"1.1 accepted: {DAMAGED}" in said
    served.station.work()
    assert "by ada: Zenobia came again" in asks(DECIDES, "show", "1")
    told = asks(LOOKS, "show", "1")
    assert "by ada" in told
    assert "Zenobia" not in told
    decided = [one for one in json.loads(asks(LOOKS, "show", "1", "--json"))["events"] if one["who"]]
    assert [(one["event"], one["who"], one["detail"]) for one in decided] == [("released", "ada", "")]
    assert "Zenobia" not in asks(LOOKS, "show", "1", "--json")


def test_a_folder_that_is_no_project_is_not_named_to_who_may_only_look(served: Desk) -> None:
    served.carry(date="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xnat_watchd.adapters.ledger.views.Views.confirmed_projects", lambda _: [])
        assert "P1" not in asks(LOOKS, "show", "1")
        assert "P1" not in asks(LOOKS, "status", "--json", code=1)
    assert "P1" in asks(DECIDES, "show", "1")


def ended_by(served: Desk) -> list[str]:
    """Return who has ended each pause."""
    with closing(sqlite3.connect(served.config.with_name("watchd") / "ledger.sqlite")) as db:
        return [name for (name,) in db.execute("SELECT ended_by FROM pauses")]


def test_who_may_decide_sees_names_and_decides_under_the_own_name(served: Desk) -> None:
    served.carry(date="")
    assert "scan.zip" in asks(DECIDES, "show", "1")
    assert "1.1 goes on" in asks(DECIDES, "retry", "1.1", "--label", "VISIT_1")
    assert "paused" in asks(DECIDES, "pause")
    assert [pause.why for pause in served.station.ledger.pauses.open()] == ["ada has paused it"]
    assert "work goes on" in asks(DECIDES, "resume")
    assert ended_by(served) == ["ada"]
    served.station.work()
    assert "XNAT holds all 2 images" in asks(DECIDES, "verify", "1.1")
    assert "starts again" in asks(DECIDES, "resend", "1.1")
    assert "will be skipped" in asks(DECIDES, "skip", "1.1", "--why=no matter")
    story = asks(DECIDES, "show", "1")
    assert "goes on, as a person has decided: by ada" in story
    assert "by ada: no matter" in story
    assert "from the beginning: by ada" in story
    decided = [one for one in json.loads(asks(DECIDES, "show", "1", "--json"))["events"] if one["who"]]
    assert [(one["event"], one["who"], one["detail"] or "") for one in decided] == [
        ("released", "ada", ""), ("resent", "ada", ""), ("unwanted", "ada", "no matter"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "words", [("retry", "1.1"), ("accept", "1.1", "--why", "x"), ("skip", "1", "--why", "x"), ("resend", "1.1"),
              ("verify", "1.1"), ("pause",), ("resume",)],
)  # fmt: skip
def test_who_may_only_look_is_told_whom_to_ask(served: Desk, words: tuple[str, ...]) -> None:
    served.carry(date="")
    before = served.station.standings()
    said = asks(LOOKS, *words, code=78)
    assert f"this user may not type `{words[0]}`" in said
    assert "are for the group `xnat-admin`: ask somebody of it" in said
    assert served.station.standings() == before
    assert served.station.ledger.pauses.open() == []


def test_a_stranger_is_told_nothing(served: Desk) -> None:
    served.carry()
    for words in (("status",), ("show", "1"), ("retry", "1.1")):
        said = asks(STRANGER, *words, code=78)
        assert "may not type" in said
        assert "1.1" not in said


def test_each_look_of_who_watches_is_a_command_that_says_only_what_was_not_seen(served: Desk) -> None:
    bad(served, zipped([("Quokka 1.dcm", instance(1, 1, 1)), ("Quokka 2.dcm", instance(1, 1, 2)[:-100])]))
    state, _, screen = asks(LOOKS, "status", "--watch", code=1).partition("\n")
    assert "1 thing needs attention" in screen
    assert "group `xnat-admin`" in screen
    assert "bad.zip" not in screen
    assert "bad.zip" in asks(DECIDES, "status", "--watch", code=1)
    assert asks(LOOKS, "status", "--watch", f"--seen={state}", code=1) == f"{state}\n"
    served.station.ledger.decisions.skip(1, "", datetime.now(UTC))
    new, _, screen = asks(LOOKS, "status", "--watch", f"--seen={state}").partition("\n")
    assert new != state
    assert "Nothing runs now; nothing else needs attention" in screen


def test_who_watches_is_in_the_journal_once(served: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    served.carry()
    for words in (("--watch",), ("--watch", "--seen=x"), ("--watch", "--page=1"), ("--watch", "--page=2")):
        asks(LOOKS, "status", *words)
    assert capsys.readouterr().err.count("command=status") == 1
    asks(STRANGER, "status", "--watch", "--page=1", code=78)
    assert capsys.readouterr().err.count("user=eve command=status") == 1


def test_the_screen_of_who_watches_is_no_higher_than_the_terminal(served: Desk) -> None:
    for number in range(1, 6):
        served.station.drop(f"{number}.zip", zipped([("notes.txt", b"nothing" + bytes([number]))]))
    served.station.run()
    pages = [asks(DECIDES, "status", "--watch", "--height=20", f"--page={page}", code=1) for page in range(5)]
    assert {len(page.splitlines()) <= 21 for page in pages} == {True}  # one more for the state
    assert {name for name in ("1.zip", "2.zip", "3.zip", "4.zip", "5.zip") if any(name in page for page in pages)} == {
        "1.zip", "2.zip", "3.zip", "4.zip", "5.zip",
    }  # fmt: skip


def test_an_advice_that_only_root_can_follow_says_sudo(served: Desk) -> None:
    gate = Gate(
        until=datetime.now(UTC) + timedelta(hours=1), login=True, why="refused", advice="Type `xnat-watchd login`."
    )
    served.station.ledger.gates.set("", gate)
    for requester in (LOOKS, DECIDES):
        assert "Type `sudo xnat-watchd login`." in asks(requester, "status", code=77)
        assert "Type `sudo xnat-watchd login`." in asks(requester, "status", "--json", code=77)
    assert "Type `xnat-watchd login`." in served.type("status", code=77)
    assert with_sudo("`xnat-watchd retry 1`, then `xnat-watchd check`") == (
        "`xnat-watchd retry 1`, then `sudo xnat-watchd check`"
    )


def test_the_screen_is_as_wide_as_the_users(served: Desk) -> None:
    served.carry(date="")
    assert max(map(len, asks(DECIDES, "show", "1", terminal=True).splitlines())) <= 60
    assert max(map(len, asks(DECIDES, "show", "1").splitlines())) > 60


def test_an_error_is_told_as_on_the_command_line(served: Desk) -> None:
    assert "there is no 7 in the ledger" in asks(LOOKS, "show", "7", code=2)
    served.config.write_text("[xnat", "utf-8")
    assert "is not valid TOML" in asks(LOOKS, "show", "7", code=78)


def test_where_the_service_has_never_run_users_are_told_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("xnat_watchd.adapters.config.find_file", lambda *_: tmp_path / "config.toml")
    (tmp_path / "config.toml").write_text(f'[folders]\nroot = "{tmp_path}"\n', "utf-8")
    said = asks(LOOKS, "status", code=78)
    assert "the service does not run" in said
    assert "systemctl status xnat-watchd" in said


# -- which words -------------------------------------------------------------------------------------------


def not_permitted(words: list[str]) -> None:
    with pytest.raises(NotPermitted):
        UserCommand.of(words)
    assert output_for(UserRequest(tuple(words), 80, terminal=False), DECIDES).code == 2


@pytest.mark.parametrize(
    "words",
    [
        [], [""], ["run"], ["login"], ["install"], ["reload"], ["demo"], ["operator-request"], ["completion", "bash"],
        ["--config", "/etc/shadow", "status"], ["STATUS"], ["status "], ["-h"], ["--", "status"],
    ],
)  # fmt: skip
def test_other_commands_are_carried_out_for_nobody(words: list[str]) -> None:
    not_permitted(words)


@pytest.mark.parametrize(
    "words",
    [
        ["status", "--watch=1"], ["retry", "1", "--server", "http://evil"], ["retry", "1", "--user=me"],
        ["retry", "1", "--password-stdin"], ["verify", "1", "--server=http://evil"], ["skip", "--", "--config"],
        ["skip", "1", "--why"], ["skip", "1", "--wh", "x"], ["pause", "--help"], ["status", "12"], ["pause", "1"],
        ["retry", "\u0661\u0662"], ["skip", "1.1.1", "--why", "x"], ["retry", "scan.zip"],
    ],
)  # fmt: skip
def test_other_words_are_carried_out_for_nobody(words: list[str]) -> None:
    not_permitted(words)


@pytest.mark.parametrize(
    "words",
    [
        ["show", "--config", "/etc/shadow", "1"], ["show", "--config=/x", "1"], ["show", "--drop", "/", "1"],
        ["show", "--", "--config"], ["show", "--help"], ["show", "-h"], ["deliveries", "--drop=/"],
        ["deliveries", "-x"], ["deliveries", "--config=/x"],
    ],
)  # fmt: skip
def test_an_option_is_not_taken_for_a_part_of_a_name(words: list[str]) -> None:
    not_permitted(words)


@pytest.mark.parametrize(
    "words",
    [
        ["skip", "1", "--why", "a\nb"], ["show", "1\x00"], ["show", "1\u202e"], ["show", "\ud800"],
        ["skip", "--why", "x" * 1001, "1"], ["show", *["1"] * 1000],
    ],
)  # fmt: skip
def test_words_that_nobody_types_are_refused(words: list[str]) -> None:
    not_permitted(words)


def test_a_value_is_never_taken_for_an_option_and_an_option_never_for_an_item() -> None:
    command = UserCommand.of(["skip", "--why", "--config=/etc/shadow", "1", "--why=--"])
    assert command.words() == ["skip", "--why=--config=/etc/shadow", "--why=--", "--", "1"]


def test_who_may_only_look_may_not_look_for_names(served: Desk) -> None:
    served.carry("Quokka.zip")
    served.station.ledger.shares.keep("Quokka.csv", [], datetime(2026, 1, 1, tzinfo=UTC))
    for words in (("show", "Quokka"), ("show", "Quokka.csv"), ("deliveries", "Quokka"), ("deliveries", "none")):
        said = asks(LOOKS, *words, code=78)
        assert "may not look for names" in said
        assert "Quokka" not in said
    assert "Quokka.zip" in asks(DECIDES, "show", "Quokka")
    assert "Share table Quokka.csv" in asks(DECIDES, "show", "Quokka.csv")
    assert "Quokka.zip" in asks(DECIDES, "deliveries", "Quokka")


def test_the_list_of_deliveries_has_no_names_for_who_may_only_look(served: Desk) -> None:
    served.carry("Quokka.zip", date="")
    served.station.drop("Quokka too.zip", b"")
    served.station.run()
    for words in (("deliveries",), ("deliveries", "--json"), ("deliveries", "--csv", "--state=held")):
        said = asks(LOOKS, *words)
        assert "held" in said
        assert "Quokka" not in said
        assert "P1" not in said  # nothing of it is in XNAT yet: it may be the name of a folder that somebody made
    assert "no delivery fits" in asks(LOOKS, "deliveries", "--project", "P1", code=1)
    assert "Quokka.zip" in asks(DECIDES, "deliveries", "--project", "P1")


def test_retry_does_not_keep_a_connection_to_watch() -> None:
    assert UserCommand.of(["retry", "1.1"]).words() == ["retry", "--later", "--", "1.1"]


def test_every_permitted_word_is_one_of_the_command() -> None:
    context = commands.make_context("xnat-watchd", ["status"])
    for name, permitted in PERMITTED.items():
        command = commands.get_command(context, name)
        assert command is not None
        options = {option for parameter in command.params for option in parameter.opts}
        assert {*permitted.flags, *permitted.values, *permitted.always} <= options, name


# -- over a connection, by a process -----------------------------------------------------------------------


@pytest.fixture
def answering(served: Desk) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """Yield a connection to a process as systemd starts it, and the process."""
    del served
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "xnat_watchd", "operator-request"], stdin=theirs.fileno(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        theirs.close()
        ours.settimeout(20)
        try:
            yield ours, process
        finally:
            process.kill()
            process.communicate()


def received(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def exchanged(connection: socket.socket, content: bytes) -> bytes:
    connection.sendall(content)
    connection.shutdown(socket.SHUT_WR)
    return received(connection)


REQUEST = json.dumps({"words": ["status", "--json"], "columns": 80, "terminal": False}).encode()


@ROOT_ONLY
def test_a_question_over_a_connection_is_answered_and_written_down(
    served: Desk, answering: tuple[socket.socket, subprocess.Popen[bytes]]
) -> None:
    served.carry()
    connection, process = answering
    told = json.loads(exchanged(connection, REQUEST))
    assert told["code"] == 0
    assert json.loads(told["stdout"])["deliveries"] == {"finished": 1}
    _, journal = process.communicate(timeout=20)
    assert journal.decode() == "operator.request user=root command=status items= exit=0\n"


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 100, b"status", b"[]", b'{"words": "status", "columns": 80, "terminal": true}', b"\xff\xfe{}",
     b'{"words": [1], "columns": 80, "terminal": true}', b'{"words": ["status"], "columns": 0, "terminal": true}',
     b'{"words": ["status"], "columns": 1e9, "terminal": true}', b"[" * 16000, b'{"columns": ' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_what_is_no_request_gets_no_answer_and_no_trace(
    answering: tuple[socket.socket, subprocess.Popen[bytes]], content: bytes
) -> None:
    connection, process = answering
    assert exchanged(connection, content) == b""
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 0


def test_bytes_without_end_are_read_no_further_than_a_request_is_long(
    answering: tuple[socket.socket, subprocess.Popen[bytes]],
) -> None:
    connection, process = answering
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        connection.sendall(b"x" * 40_000_000)
    assert process.wait(20) == 0


def test_who_sends_nothing_or_only_trickles_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_socket, "PATIENCE", 0.2)
    ours, theirs = socket.socketpair()
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.05):
            ours.send(b" ")

    thread = threading.Thread(target=trickle)
    with ours, theirs:
        with pytest.raises(BadMessage, match="did not end in time"):
            receive_request(theirs)
        thread.start()
        with pytest.raises(BadMessage, match="did not end in time"):
            receive_request(theirs)
        stop.set()
        thread.join()


def test_an_output_that_is_too_long_becomes_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_socket, "LONGEST_OUTPUT", 200)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        operator_socket.send_output(theirs, CommandOutput(0, "x" * 300, ""))
        assert "too long" in json.loads(ours.recv(1000))["stderr"]


# -- who passes a command on -------------------------------------------------------------------------------


class Listener:
    """The service's socket, and what comes there. It answers each question with the same output."""

    def __init__(self, path: Path, output: bytes) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._output = output
        self.asked: list[dict[str, object]] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                if self._output:
                    self.asked.append(json.loads(received(connection)))
                    connection.sendall(self._output)


def output(stdout: str, stderr: str = "", code: int = 0) -> bytes:
    return json.dumps({"code": code, "stdout": stdout, "stderr": stderr}).encode()


OUTPUT = output("said\n\x1b[2J", "told\n", 1)


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return where the socket is for an ordinary user, whose ledger this is not."""
    path = tmp_path / "socket"
    monkeypatch.setattr(operator_socket.ask, "__defaults__", (path,))
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    return path


def test_an_ordinary_users_command_is_passed_on(user: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Listener(user, OUTPUT) as listener:
        assert passing_on.pass_on(["show", "12"], {}) == 1
    assert [one["words"] for one in listener.asked] == [["show", "12"]]
    assert capsys.readouterr() == ("said\n [2J", "told\n")


def looks_at(monkeypatch: pytest.MonkeyPatch, *answers: bytes | None) -> tuple[list[list[str]], list[float]]:
    """Have the service answer so; return what it is asked for, and how long is waited. At the end Ctrl-C is typed."""
    asked: list[list[str]] = []
    waited: list[float] = []
    left = iter(answers)

    def ask(request: UserRequest) -> CommandOutput | None:
        asked.append([*request.words])
        try:
            answer = next(left)
        except StopIteration:
            raise KeyboardInterrupt from None
        return CommandOutput(**json.loads(answer)) if answer else None

    monkeypatch.setattr(operator_socket, "ask", ask)
    monkeypatch.setattr("time.sleep", waited.append)
    return asked, waited


@pytest.mark.usefixtures("user")
def test_an_ordinary_user_watches_by_a_question_now_and_then_and_sees_a_new_block_for_each_change(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, same, second = output("s1\nall is well\n"), output("s1\n"), output("s2\nnot \x1b[2J so\n", code=1)
    asked, waited = looks_at(monkeypatch, first, first, same, None, None, second)
    assert passing_on.pass_on(["status", "--watch"], {}) == 1
    assert capsys.readouterr().out == (f"all is well\n\n{passing_on.BUSY}\n{passing_on.LATER}\n\nnot  [2J so\n\n")
    assert asked == [
        ["status", "--watch"], ["status", "--watch"], ["status", "--watch", "--seen=s1"],
        ["status", "--watch", "--seen=s1"], *[["status", "--watch", f"--seen={passing_on.BUSY}"]] * 2,
        ["status", "--watch", "--seen=s2"],
    ]  # fmt: skip
    assert set(waited) == {passing_on.ASKED_EVERY}


@pytest.mark.usefixtures("user")
def test_who_may_not_watch_is_told_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked, _ = looks_at(monkeypatch, output("", "this user may not type `status`\n", 78))
    assert passing_on.pass_on(["status", "--watch"], {}) == 78
    assert capsys.readouterr() == ("", "this user may not type `status`\n")
    assert len(asked) == 1


@pytest.mark.usefixtures("user")
def test_who_loses_the_right_while_watching_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen, lost = output("s1\nall is well\n"), output("", "this user may not type `status`\n", 78)
    looks_at(monkeypatch, seen, seen, lost, lost)
    assert passing_on.pass_on(["status", "--watch"], {}) == 78
    assert capsys.readouterr().out == "all is well\n\nthis user may not type `status`\n\n"


@pytest.mark.usefixtures("user")
def test_where_the_reader_of_what_is_watched_has_gone_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    looks_at(monkeypatch, *[output(f"s{n}\nall is well\n") for n in range(9)])
    with open(writer, "w", encoding="utf-8") as closed:  # noqa: PTH123 - a number
        monkeypatch.setattr("sys.stdout", closed)
        assert passing_on.pass_on(["status", "--watch"], {}) == 0


def test_a_shell_completes_items_for_an_ordinary_user(user: Path, served: Desk) -> None:
    served.carry()
    items = asks(LOOKS, "items")
    assert items == "1.1\n"
    with pytest.MonkeyPatch.context() as patch, Listener(user, output(items)):
        patch.delenv("XNAT_WATCHD_CONFIG")
        for name in [name for name in os.environ if name.startswith("XNAT_WATCHD_")]:
            patch.delenv(name)
        context = click.Context(commands)
        assert [one.value for one in ITEM.shell_complete(context, click.Argument(["item"]), "1")] == ["1.1"]
        assert ITEM.shell_complete(context, click.Argument(["item"]), "2") == []


def test_who_has_read_enough_is_no_fault(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as closed, Listener(user, OUTPUT):  # noqa: PTH123 - a number
        monkeypatch.setattr("sys.stdout", closed)
        assert passing_on.pass_on(["show", "12"], {}) == 1


def test_what_names_another_service_or_is_not_permitted_is_not_passed_on(user: Path) -> None:
    with Listener(user, OUTPUT) as listener:
        for words in (["--config", "x", "status"], ["status", "--help"], ["show", "--help"], ["run"], []):
            assert passing_on.pass_on(words, {}) is None
        assert passing_on.pass_on(["status"], {"XNAT_WATCHD_FOLDERS__ROOT": "/mine"}) is None
    assert listener.asked == []


def test_root_and_the_ledgers_owner_need_nobody(user: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home/xnat-watchd").mkdir(parents=True)
    (tmp_path / "home/xnat-watchd/config.toml").write_text(f'[folders]\nroot = "{tmp_path}"\n', "utf-8")
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid)
    with Listener(user, OUTPUT) as listener:
        assert passing_on.pass_on(["status"], {"XDG_CONFIG_HOME": str(tmp_path / "home")}) is None
        monkeypatch.setattr("os.geteuid", lambda: 0)
        assert passing_on.pass_on(["status"], {}) is None
    assert listener.asked == []


def test_where_nobody_listens_the_command_does_what_it_can(user: Path) -> None:
    assert passing_on.pass_on(["show", "12"], {}) is None
    user.touch()
    assert passing_on.pass_on(["show", "12"], {}) is None


def test_a_socket_that_is_too_busy_is_told_and_the_published_status_is_shown(user: Path) -> None:
    with Listener(user, b""):
        with pytest.raises(Occupied, match="gives no answer"):
            passing_on.pass_on(["show", "12"], {})
        assert passing_on.pass_on(["status"], {}) is None
