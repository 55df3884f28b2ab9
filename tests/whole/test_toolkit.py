"""Every function of XNAT_CLI_Toolkit, by somebody who has no configuration at all: only options and a password."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from tests.dicom import CANARIES
from tests.others import archived_by_others, entered_by_others, sent_by_others
from tests.whole.conftest import DEADLINE, PASSWORD, Program
from xnat_watchd.__main__ import main
from xnat_watchd.sandbox import Options, Sandbox

Scan = Callable[..., bytes]
TECH = ("tech", PASSWORD)
LABEL = "Quokka_Zenobia_20240229T101530_MR"
DOWN = "http://127.0.0.1:9"
NEWER = pytest.mark.parametrize("dialect", ["1.8"], indirect=True)


@dataclass
class User:
    """Somebody at a shell, with a home of their own."""

    home: Path
    server: str
    talk: list[str] = field(default_factory=list)  #: what was said on stderr
    name: str = "tech"
    password: str = PASSWORD

    def run(self, *command: str, expect: int = 0) -> str:
        """Run a command and give what it printed; what it said is kept."""
        who = ("--server", self.server, "--user", self.name, "--password-stdin")
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "xnat_watchd", *who, *command],
            env=self.environment(), input=f"{self.password}\n", capture_output=True, text=True, timeout=DEADLINE,
            check=False,
        )  # fmt: skip
        self.talk.append(done.stderr)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def try_(self, *command: str, expect: int) -> None:
        """Run a command that comes to nothing in this process, which is quicker; what it said is kept."""
        line = ["xnat-watchd", "--server", self.server, "--user", self.name, "--password-stdin", *command]
        said, printed = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(said):
            patch.setattr(sys, "argv", line)
            patch.setattr(sys, "stdin", io.StringIO(f"{self.password}\n"))
            patch.setattr(os, "environ", self.environment())
            with pytest.raises(SystemExit) as ended:
                main()
        self.talk.append(said.getvalue())
        assert int(ended.value.code or 0) == expect, printed.getvalue() + said.getvalue()

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XNAT_WATCHD_", "XDG_"))}
        small = {"XNAT_WATCHD_INTAKE__QUIET_FOR": "500ms", "XNAT_WATCHD_LIMITS__KEEP_FREE": "1MB"}
        return {**kept, **small, "HOME": str(self.home)}


@pytest.fixture
def user(tmp_path: Path, xnat: Sandbox) -> Iterator[User]:
    """Give somebody, and look at the end whether a patient's name was said where a mail of cron would show it."""
    one = User(tmp_path / "home", xnat.url)
    one.home.mkdir()
    yield one
    everything = "\n".join(one.talk)
    assert [word for word in (*CANARIES, PASSWORD) if word in everything] == []


@pytest.fixture
def scans(tmp_path: Path, scan: Scan) -> Path:
    """Give a folder with one ZIP."""
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "scan.zip").write_bytes(scan())
    return folder


# -- xnat-list ---------------------------------------------------------------------------------------------


def test_projects_and_subjects_are_listed_for_people_programs_and_spreadsheets(user: User, xnat: Sandbox) -> None:
    for n in range(3):
        entered_by_others(xnat, f"S{n:03}", TECH)
    assert user.run("list").splitlines() == ["ID  NAME", "P1  P1"]
    table = user.run("list", "--project", "P1").splitlines()
    assert [line.split()[0] for line in table] == ["LABEL", "S000", "S001", "S002"]
    assert [row["label"] for row in json.loads(user.run("list", "--project", "P1", "--json"))] == [
        "S000", "S001", "S002",
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(user.run("list", "--project", "P1", "--csv"))))
    assert [row["label"] for row in rows] == ["S000", "S001", "S002"]
    assert user.talk[-1] == "3 subjects\n"
    assert not any(user.home.iterdir())


# -- xnat-upload, xnat-prearchive --------------------------------------------------------------------------


def test_a_folder_is_sent_once_and_remembered(user: User, xnat: Sandbox, scans: Path, scan: Scan) -> None:
    send = ("run", "--once", "--drop", str(scans), "--project", "P1")
    assert user.run(*send) == "everything is complete\n"
    assert {(one.where, one.session) for one in xnat.instances()} == {("archive", LABEL)}
    assert [path.name for path in (scans / ".xnat-watchd" / "done").glob("*/*")] == ["1_scan.zip"]
    (scans / "again.zip").write_bytes(scan())
    (scans / "broken.zip").write_bytes(b"PK\x03\x04")
    (scans / "notes.zip").write_bytes(EMPTY_ZIP)
    said = user.run(*send, expect=1)
    assert "needs attention" in said
    assert len(xnat.instances()) == 2
    assert '"duplicate": 1' in user.run("--drop", str(scans), "status", "--json", expect=1)


EMPTY_ZIP = b"PK\x05\x06" + bytes(18)


def test_studies_wait_in_the_prearchive_and_go_on_when_they_are_told_to(user: User, xnat: Sandbox, scans: Path) -> None:
    said = user.run("run", "--once", "--drop", str(scans), "--project", "P1", "--until", "uploaded")
    assert "1.1 uploaded, waiting" in said
    assert {one.where for one in xnat.instances()} == {"prearchive"}
    assert [path.name for path in (scans / ".xnat-watchd" / "work").iterdir()] == ["1.zip"]
    assert user.run("--drop", str(scans), "run", "--once", "--until", "complete") == "everything is complete\n"
    assert {one.where for one in xnat.instances()} == {"archive"}
    created = json.loads(user.run("--drop", str(scans), "list", "--new-since", "7d", "--json"))
    assert [(row["label"], row["item"]) for row in created] == [("Quokka_Zenobia", "1.1")]


# -- xnat-archive ------------------------------------------------------------------------------------------


def test_what_others_put_into_the_prearchive_is_shown_and_archived(user: User, xnat: Sandbox, scan: Scan) -> None:
    sent_by_others(xnat, "SENT", scan(1), who=TECH)
    sent_by_others(xnat, "COMING", scan(2, name="Bilby^Theodora", patient="ZQ-7733"), who=TECH, ready=False)
    before = xnat.instances()
    plan = user.run("archive", "--project", "P1", "--dry-run", expect=75).splitlines()
    assert [line.split()[0] for line in plan] == ["SESSION", "COMING", "SENT"]
    assert plan[1].endswith("not ready: XNAT says RECEIVING of it")
    assert LABEL in plan[2]
    assert plan[2].endswith("archive")
    user.run("archive", "--project", "P1", expect=2)  # nobody there to be asked
    assert xnat.instances() == before
    assert not any(user.home.iterdir())
    user.run("archive", "--project", "P1", "--session", "SENT", "--yes")
    assert user.talk[-1].splitlines()[-4:] == [
        "1.1 found in XNAT's prearchive", "1.1 archived", "1.1 complete", "1 of 1 complete",
    ]  # fmt: skip
    assert sorted((one.where, one.session) for one in xnat.instances()) == [
        ("archive", LABEL), ("archive", LABEL), ("prearchive", "COMING"), ("prearchive", "COMING"),
    ]  # fmt: skip
    assert (xnat.subject("P1", "Quokka_Zenobia") or {})["fields"]["subject_gender"] == "Female"
    assert "found in XNAT's prearchive" in user.run("show", "1")


def test_a_session_that_is_not_there_is_said(user: User) -> None:
    user.run("archive", "--project", "P1", "--session", "NOWHERE", "--yes", expect=1)
    assert "there is no session NOWHERE in the prearchive" in user.talk[-1]


# -- xnat-updatedemographics -------------------------------------------------------------------------------


def test_demographics_are_filled_for_the_subjects_of_a_file(
    user: User, xnat: Sandbox, scan: Scan, tmp_path: Path
) -> None:
    archived_by_others(xnat, "A", scan(1), "S1", "E1", who=TECH)
    archived_by_others(xnat, "B", scan(2), "S2", "E2", who=TECH)
    entered_by_others(xnat, "S1", TECH, gender="male")
    (tmp_path / "new_subjects.json").write_text('["S1", "GONE"]', "utf-8")
    ask = ("demographics", "--project", "P1", "--file", str(tmp_path / "new_subjects.json"))
    shown = user.run(*ask, "--dry-run", expect=1).splitlines()
    assert shown[1].split() == ["S1", *["age,", "dob,", "subject_age,", "subject_dob,", "subject_gender", "gender"]]
    assert shown[2].endswith("XNAT has no such subject in the project")
    assert (xnat.subject("P1", "S1") or {})["fields"] == {}
    user.run(*ask, expect=1)
    assert (xnat.subject("P1", "S1") or {})["demographics"]["gender"] == "male"
    assert (xnat.subject("P1", "S1") or {})["fields"]["subject_dob"] == "1931-04-17"
    assert (xnat.subject("P1", "S2") or {})["fields"] == {}
    user.run("demographics", "--project", "P1", "--subject", "S2")
    assert (xnat.subject("P1", "S2") or {})["fields"]["subject_dob"] == "1931-04-17"
    user.run("demographics", "--project", "P1")
    assert "0 of 2 subjects to be written in P1" in user.talk[-1]


# -- what goes wrong ---------------------------------------------------------------------------------------

LIST = ("list", "--project", "P1")
ARCHIVE = ("archive", "--project", "P1", "--yes")
DESCRIBE = ("demographics", "--project", "P1")


@pytest.mark.parametrize("command", [LIST, ARCHIVE, DESCRIBE], ids=lambda command: command[0])
def test_whatever_goes_wrong_is_one_sentence_and_an_exit_code(
    user: User, xnat: Sandbox, command: tuple[str, ...]
) -> None:
    user.try_(*command, expect=0)  # nothing to do
    url, user.server = user.server, DOWN
    user.try_(*command, expect=69)
    assert "Check that the XNAT server is up" in user.talk[-1]
    user.server, user.password = url, "wrong"
    user.try_(*command, expect=77)
    assert "XNAT refuses the user or the password" in user.talk[-1]
    user.password = PASSWORD
    user.try_(command[0], "--project", "NOPE", expect=1)
    assert "NOPE" in user.talk[-1]
    xnat.grant("tech", "P1", None)
    user.try_(*command, expect=1)
    assert "P1" in user.talk[-1]
    assert "Traceback" not in "".join(user.talk)


def test_what_cannot_be_sent_is_said_at_the_end(user: User, xnat: Sandbox, scans: Path) -> None:
    send = ("run", "--once", "--drop", str(scans))
    user.password = "wrong"
    assert "XNAT refuses" in user.run(*send, "--project", "P1", expect=77)
    user.password = PASSWORD  # a password that is typed anew is tried at once
    xnat.grant("tech", "P1", "collaborator")
    assert "1.1 needs attention: XNAT lists no such project that this account may write to" in user.run(*send, expect=1)
    xnat.grant("tech", "P1", "member")
    user.run("--drop", str(scans), "retry", "1.1")
    assert user.run(*send) == "everything is complete\n"
    assert user.run(*send) == "everything is complete\n"  # nothing to do


@NEWER
def test_a_folder_never_goes_to_another_server_by_mistake(user: User, scans: Path) -> None:
    user.run("run", "--once", "--drop", str(scans), "--project", "P1")
    user.server = DOWN
    user.run("run", "--once", "--drop", str(scans), expect=78)
    assert "its ledger knows nothing of another server" in user.talk[-1]
    (scans / ".xnat-watchd").chmod(0o777)  # whoever may write there is not believed
    user.run("run", "--once", "--drop", str(scans), "--project", "P1", expect=0)


# -- beside a service, on a terminal -----------------------------------------------------------------------


@NEWER
def test_commands_have_a_running_service_do_it(program: Program, xnat: Sandbox, scan: Scan) -> None:
    sent_by_others(xnat, "SENT", scan(), who=TECH)
    with program.start() as service:
        service.wait_for("READY=1")
        program.run("archive", "--project", "P1", "--yes")
        program.said[-2] = ""  # the plan names the patient, for people
        assert "the service that runs here does it" in program.said[-1]
        program.drop("other.zip", scan(2, name="Bilby^Theodora", patient="ZQ-7733"))
        assert program.once() == "everything is complete\n"
        program.run("run", "--once", "--until", "uploaded", expect=2)
        assert service.stop() == 0
    assert {one.where for one in xnat.instances()} == {"archive"}
    assert len(xnat.instances()) == 4


@pytest.fixture
def slow_xnat(tmp_path: Path) -> Iterator[Sandbox]:
    slow = Options(archiving_takes=timedelta(seconds=DEADLINE))
    with Sandbox(tmp_path / "slow", users=dict([TECH]), projects=["P1"], options=slow) as sandbox:
        yield sandbox


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, user: User, *command: str) -> None:
        self._master, slave = pty.openpty()
        environment = {**user.environment(), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
        self.shown = ""
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "xnat_watchd", *command, "--server", user.server, "--user", "tech"],
            env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)

    def wait_for(self, *words: str) -> None:
        while not all(word in self.shown for word in words):
            self._read()

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> int:
        try:
            while True:
                self._read()
        except OSError:  # the other end is closed
            os.close(self._master)
        return self.process.wait(DEADLINE)

    def _read(self) -> None:
        self.shown += os.read(self._master, 65536).decode("utf-8", "replace")


def test_bars_go_with_the_work_and_ctrl_c_ends_it_cleanly(slow_xnat: Sandbox, tmp_path: Path, scans: Path) -> None:
    user = User(tmp_path, slow_xnat.url)
    command = ("run", "--once", "--drop", str(scans), "--project", "P1")
    terminal = Terminal(user, *command)
    terminal.wait_for("Password")
    terminal.type(f"{PASSWORD}\n")
    terminal.wait_for("sent", "done", "studies", "kB")
    slow_xnat.wait_for_requests(12)
    while not any(one["status"].endswith("ARCHIVING") for one in slow_xnat.rows("P1")):
        terminal._read()
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 75
    assert "1.1 uploaded, ready" in terminal.shown
    assert PASSWORD not in terminal.shown
    assert not [word for word in CANARIES if word in terminal.shown]


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
