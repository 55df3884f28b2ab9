"""Every function of XNAT_CLI_Toolkit, by somebody who has no configuration at all: only options and a password."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dicom import CANARIES, instance
from tests.others import archived_by_others, entered_by_others, sent_by_others
from tests.station import zipped
from tests.whole.conftest import PASSWORD
from tests.whole.user import DOWN, TECH, User
from xnat_watchd.adapters.files.disk import MARK
from xnat_watchd.adapters.files.lock import LOCK
from xnat_watchd.sandbox import Sandbox

Scan = Callable[..., bytes]
FILLED = "age, dob, subject_age, subject_dob, subject_gender"
LABEL = "Quokka_Zenobia_20240229T101530_MR"
NEWER = pytest.mark.parametrize("dialect", ["1.8"], indirect=True)


@pytest.fixture
def user(tmp_path: Path, xnat: Sandbox) -> Iterator[User]:
    """Yield a user; check at the end that no patient's name stands in any output, which cron would mail."""
    one = User(tmp_path / "home", xnat.url)
    one.home.mkdir()
    yield one
    everything = "\n".join(one.talk)
    assert [word for word in (*CANARIES, PASSWORD) if word in everything] == []


# -- xnat-list ---------------------------------------------------------------------------------------------


def test_projects_and_subjects_are_listed_for_people_programs_and_spreadsheets(user: User, xnat: Sandbox) -> None:
    for n in (2, 0, 1):
        entered_by_others(xnat, f"S{n:03}", TECH)
    assert user.run("list").splitlines() == ["ID  NAME", "P1  P1"]
    table = user.try_("list", "--project", "P1").splitlines()
    assert [line.split()[0] for line in table] == ["LABEL", "S000", "S001", "S002"]
    assert [row["label"] for row in json.loads(user.try_("list", "--project", "P1", "--json"))] == [
        "S000", "S001", "S002",
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(user.try_("list", "--project", "P1", "--csv"))))
    assert [row["label"] for row in rows] == ["S000", "S001", "S002"]
    assert user.talk[-1] == "3 subjects\n"
    assert sum(method == "DELETE" and path == "/data/JSESSION" for method, path, *_ in xnat.requests) >= 4
    assert not any(user.home.iterdir())


# -- xnat-upload, xnat-prearchive --------------------------------------------------------------------------


def test_a_folder_is_sent_once_and_remembered(user: User, xnat: Sandbox, scans: Path, scan: Scan) -> None:
    sent_by_others(xnat, "PARKED", scan(7, name="Bilby^Theodora", patient="ZQ-7733"), who=TECH)
    send = ("run", "--once", "--drop", str(scans), "--project", "P1")
    assert user.run(*send) == "everything is complete\n"
    assert {(one.where, one.session) for one in xnat.instances()} == {("archive", LABEL), ("prearchive", "PARKED")}
    assert [path.name for path in (scans / ".xnat-watchd" / "done").glob("*/*")] == ["1_scan.zip"]
    (scans / "again.zip").write_bytes(scan())
    (scans / "notes.zip").write_bytes(zipped([("notes.txt", b"call the ward")]))
    said = "3 needs attention: there is no DICOM image in the ZIP. Export the study again and drop the new ZIP."
    assert user.run(*send, expect=1).splitlines() == [f"{said} Then `xnat-watchd --drop {scans} skip 3 --why TEXT`."]
    assert len(xnat.instances()) == 4
    assert '"duplicate": 1' in user.try_("--drop", str(scans), "status", "--json", expect=1)
    assert "notes.zip" in user.try_("--drop", str(scans), "show", "3")


def test_studies_wait_in_the_prearchive_and_go_on_when_they_are_told_to(user: User, xnat: Sandbox, scans: Path) -> None:
    said = user.run("run", "--once", "--drop", str(scans), "--project", "P1", "--until", "uploaded")
    assert "1.1 uploaded, waiting" in said
    assert {one.where for one in xnat.instances()} == {"prearchive"}
    lying = {path.name for path in (scans / ".xnat-watchd" / "work").glob("*.zip")}
    assert lying - {"1.1.zip"} == {"1.zip"}  # on 1.6 beside the ZIP of our own that was sent
    assert user.run("--drop", str(scans), "run", "--once", "--until", "complete") == "everything is complete\n"
    assert {one.where for one in xnat.instances()} == {"archive"}
    created = json.loads(user.try_("--drop", str(scans), "list", "--new-since", "7d", "--json"))
    assert [(row["label"], row["item"]) for row in created] == [("Quokka_Zenobia", "1.1")]


# -- xnat-archive ------------------------------------------------------------------------------------------


def test_what_one_has_uploaded_oneself_is_archived_on_demand(user: User, xnat: Sandbox, scans: Path) -> None:
    user.run("run", "--once", "--drop", str(scans), "--project", "P1", "--until", "uploaded")
    plan = user.try_("archive", "--project", "P1", "--dry-run", expect=1)
    assert f"-> needs a person: you sent it from {scans}; `xnat-watchd --drop {scans} archive --project P1`" in plan
    here = ("--drop", str(scans), "archive", "--project", "P1")
    assert "-> go on: it is study 1.1" in user.try_(*here, "--dry-run")
    assert {one.where for one in xnat.instances()} == {"prearchive"}
    user.run(*here, "--yes")
    assert user.talk[-1].splitlines()[-1] == "1 of 1 complete"
    assert {one.where for one in xnat.instances()} == {"archive"}
    assert user.run("--drop", str(scans), "run", "--once") == "everything is complete\n"


def test_what_others_put_into_the_prearchive_is_shown_and_archived(
    user: User, xnat: Sandbox, scan: Scan, dialect: str
) -> None:
    sent_by_others(xnat, "SENT", scan(1), who=TECH)
    sent_by_others(xnat, "COMING", scan(2, name="Bilby^Theodora", patient="ZQ-7733"), who=TECH, ready=False)
    before = xnat.instances()
    xnat_calls = str if dialect == "1.6" else lambda name: name.replace("^", "_")
    plan = user.try_("archive", "--project", "P1", "--dry-run", expect=75).splitlines()
    assert [line.split() for line in plan] == [
        ["SESSION", "SUBJECT", "DATE", "IMAGES", "STATUS"],
        ["COMING", xnat_calls("Bilby^Theodora"), "2024-02-29", "RECEIVING"],
        ["->", "not", "ready:", "XNAT", "says", "RECEIVING", "of", "it"],
        ["SENT", "Quokka_Zenobia", "2024-02-29", "2", "READY"],
        ["->", "archive", "as", LABEL],
    ]
    user.try_("archive", "--project", "P1", expect=2)  # nobody there to be asked
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
    assert "in XNAT's prearchive" in user.try_("show", "1")


def test_a_session_that_is_not_there_is_said(user: User) -> None:
    user.try_("archive", "--project", "P1", "--session", "NOWHERE", "--yes", expect=1)
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
    assert user.try_(*ask, "--dry-run", expect=1).splitlines() == [
        "SUBJECT",
        "S1",
        f"    -> fills {FILLED}; keeps, though the images say otherwise: gender",
        "GONE",
        "    -> XNAT has no such subject in the project",
    ]
    assert (xnat.subject("P1", "S1") or {})["fields"] == {}
    user.run(*ask, expect=1)
    assert (xnat.subject("P1", "S1") or {})["demographics"]["gender"] == "male"
    assert (xnat.subject("P1", "S1") or {})["fields"]["subject_dob"] == "1931-04-17"
    assert (xnat.subject("P1", "S2") or {})["fields"] == {}
    user.try_("demographics", "--project", "P1", "--subject", "S2")
    assert (xnat.subject("P1", "S2") or {})["fields"]["subject_dob"] == "1931-04-17"
    user.try_("demographics", "--project", "P1")
    assert "0 of 2 subjects to be written in P1" in user.talk[-1]


# -- what goes wrong ---------------------------------------------------------------------------------------

LIST = ("list", "--project", "P1")
ARCHIVE = ("archive", "--project", "P1", "--yes")
DESCRIBE = ("demographics", "--project", "P1")
SEND = ("run", "--once", "--drop", "scans", "--project", "P1")
PARK = (*SEND, "--until", "uploaded")
NO_PROJECT = "project NOPE that this account may write to. Check the project's ID"
NO_RIGHT = "project P1 that this account may write to. Check the project's ID"
LOCKED_OUT = "XNAT refuses the user or the password"


@pytest.mark.parametrize("command", [LIST, ARCHIVE, DESCRIBE], ids=lambda command: command[0])
def test_whatever_goes_wrong_is_one_sentence_and_an_exit_code(
    user: User, xnat: Sandbox, command: tuple[str, ...]
) -> None:
    user.try_(*command)
    assert "0 " in user.talk[-1]  # nothing to do
    url, user.server = user.server, DOWN
    user.try_(*command, expect=69)
    assert "Check that the XNAT server is up" in user.talk[-1]
    user.server, user.password = url, "wrong"
    user.try_(*command, expect=77)
    assert LOCKED_OUT in user.talk[-1]
    user.password = PASSWORD
    user.try_(command[0], "--project", "NOPE", expect=1)
    assert "NOPE" in user.talk[-1]
    assert "Check the project's ID" in user.talk[-1]
    xnat.grant("tech", "P1", None if command is LIST else "collaborator")
    user.try_(*command, expect=1)
    assert "P1" in user.talk[-1]
    assert "Check the project's ID" in user.talk[-1]
    assert "Traceback" not in "".join(user.talk)


@pytest.fixture
def at_scans(scans: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(scans.parent)
    return scans


@pytest.mark.usefixtures("at_scans")
@pytest.mark.parametrize("command", [SEND, PARK], ids=["upload", "prearchive"])
def test_what_cannot_be_sent_is_said_at_the_end_and_goes_on_when_it_can(
    user: User, xnat: Sandbox, command: tuple[str, ...]
) -> None:
    user.password = "wrong"
    assert LOCKED_OUT in user.try_(*command, expect=77)
    user.password = PASSWORD  # a password that is typed anew is tried at once
    xnat.grant("tech", "P1", "collaborator")
    said = user.try_(*command, expect=1)
    assert said.startswith("1.1 needs attention: XNAT lists no such project that this account may write to. Check")
    assert xnat.instances() == []
    xnat.grant("tech", "P1", "member")
    user.try_("--drop", "scans", "retry", "1.1", "--later")
    user.try_(*command)
    assert len(xnat.instances()) == 2
    before = len(xnat.requests)
    user.try_(*command)  # nothing to do
    assert [path for method, path, *_ in xnat.requests[before:] if method == "POST" and "import" in path] == []


@NEWER  # there is nobody who would speak a dialect
@pytest.mark.parametrize("command", [SEND, PARK], ids=["upload", "prearchive"])
def test_a_server_that_is_down_leaves_all_as_it_was(
    user: User, at_scans: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xnat_watchd.daemon.state.ONCE_ASKS", 1)  # the second time comes ten seconds later
    user.server = DOWN
    said = user.try_(*command, expect=69).splitlines()
    assert said[0].startswith("XNAT cannot be reached. ")
    assert said[0].endswith(
        "Check that the XNAT server is up and can be reached from this machine. Work then goes on by itself."
    )
    assert said[1].startswith("1.1 received, ready")
    lying = {path.name for path in (at_scans / ".xnat-watchd" / "work").glob("*.zip")}
    assert lying - {"1.1.zip"} == {"1.zip"}  # on 1.6 beside the ZIP of our own that was sent


@pytest.mark.usefixtures("at_scans")
def test_a_project_that_is_not_there_is_said_at_the_end(user: User) -> None:
    assert "lists no such project" in user.try_("run", "--once", "--drop", "scans", "--project", "NOPE", expect=1)


@NEWER
def test_where_there_is_nothing_to_send_that_is_said(user: User, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    send = ("run", "--once", "--drop", str(tmp_path / "empty"), "--project", "P1")
    assert user.try_(*send) == "no ZIP lies in the folder\n"
    (tmp_path / "empty" / "half.zip").write_bytes(zipped([("1.dcm", instance())])[:-30])
    assert user.try_(*send, expect=75).startswith("1 ZIP in the folder not taken")
    screen = user.try_("--drop", str(tmp_path / "empty"), "status")
    assert "half.zip: not complete yet" in screen
    assert "nothing runs now" in screen


@NEWER
def test_what_is_a_zip_by_its_content_is_taken_unless_its_name_says_that_it_is_not_for_us(
    user: User, xnat: Sandbox, scan: Scan, tmp_path: Path
) -> None:
    left = ("a.zip.part", "a.zip.filepart", "x.zip.tmp", ".hidden.zip")
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in (*left, "A.ZIP", "scan.zip.txt", "zip"):
        (folder / name).write_bytes(scan())
    assert user.try_("run", "--once", "--drop", str(folder), "--project", "P1") == "everything is complete\n"
    assert {path.name for path in folder.iterdir()} == {*left, ".xnat-watchd", MARK, LOCK}
    assert len(xnat.instances()) == 2


@NEWER
@pytest.mark.usefixtures("at_scans")
def test_what_the_ledger_does_not_know_is_said(user: User) -> None:
    for command in (("list", "--new-since", "7d"), ("show", "1"), ("retry", "1.1"), ("status",)):
        user.try_(*command, expect=78)
        assert "there is no ledger at" in user.talk[-1]
    user.try_(*SEND)
    there = ("--drop", "scans")
    assert json.loads(user.try_(*there, "list", "--new-since", "1s", "--project", "P2", "--json")) == []
    user.try_(*there, "show", "9", expect=2)
    user.try_(*there, "retry", "9", expect=1)
    assert "there is no such study" in user.talk[-1]
    user.try_(*there, "retry", "1.1")
    assert "1.1 is not held, and does not wait" in user.talk[-1]
    user.try_(*there, "list", "--new-since", "99999999999d", expect=2)


@NEWER
def test_a_folder_never_goes_to_another_server_by_mistake(user: User, scans: Path) -> None:
    user.try_("run", "--once", "--drop", str(scans), "--project", "P1")
    user.server = DOWN
    user.try_("run", "--once", "--drop", str(scans), expect=78)
    assert "its ledger is for that server only" in user.talk[-1]
    (scans / ".xnat-watchd").chmod(0o777)  # whoever may write there could have us write elsewhere
    user.try_("run", "--once", "--drop", str(scans), "--project", "P1", expect=78)
    assert "not ours alone" in user.talk[-1]


@NEWER
def test_ctrl_c_before_the_work_has_begun_says_what_remains(
    user: User, xnat: Sandbox, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def typed(*_: object) -> None:
        raise KeyboardInterrupt

    sent_by_others(xnat, "SENT", scan(), who=TECH)
    with monkeypatch.context() as patch:
        patch.setattr("xnat_watchd.daemon.one_off_run.carry", typed)
        said = user.try_("archive", "--project", "P1", "--yes", expect=75)
    assert said.splitlines()[-1] == "1.1 uploaded, ready: not done yet"
    assert {one.where for one in xnat.instances()} == {"prearchive"}


@NEWER
def test_nothing_is_archived_that_was_not_shown(user: User, xnat: Sandbox, scan: Scan) -> None:
    """Between the plan and the deed others send more: a study beside it, and one into the same session."""
    sent_by_others(xnat, "SHOWN", scan(1), who=TECH)
    sent_by_others(xnat, "GROWS", scan(2, name="Bilby^Theodora", patient="ZQ-7733"), who=TECH)

    def meanwhile(*_: object, **__: object) -> None:
        sent_by_others(xnat, "LATE", scan(3, name="Dodo^Ada", patient="D1"), who=TECH)
        sent_by_others(xnat, "GROWS", scan(2, 3, name="Bilby^Theodora", patient="ZQ-7733"), who=TECH)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xnat_watchd.interfaces.cli.execution.confirm", meanwhile)
        said = user.try_("archive", "--project", "P1", expect=1)
    assert "not what it was when it was shown" in said
    assert {(one.where, one.session) for one in xnat.instances()} == {
        ("archive", LABEL), ("prearchive", "GROWS"), ("prearchive", "LATE"),
    }  # fmt: skip
