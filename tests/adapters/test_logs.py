"""What is said, to a real file, a real terminal and a real datagram socket in the place of journald."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TextIO

import pytest

import xnat_watchd
from xnat_watchd.adapters.log_tables import EVENTS, FACTS
from xnat_watchd.adapters.logs import Format, UnknownFact, configure
from xnat_watchd.adapters.systemd import journal
from xnat_watchd.adapters.systemd.journal import mark
from xnat_watchd.core.errors import Conflict
from xnat_watchd.core.ports import Log
from xnat_watchd.core.states import Progress

CANARY = "Zyx9canary7Qw"
SOURCES = sorted(Path(xnat_watchd.__file__).parent.rglob("*.py"))


@pytest.fixture(autouse=True)
def _process_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what `configure` does to the process; and no journal may listen to the tests by chance."""
    root = logging.getLogger()
    handlers, level, shown = root.handlers[:], root.level, warnings.showwarning
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    logging.getLogger("urllib3").setLevel(logging.NOTSET)  # a gateway in the same process has silenced it
    yield
    root.handlers[:], warnings.showwarning = handlers, shown
    root.setLevel(level)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


def lines(say: Callable[[Log], object], style: Format = "json") -> list[dict[str, object]]:
    stream = io.StringIO()
    say(configure(style, stream=stream))
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def line(say: Callable[[Log], object]) -> dict[str, object]:
    (only,) = lines(say)
    return only


def caught(raising: Callable[[], object]) -> BaseException:
    try:
        raising()
    except (ValueError, OSError, Conflict, KeyError) as error:
        return error
    raise AssertionError("nothing was raised")


# -- the ways out ------------------------------------------------------------------------------------------


def test_a_json_line_holds_event_level_time_and_facts() -> None:
    said = line(
        lambda log: log.info("study.advanced", item="12.1", project="P", progress=Progress.UPLOADED, seconds=1.23456)
    )
    at = datetime.fromisoformat(str(said.pop("timestamp")))
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert said == {
        "event": "study.advanced",
        "level": "info",
        "item": "12.1",
        "project": "P",
        "progress": "uploaded",
        "seconds": 1.235,
    }


def test_a_line_for_programs_is_of_keys_and_values() -> None:
    stream = io.StringIO()
    configure("text", stream=stream).warning("study.held", item="3.1", project="P", reason='a "reason"')
    said = re.fullmatch(r"timestamp=\S+Z level=warning event=study.held (.*)\n", stream.getvalue())
    assert said is not None
    assert said[1] == r'item=3.1 project=P reason="a \"reason\""'


def test_on_a_terminal_a_line_is_for_people() -> None:
    ours, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stream, os.fdopen(ours, "rb") as reader:
        configure(stream=stream).info("delivery.taken", item="12", project="P")
        said = reader.read1(4096).decode()
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[info +\] delivery\.taken +item=12 project=P\r\n", said), said


def test_a_debug_line_is_not_said() -> None:
    assert lines(lambda log: log.debug("study.held")) == []  # type: ignore[attr-defined]


def test_nobody_fails_when_nobody_takes_the_lines() -> None:
    closed = io.StringIO()
    log = configure("text", stream=closed)
    closed.close()
    log.info("daemon.ready")
    went_on = False
    with suppress(OSError), Path("/dev/full").open("w", encoding="utf-8") as full:  # closing it fails
        configure("text", stream=full).info("daemon.ready")
        went_on = True
    assert went_on


def test_several_threads_do_not_mix_their_lines() -> None:
    stream = io.StringIO()
    log = configure(stream=stream, style="json")

    def say(number: int) -> None:
        for _ in range(200):
            log.info("study.advanced", item=f"{number}.1", progress="uploaded")

    threads = [threading.Thread(target=say, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([json.loads(line) for line in stream.getvalue().splitlines()]) == 800


# -- the journal -------------------------------------------------------------------------------------------


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listens:
        listens.bind(str(tmp_path / "journal"))
        listens.settimeout(10)
        yield listens


@pytest.fixture
def stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """Yield a stream that the journal reads."""
    with (tmp_path / "stderr").open("w+", encoding="utf-8") as stream:
        seen = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{seen.st_dev}:{seen.st_ino}")
        yield stream


@pytest.fixture
def to_journal(journald: socket.socket, stderr: TextIO, tmp_path: Path) -> Log:
    del journald
    return configure(stream=stderr, journal_socket=tmp_path / "journal")


def entry(listens: socket.socket) -> dict[str, str]:
    """Read one entry as journald would."""
    data, fields = listens.recv(1 << 20), {}
    while data:
        head, _, data = data.partition(b"\n")
        name, is_line, value = head.partition(b"=")
        if not is_line:
            (size,) = struct.unpack_from("<Q", data)
            value, end, data = data[8 : 8 + size], data[8 + size : 9 + size], data[9 + size :]
            assert end == b"\n"
        fields[name.decode("ascii")] = value.decode()
    return fields


def test_in_the_journal_an_entry_has_fields_of_its_own(journald: socket.socket, to_journal: Log) -> None:
    to_journal.warning("study.held", item="12.1", project="P", reason="XNAT holds another session under this label")
    assert entry(journald) == {
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "xnat-watchd",
        "MESSAGE": "study.held item=12.1 project=P reason=XNAT holds another session under this label",
        "XNAT_WATCHD_EVENT": "study.held",
        "XNAT_WATCHD_ITEM": "12.1",
        "XNAT_WATCHD_PROJECT": "P",
        "XNAT_WATCHD_REASON": "XNAT holds another session under this label",
    }


def test_the_priorities_are_those_of_syslog(journald: socket.socket, to_journal: Log) -> None:
    to_journal.info("daemon.ready")
    to_journal.warning("daemon.ready")
    to_journal.error("daemon.ready")
    assert [entry(journald)["PRIORITY"] for _ in range(3)] == ["6", "4", "3"]


def test_a_traceback_is_one_entry(journald: socket.socket, to_journal: Log) -> None:
    to_journal.error("study.failed", item="1.1", exc_info=caught(lambda: int("x")))
    fields = entry(journald)
    message = fields["MESSAGE"].splitlines()
    assert message[0] == "study.failed item=1.1 error=ValueError"
    assert message[-1] == "builtins.ValueError"
    assert "in caught" in fields["MESSAGE"]
    assert fields["XNAT_WATCHD_ERROR"] == "ValueError"


def test_an_endless_traceback_is_cut_in_the_middle(journald: socket.socket, to_journal: Log) -> None:
    error = caught(lambda: int("x"))
    for _ in range(500):
        following = caught(lambda: int("x"))
        following.__cause__, error = error, following
    to_journal.error("study.failed", exc_info=error)
    message = entry(journald)["MESSAGE"]
    assert len(message) <= journal.LONGEST
    assert "\n[...]\n" in message
    assert message.startswith("study.failed")
    assert message.endswith("builtins.ValueError")


def test_the_journal_may_be_restarted_at_any_time(journald: socket.socket, to_journal: Log, tmp_path: Path) -> None:
    to_journal.info("daemon.ready")
    journald.close()
    (tmp_path / "journal").unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
        again.bind(str(tmp_path / "journal"))
        again.settimeout(10)
        to_journal.info("daemon.stopping")
        assert entry(again)["XNAT_WATCHD_EVENT"] == "daemon.stopping"


def test_what_the_journal_does_not_take_becomes_one_line_with_its_priority(
    journald: socket.socket, to_journal: Log, stderr: TextIO
) -> None:
    journald.close()
    to_journal.error("study.failed", item="1.1", exc_info=caught(lambda: int("x")))
    stderr.seek(0)
    (said,) = stderr.read().splitlines()
    assert said.startswith("<3>study.failed item=1.1 error=ValueError\\n")


def test_a_stream_that_the_journal_does_not_read_gets_lines(
    stderr: TextIO, journald: socket.socket, tmp_path: Path
) -> None:
    del stderr, journald
    with (tmp_path / "another").open("w+", encoding="utf-8") as another:
        configure(stream=another, journal_socket=tmp_path / "journal").info("daemon.ready")
        another.seek(0)
        assert "event=daemon.ready" in another.read()


def test_a_last_word_has_its_priority_only_where_the_journal_reads_it(stderr: TextIO, tmp_path: Path) -> None:
    assert mark("error", stderr, os.environ) == "<3>"
    with (tmp_path / "other").open("w", encoding="utf-8") as other:
        assert mark("error", other, os.environ) == ""


def test_the_setting_wins_over_the_journal(stderr: TextIO, journald: socket.socket, tmp_path: Path) -> None:
    del journald
    configure("json", stream=stderr, journal_socket=tmp_path / "journal").info("daemon.ready")
    stderr.seek(0)
    assert json.loads(stderr.read())["event"] == "daemon.ready"


# -- what may be said --------------------------------------------------------------------------------------


def test_only_facts_of_the_table_pass() -> None:
    said = line(lambda log: log.info("study.held", item="1.1", label=CANARY, patient_name=CANARY, path=CANARY))
    assert said.keys() == {"event", "level", "timestamp", "item"}


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("item", CANARY),
        ("item", f"1.1 {CANARY}"),
        ("project", f"P {CANARY}"),
        ("project", f"../{CANARY}"),
        ("progress", f"uploaded {CANARY}"),
        ("count", CANARY),
        ("error", f"ValueError: {CANARY}"),
        ("folder", f"/srv/xnat/drop/{CANARY}"),
        ("server", f"https://me:{CANARY}@xnat.example.org"),
        ("server", f"https://xnat.example.org/data?subject={CANARY}"),
        ("where", f"/home/{CANARY}/x.py:3"),
        ("until", CANARY),
    ],
)
def test_a_fact_that_has_not_its_form_is_not_shown(fact: str, value: str) -> None:
    assert line(lambda log: log.info("study.held", **{fact: value}))[fact] == "?"


def test_an_empty_fact_is_left_out() -> None:
    assert "project" not in line(lambda log: log.info("gate.shut", project="", reason=None))


def test_a_reason_stays_one_line_of_bounded_length_without_orders_to_a_terminal() -> None:
    said = line(lambda log: log.info("study.held", reason="a\nb\x1b[2Jc\u2028d\udcffe" + "x" * 1000))["reason"]
    assert isinstance(said, str)
    assert said.startswith("a b [2Jc d ex")
    assert len(said) == 400


def test_an_event_that_is_in_no_table_is_not_repeated() -> None:
    strange = f"study of {CANARY}"
    said = line(lambda log: log.info(strange, item="1.1"))
    assert (said["event"], said["item"]) == ("log.unknown", "1.1")
    assert CANARY not in str(said)


def test_strictly_what_is_in_no_table_is_a_fault() -> None:
    log = configure("json", stream=io.StringIO(), strict=True)
    log.info("study.held", item="1.1")
    with pytest.raises(UnknownFact, match=r"study\.helt"):
        log.info("study.helt", item="1.1")
    with pytest.raises(UnknownFact, match="label"):
        log.info("study.held", label="x")


def test_of_an_exception_the_way_is_shown_and_not_the_text() -> None:
    def fails() -> None:
        try:
            int(CANARY)
        except ValueError as error:
            raise KeyError(CANARY) from error

    said = str(line(lambda log: log.error("study.failed", exc_info=caught(fails)))["exception"])
    assert CANARY not in said
    assert said.index("builtins.ValueError") < said.index("builtins.KeyError")
    assert "in fails" in said


def test_of_our_own_errors_and_the_systems_the_text_is_shown_but_no_files_name() -> None:
    def ours() -> None:
        raise Conflict("XNAT holds something else", detail=CANARY)

    missing = Path(f"/nonexistent/{CANARY}")

    def say(log: Log) -> None:
        log.error("study.failed", exc_info=caught(ours))
        log.error("study.failed", exc_info=caught(missing.read_bytes))

    said = lines(say)
    assert str(said[0]["exception"]).endswith("Conflict: XNAT holds something else")
    assert str(said[1]["exception"]).endswith("FileNotFoundError: No such file or directory")
    assert CANARY not in str(said)


def test_exceptions_that_cause_each_other_in_a_circle_are_shown_once() -> None:
    one, two = ValueError(), KeyError()
    one.__cause__, two.__cause__ = two, one
    said = str(line(lambda log: log.error("study.failed", exc_info=one))["exception"])
    assert said.splitlines() == ["builtins.KeyError", "builtins.ValueError"]


# -- what others say ---------------------------------------------------------------------------------------


def of_library(name: str, message: str, *values: object, level: int = logging.WARNING) -> list[dict[str, object]]:
    return lines(lambda _: logging.getLogger(name).log(level, message, *values))


def test_a_library_that_warns_is_heard_by_its_fixed_words_alone() -> None:
    (said,) = of_library("urllib3.connectionpool", "Connection pool is full: %s", CANARY)
    assert said["event"] == "library.warning"
    assert said["library"] == "urllib3.connectionpool"
    assert said["said"] == "Connection pool is full: %s"
    assert re.fullmatch(r"test_logs:\d+", str(said["where"]))
    assert CANARY not in str(said)


def test_a_library_that_puts_values_into_its_words_is_heard_by_its_place_alone() -> None:
    (said,) = of_library("xnat", f"Experiment with label {CANARY} already exists", level=logging.ERROR)
    assert (said["library"], said["level"]) == ("xnat", "error")
    assert "said" not in said


def test_of_an_address_only_the_server_is_shown() -> None:
    (said,) = of_library(
        "urllib3", f"redirect from https://xnat.example.org/data/{CANARY}?dob={CANARY} to http://x?{CANARY}"
    )
    assert said["said"] == "redirect from https://xnat.example.org to http://x"


def test_a_library_that_only_talks_is_not_heard() -> None:
    assert of_library("xnat", "GET https://xnat.example.org", level=logging.INFO) == []


def test_a_librarys_traceback_is_shown_without_its_text() -> None:
    def say(_: Log) -> None:
        try:
            int(CANARY)
        except ValueError:
            logging.getLogger("watchdog").exception("Unable to rebuild")

    said = line(say)
    assert "builtins.ValueError" in str(said["exception"])
    assert CANARY not in str(said)


def test_configured_twice_a_library_is_heard_once() -> None:
    stream = io.StringIO()
    for _ in range(2):
        configure("json", stream=stream)
    logging.getLogger("watchdog").warning("Inotify queue overflowed")
    assert len(stream.getvalue().splitlines()) == 1


def test_a_warning_of_python_is_told_by_kind_and_place_alone() -> None:
    def say(_: Log) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(f"Invalid value for VR PN: {CANARY}", UserWarning, stacklevel=1)

    said = line(say)
    assert (said["event"], said["library"]) == ("library.warning", "UserWarning")
    assert CANARY not in str(said)


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words


LAST_WORDS = """
import sys, threading
from xnat_watchd.adapters.logs import configure
log = configure("json")
class Untidy:
    def __del__(self):
        raise ValueError(sys.argv[1])
def fails():
    raise ValueError(sys.argv[1])
thread = threading.Thread(target=fails, name="worker-1")
thread.start()
thread.join()
Untidy()
fails()
"""


def test_what_nobody_catches_is_told_without_its_text() -> None:
    done = python(LAST_WORDS, CANARY)
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [one["event"] for one in said] == ["thread.failed", "fault.ignored", "daemon.failed"]
    assert said[0]["thread"] == "worker-1"
    assert all("builtins.ValueError" in one["exception"] for one in said)
    assert CANARY not in done.stderr + done.stdout
    assert done.returncode == 70


# -- the tables --------------------------------------------------------------------------------------------


@cache
def all_calls() -> Sequence[tuple[str, ast.Call]]:
    """Return every call in each module in which a log is called or an event named, with its place."""
    return [
        (f"{source.name}:{node.lineno}", node)
        for source in SOURCES
        if "log." in (text := source.read_text("utf-8")) or any(event in text for event in EVENTS)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
    ]


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield every call of a log in the program."""
    for where, node in all_calls():
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("info", "warning", "error"):
            whose = node.func.value
            name = whose.attr if isinstance(whose, ast.Attribute) else getattr(whose, "id", "")
            if name in ("log", "_log"):
                yield where, node


def test_every_event_and_fact_in_the_program_is_in_the_tables() -> None:
    found = list(calls())
    assert found
    for where, call in found:
        (event,) = call.args
        assert isinstance(event, ast.Constant), where
        assert event.value in EVENTS, where
        assert {keyword.arg for keyword in call.keywords} <= {*FACTS, "exc_info"}, where


def test_every_event_has_a_stable_name_and_one_sentence() -> None:
    for event, sentence in EVENTS.items():
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", event)
        assert re.fullmatch(r"[A-Z][^.]*\.", sentence), event


def test_a_program_that_does_not_log_does_not_pay_for_it() -> None:
    asks = "import sys, xnat_watchd.adapters.logs; print('structlog' in sys.modules)"
    done = python(asks)
    assert done.stdout == "False\n"


def test_every_event_of_the_table_is_said_somewhere() -> None:
    said = {call.args[0].value for _, call in all_calls() if call.args and isinstance(call.args[0], ast.Constant)}
    unsaid = EVENTS.keys() - said
    assert unsaid <= {"log.unknown"}  # said in the place of what is in no table
