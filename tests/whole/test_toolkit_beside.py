"""The one-off commands beside a running service, on a terminal, and in a shell that completes what is typed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.dicom import CANARIES
from tests.others import archived_by_others, sent_by_others
from tests.whole.conftest import DEADLINE, PASSWORD, Program
from tests.whole.user import DOWN, TECH, Terminal, User
from xnat_watchd.sandbox import Options, Sandbox

Scan = Callable[..., bytes]
WATCHED = "the service that runs here does it"
OTHER = {"name": "Bilby^Theodora", "patient": "ZQ-7733"}


# -- beside a service --------------------------------------------------------------------------------------


def test_a_running_service_does_it_and_the_commands_watch(program: Program, xnat: Sandbox, scan: Scan) -> None:
    """archive, demographics, retry, run --once: none has a login of its own by which XNAT would see it work."""
    sent_by_others(xnat, "SENT", scan(1), who=TECH)
    archived_by_others(xnat, "A", scan(3, **OTHER), "S3", "E3", who=TECH)
    with program.start() as service:
        service.wait_for("READY=1")
        program.run("archive", "--project", "P1", "--yes")
        assert program.said[-1].splitlines()[1:] == [
            f"{WATCHED}; Ctrl-C only ends the watching",
            "1.1 found in XNAT's prearchive", "1.1 archived", "1.1 complete", "1 of 1 complete",
        ]  # fmt: skip
        program.run("demographics", "--project", "P1", "--subject", "S3")
        assert program.said[-1].splitlines()[1:] == [
            f"{WATCHED}; Ctrl-C only ends the watching",
            "2.1 found in XNAT's archive", "2.1 complete", "1 of 1 complete",
        ]  # fmt: skip
        program.said.clear()  # the plan names the patient, for people
        program.drop("other.zip", scan(2, date="", **OTHER))
        assert program.run("run", "--once", expect=1).startswith("3.1 needs attention: the study date is missing")
        assert WATCHED in program.said[-1]
        program.run("retry", "3.1", "--label", "VISIT_1")
        assert [line for line in program.said[-1].splitlines() if WATCHED not in line] == [
            "3.1 uploaded", "3.1 archived", "3.1 complete", "1 of 1 complete",
        ]  # fmt: skip
        assert program.run("run", "--once") == "everything is complete\n"
        program.run("run", "--once", "--until", "uploaded", expect=2)
        assert service.stop() == 0
    assert sorted({one.session for one in xnat.instances()}) == [
        "E3", "Quokka_Zenobia_20240229T101530_MR", "VISIT_1",
    ]  # fmt: skip
    assert len(xnat.instances()) == 6


def test_without_a_service_a_held_study_is_carried_by_the_one_who_says_so(
    program: Program, xnat: Sandbox, scan: Scan
) -> None:
    program.drop("scan.zip", scan(date=""))
    program.once(expect=1)
    assert program.run("retry", "1.1", "--label", "VISIT_1") == "1.1 goes on\n"
    assert program.said[-1].splitlines() == ["1.1 uploaded", "1.1 archived", "1.1 complete", "1 of 1 complete"]
    assert {(one.where, one.session) for one in xnat.instances()} == {("archive", "VISIT_1")}
    assert [path.name for path in (program.root / "done").glob("*/*")] == ["1_scan.zip"]


@pytest.mark.parametrize("dialect", ["1.8"], indirect=True)
def test_a_second_command_waits_for_the_first_and_then_does_its_own(
    program: Program, xnat: Sandbox, scan: Scan
) -> None:
    """Both take the service's lock: two hands on one ledger never work at once."""
    import fcntl

    sent_by_others(xnat, "SENT", scan(1), who=TECH)
    program.run("status", expect=78)
    lock = program.root / "ledger.sqlite.lock"
    program.once()  # makes ledger and lock
    assert lock.exists()
    handle = os.open(lock, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    command = ("--config", str(program.config), "archive", "--project", "P1", "--yes")
    left = Terminal(program._environment(), *command)
    left.wait_for(WATCHED)
    left.process.send_signal(signal.SIGINT)
    assert left.end() == 75
    assert "the service goes on with it" in left.shown
    assert "1.1 uploaded, ready: not done" in left.shown
    assert "on its way: it is study 1.1" in program.run(*command[2:])
    sent_by_others(xnat, "OTHER", scan(2, **OTHER), who=TECH)
    waits = Terminal(program._environment(), *command)
    waits.wait_for(WATCHED)
    assert {one.where for one in xnat.instances()} == {"prearchive"}
    os.close(handle)
    assert waits.end() == 0
    assert {one.session for one in xnat.instances() if one.where == "archive"} == {"Bilby_Theodora_20240229T101530_MR"}
    assert program.run("run", "--once") == "everything is complete\n"
    assert {one.where for one in xnat.instances()} == {"archive"}
    program.said.clear()  # the plans name the patients, for people


# -- on a terminal -----------------------------------------------------------------------------------------


@pytest.fixture
def slow_xnat(tmp_path: Path) -> Iterator[Sandbox]:
    slow = Options(archiving_takes=timedelta(seconds=DEADLINE))
    with Sandbox(tmp_path / "slow", users=dict([TECH]), projects=["P1"], options=slow) as sandbox:
        yield sandbox


@pytest.fixture
def typing(tmp_path: Path, slow_xnat: Sandbox) -> Callable[..., Terminal]:
    """Return a function that starts a command on a terminal and types the password there."""
    user = User(tmp_path, slow_xnat.url)

    def start(*command: str) -> Terminal:
        terminal = Terminal(user.environment(), *command, "--server", user.server, "--user", "tech")
        terminal.wait_for("Password")
        terminal.type(f"{PASSWORD}\n")
        return terminal

    return start


def is_archiving(xnat: Sandbox) -> Callable[[], bool]:
    return lambda: any(one["status"].endswith("ARCHIVING") for one in xnat.rows("P1"))


def test_bars_go_with_the_work_and_ctrl_c_ends_it_cleanly(
    typing: Callable[..., Terminal], slow_xnat: Sandbox, scans: Path
) -> None:
    terminal = typing("run", "--once", "--drop", str(scans), "--project", "P1")
    terminal.wait_for("sent", "done", "studies", "kB")
    terminal.wait_until(is_archiving(slow_xnat))
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 75
    assert "1.1 uploaded, ready" in terminal.shown
    assert not [word for word in (*CANARIES, PASSWORD) if word in terminal.shown]


def test_a_question_comes_before_and_ctrl_c_says_what_remains(
    typing: Callable[..., Terminal], slow_xnat: Sandbox, scan: Scan
) -> None:
    sent_by_others(slow_xnat, "SENT", scan(), who=TECH)
    terminal = typing("archive", "--project", "P1")
    terminal.wait_for("Archive this 1? [y/N]")
    assert not is_archiving(slow_xnat)()
    terminal.type("y\n")
    terminal.wait_for("done", "studies")
    terminal.wait_until(is_archiving(slow_xnat))
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 75
    assert "1.1 uploaded, ready: " in terminal.shown
    assert "0 of 1 complete" in terminal.shown


def test_a_no_is_a_no(typing: Callable[..., Terminal], slow_xnat: Sandbox, scan: Scan) -> None:
    sent_by_others(slow_xnat, "SENT", scan(), who=TECH)
    terminal = typing("archive", "--project", "P1")
    terminal.wait_for("Archive this 1? [y/N]")
    terminal.type("n\n")
    assert terminal.end() == 1
    assert {one["status"] for one in slow_xnat.rows("P1")} == {"READY"}


# -- in a shell --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete"), ("zsh", "compdef"), ("fish", "complete")])
def test_a_shell_learns_the_commands(tmp_path: Path, shell: str, word: str) -> None:
    user = User(tmp_path, DOWN)
    words = {"COMP_WORDS": "xnat-watchd arch", "COMP_CWORD": "arch" if shell == "fish" else "1"}
    words["_XNAT_WATCHD_COMPLETE"] = f"{shell}_complete"
    line = [sys.executable, "-m", "xnat_watchd"]
    script = subprocess.run(  # noqa: S603 - our own program
        [*line, "completion", shell], env=user.environment(), capture_output=True, text=True, check=True
    ).stdout
    assert word in script
    told = subprocess.run(  # noqa: S603 - our own program
        line, env={**user.environment(), **words}, capture_output=True, text=True, check=False
    ).stdout
    assert "archive" in told


#: Sources the script as ~/.bashrc does, and asks for what readline would ask for.
COMPLETE = """
eval "$(xnat-watchd completion bash)"
set -- $(complete -p xnat-watchd)
while [ "$1" != -F ]; do shift; done
asked=$2
for typed in "xnat-watchd arch" "xnat-watchd archive --dr" "xnat-watchd run --until " "xnat-watchd show 1"; do
  COMP_LINE=$typed COMP_POINT=${#typed}; read -ra COMP_WORDS <<<"$typed"
  [ "${typed% }" = "$typed" ] || COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
  "$asked" xnat-watchd "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
  echo "${COMPREPLY[*]}"
done
"""


@pytest.mark.parametrize("dialect", ["1.8"], indirect=True)
def test_bash_completes_commands_options_values_and_items(program: Program, scan: Scan) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    program.drop("scan.zip", scan())
    program.once()
    folder = program.root / "bin"
    folder.mkdir()
    command = folder / "xnat-watchd"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m xnat_watchd "$@"\n', "utf-8")
    command.chmod(0o755)
    environment = {**program._environment(), "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(  # noqa: S603 - our own script
        [bash, "--norc", "-c", COMPLETE], capture_output=True, text=True, check=False, timeout=DEADLINE,
        env={**environment, "XNAT_WATCHD_CONFIG": str(program.config)},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["archive", "--dry-run", "uploaded archived complete", "1.1"]
