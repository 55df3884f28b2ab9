"""Share tables against the practice XNAT of both dialects: its treacherous answers, faults, kills, and the command."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest

from tests import warm
from tests.saboteur import Crash, Saboteur
from tests.share_desk import REASON, SESSIONS, STATE, Desk
from tests.share_site import ShareSite, a_share_site
from tests.station import Time
from tests.whole.conftest import DEADLINE, Program
from xnat_watchd.core.sharing import user_table
from xnat_watchd.sharing import roles

LABELLED = "subject,source,destination,label\n"
PUT_SUBJECT, PUT_SESSION = r"/subjects/[^/]+/projects/P2", r"/experiments/[^/]+/projects/P2"


@pytest.fixture(params=["1.6", "1.8"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShareSite]:
    """Yield a practice XNAT with S1 and S2 in P1, the first with two sessions."""
    with a_share_site(tmp_path, request.param) as one:
        one.subject("P1", "S1", ["S1_CT", "S1_MR"])
        one.subject("P1", "S2", ["S2_MR"])
        yield one
        assert not [path for path, _ in one.asked("DELETE") if path != "/data/JSESSION"]
        assert not [query for _, query in one.asked("PUT") if "primary" in query]


@pytest.fixture
def desk(tmp_path: Path, site: ShareSite) -> Iterator[Desk]:
    one = Desk(tmp_path, site.gateway, Time())
    yield one
    one.close()


def shares_asked(site: ShareSite) -> list[str]:
    return [path for path, _ in site.asked("PUT") if "/projects/" in path]


# -- what the issue names --------------------------------------------------------------------------------------


def test_a_table_comes_true_with_every_session_and_those_that_come_later(site: ShareSite, desk: Desk) -> None:
    desk.save("S1,P1,P2", "S2,P1,P2")
    desk.settle()
    assert site.labels("P2") == ["S1", "S1_CT", "S1_MR", "S2", "S2_MR"]
    assert [(row[STATE], row[SESSIONS]) for row in desk.report()] == [("shared", "2"), ("shared", "1")]
    site.session("XNAT_S00001", "S1_PT")
    desk.later()
    assert "S1_PT" in site.labels("P2")
    assert len(shares_asked(site)) == 6


def test_a_sweep_in_which_nothing_changed_takes_at_most_four_requests_for_each_project(
    site: ShareSite, desk: Desk
) -> None:
    labels = [f"T{n}" for n in range(60)]
    for label in labels:
        site.subject("P1", label, [f"{label}_MR"])
    site.project("P3")
    desk.save(*(f"{label},P1,{into}" for label in labels for into in ("P2", "P3")))
    desk.settle()
    assert set(desk.states()) == {"shared"}
    before = len(site.xnat.requests)
    desk.later()
    assert len(site.xnat.requests) - before <= 3 * 4
    assert len(site.xnat.requests) - before <= 2 + 3 * 2


@pytest.mark.parametrize("dialect", ["1.6", "1.8"])
@pytest.mark.parametrize("minutes", [14.9, 16])
def test_two_projects_take_at_most_seven_requests_also_with_a_login_that_has_expired(
    tmp_path: Path, dialect: str, minutes: float
) -> None:
    time = Time()
    with a_share_site(tmp_path, dialect, time) as site:
        site.subject("P1", "S1", ["S1_MR"])
        desk = Desk(tmp_path, site.gateway, time)
        desk.save("S1,P1,P2")
        desk.settle()
        logins, before = site.xnat.login_tries, len(site.xnat.requests)
        desk.later(minutes=minutes)
        assert site.xnat.login_tries - logins == (minutes > 15)
        assert len(site.xnat.requests) - before == (7 if minutes > 15 else 4)
        desk.close()


def test_what_a_person_took_back_stays_away_until_its_row_changes(site: ShareSite, desk: Desk) -> None:
    desk.save("S1,P1,P2", "S2,P1,P2")
    desk.settle()
    site.take_back("XNAT_S00001", "P2")
    desk.later()
    desk.later()
    assert desk.states() == ["removed by someone", "shared"]
    assert site.labels("P2") == ["S2", "S2_MR"]
    desk.save("S1,P1,P2,again", "S2,P1,P2,", header=LABELLED)
    desk.settle()
    assert desk.states() == ["shared", "shared"]
    assert site.labels("P2") == ["S1_CT", "S1_MR", "S2", "S2_MR", "again"]


def test_what_is_not_there_yet_waits_and_comes_true(site: ShareSite, desk: Desk) -> None:
    desk.save("S9,P1,P2", "S1,P1,P9", "S1,P8,P2", "XNAT_S00001,P1,P2", "a/b?c#d,P1,P2", "S1,a/b?c#d,P2")
    desk.settle()
    assert desk.states() == ["waiting"] * 6
    assert not shares_asked(site)
    assert not [path for path, query in site.asked("GET") if "?" in path or "c%23d" in path + query]
    site.subject("P1", "S9", ["S9_MR"])
    site.project("P9")
    desk.later()
    assert desk.states() == ["shared", "shared", "waiting", "waiting", "waiting", "waiting"]


def test_a_label_of_someone_else_and_a_missing_right_fail_with_the_next_step(site: ShareSite, desk: Desk) -> None:
    taken = site.subject("P2", "S1")
    site.project("P3", "collaborator")
    site.subject("P2", "other", ["S2_MR"])
    desk.save("S1,P1,P2", "S1,P1,P3", "S2,P1,P2")
    desk.settle()
    assert desk.states() == ["failed"] * 3
    reasons = [row[REASON] for row in desk.report()]
    assert reasons[0] == "the label is taken in the destination: give another"
    assert "ask its owner for the role of a member" in reasons[1]
    assert reasons[2].startswith("1 of 1 sessions: the label is taken in the destination")
    with site.xnat._site.lock:
        site.xnat._site.store.subjects[taken].label = "renamed"
    site.xnat.grant("tech", "P3", "member")
    desk.later()
    assert desk.states() == ["shared", "shared", "failed"]


def test_a_share_under_another_label_is_reported_and_never_renamed(site: ShareSite, desk: Desk) -> None:
    desk.save("S1,P1,P2", "S2,P1,P2")
    desk.settle()
    asked = len(shares_asked(site))
    desk.save("S1,P1,P2,other", "S2,P1,P2,", header=LABELLED)
    desk.settle()
    assert desk.states() == ["failed", "shared"]
    assert "there under another label" in desk.report()[0][REASON]
    assert len(shares_asked(site)) == asked
    assert "S1" in site.labels("P2")


def test_a_session_that_is_there_without_its_subject_gets_its_subject(site: ShareSite, desk: Desk) -> None:
    with site.xnat._site.lock:
        site.xnat._site.store.experiments["XNAT_E00003"].shares["P2"] = "S2_MR"
    desk.save("S2,P1,P2")
    desk.settle()
    assert site.labels("P2") == ["S2", "S2_MR"]
    assert len(shares_asked(site)) == 1


def test_a_share_without_a_label_is_left_as_it_is(site: ShareSite, desk: Desk) -> None:
    with site.xnat._site.lock:
        site.xnat._site.store.subjects["XNAT_S00002"].shares["P2"] = ""
        site.xnat._site.store.experiments["XNAT_E00003"].shares["P2"] = ""
    desk.save("S2,P1,P2")
    desk.settle()
    assert desk.states() == ["already there"]
    assert not shares_asked(site)


def test_letters_of_every_script_are_shared_under_their_own_label(site: ShareSite, desk: Desk) -> None:
    name = "שרון_דבורה"
    site.subject("P1", name, [f"{name}_MR"])
    desk.save(f"{name},P1,P2")
    desk.settle()
    assert desk.states() == ["shared"]
    assert site.labels("P2") == [name, f"{name}_MR"]


# -- faults ----------------------------------------------------------------------------------------------------

Fault = Callable[[ShareSite, str], None]
FAULTS: dict[str, Fault] = {
    "the answer is lost": lambda site, where: site.xnat.faults.on("PUT", where).lose_answer(),
    "the answer is cut": lambda site, where: site.xnat.faults.on("PUT", where).cut_answer(3),
    "a proxy loses patience": lambda site, where: site.xnat.faults.on("PUT", where).fail(504),
    "it fails afterwards": lambda site, where: site.xnat.faults.on("PUT", where).fail(500),
    "a page comes": lambda site, where: site.xnat.faults.on("PUT", where).page(),
    "it says 409 and does it": lambda site, where: site.xnat.faults.on("PUT", where).restate(409),
    "it says 201": lambda site, where: site.xnat.faults.on("PUT", where).restate(201),
    "the connection breaks": lambda site, where: site.xnat.faults.on("PUT", where).reset(),
    "it is down": lambda site, where: site.xnat.faults.on("PUT", where).refuse(503),
    "it has too much to do": lambda site, where: site.xnat.faults.on("PUT", where).refuse(429),
    "it says 403 once": lambda site, where: site.xnat.faults.on("PUT", where).refuse(403),
    "it says 409 for nothing": lambda site, where: site.xnat.faults.on("PUT", where).refuse(409),
    "it says 417 once": lambda site, where: site.xnat.faults.on("PUT", where).refuse(417),
    "the login is lost": lambda site, where: site.xnat.faults.on("PUT", where).refuse(401),
    "it fails before": lambda site, where: site.xnat.faults.on("PUT", where).refuse(500),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", [PUT_SUBJECT, PUT_SESSION], ids=["subject", "session"])
def test_whatever_goes_wrong_with_a_share_it_comes_true_once(
    site: ShareSite, desk: Desk, fault: str, where: str
) -> None:
    FAULTS[fault](site, where)
    desk.save("S1,P1,P2", "S2,P1,P2")
    desk.settle()
    for _ in range(6):
        desk.later(minutes=6)
    assert desk.states() == ["shared", "shared"]
    assert site.labels("P2") == ["S1", "S1_CT", "S1_MR", "S2", "S2_MR"]
    assert not desk.ledger.gates.get().shut


def test_an_effect_that_comes_after_the_line_died_is_neither_doubled_nor_lost(site: ShareSite, desk: Desk) -> None:
    done = Event()
    site.xnat.faults.on("PUT", PUT_SUBJECT).late_effect(done)
    desk.save("S2,P1,P2")
    desk.settle()
    assert desk.states() == ["waiting"]
    done.set()
    for _ in range(3):
        desk.later(minutes=6)
    assert desk.states() == ["shared"]
    assert site.labels("P2") == ["S2", "S2_MR"]


def test_a_listing_that_fails_or_lies_takes_nothing_back(site: ShareSite, desk: Desk) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    asked = len(shares_asked(site))
    site.xnat.faults.on("GET", r"/data/projects/P2/subjects").refuse(403)
    desk.later()
    assert desk.states() == ["waiting"]
    site.xnat.faults.on("GET", r"/data/projects/P2/experiments").refuse(500)
    desk.later(seconds=60)
    site.xnat.faults.on("GET", r"/data/projects/P2/subjects").cut_answer(30)
    desk.later(seconds=60)
    desk.later(seconds=60)
    assert desk.states() == ["shared"]
    assert len(shares_asked(site)) == asked


def test_a_server_that_is_down_shuts_the_gate_for_all_and_work_goes_on_by_itself(site: ShareSite, desk: Desk) -> None:
    site.xnat.faults.on("GET", r"/data/projects\?").refuse(503)
    desk.save("S1,P1,P2")
    desk.settle()
    assert desk.ledger.gates.get().shut
    assert desk.states() == ["waiting"]
    desk.later(minutes=1)
    assert desk.states() == ["shared"]
    assert not desk.ledger.gates.get().shut


# -- kills -----------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("dialect", ["1.6", "1.8"])
def test_a_kill_at_any_moment_repeats_nothing_wrongly(tmp_path: Path, dialect: str) -> None:
    with a_share_site(tmp_path, dialect) as site:
        site.subject("P1", "S1", ["S1_MR"])
        site.subject("P1", "S2")
        calm = killed(tmp_path / "calm", site, 0)
        assert calm.moments > 40
        for at in range(1, calm.moments + 1):
            saboteur = killed(tmp_path / str(at), site, at)
            assert saboteur.fired, f"moment {at} of {calm.moments} never came"


def killed(root: Path, site: ShareSite, at: int) -> Saboteur:
    """Share, kill once, start again with another gateway; check what must be true whenever it was."""
    for accession in ("XNAT_S00001", "XNAT_S00002"):
        site.take_back(accession, "P2")
    time, saboteur, begin = Time(), Saboteur(at), len(shares_asked(site))
    lives(root, site, time, saboteur)
    states = lives(root, site, time, Saboteur())
    told = f"killed {saboteur.fired or 'never'} (moment {at})"
    assert states == ["shared", "shared"], told
    assert site.labels("P2") == ["S1", "S1_MR", "S2"], told
    assert len(shares_asked(site)) - begin <= 3, told  # what is shown is never asked for again
    return saboteur


def lives(root: Path, site: ShareSite, time: Time, saboteur: Saboteur) -> list[str]:
    """Let the service live once; give what the report says in the end, nothing if it was killed."""
    gateway = site.server.gateway()
    desk = Desk(root, gateway, time, around=saboteur.around)
    desk.save("S1,P1,P2", "S2,P1,P2")
    try:
        desk.settle()
        desk.later()
        return desk.states()
    except Crash:
        return []
    finally:
        desk.close()
        gateway.close()


# -- the command -----------------------------------------------------------------------------------------------


@dataclass
class Command:
    """`xnat-watchd share` as a process of its own."""

    program: Program
    site: ShareSite
    table: Path
    said: list[str] = field(default_factory=list)

    def words(self, *options: str) -> list[str]:
        return self.program._words("share", str(self.table), *options)

    def run(self, *options: str, expect: int = 0) -> str:
        done = warm.run(self.words(*options), self.program._environment(), timeout=DEADLINE)
        self.said += [done.stdout, done.stderr]
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def states(self, *options: str, expect: int = 0) -> list[str]:
        return [row["state"] for row in json.loads(self.run("--json", *options, expect=expect))]


@pytest.fixture
def command(tmp_path: Path, site: ShareSite) -> Command:
    program = Program(tmp_path / "watchd", tmp_path / "config.toml", site.xnat.url, password="secret")
    program.root.mkdir()
    program.write()
    table = tmp_path / "table.csv"
    table.write_text("subject,source,destination\nS1,P1,P2\nS2,P1,P2\n", encoding="utf-8")
    return Command(program, site, table)


def test_the_command_shows_the_plan_shares_once_and_says_whether_all_is_true(command: Command) -> None:
    assert command.states("--dry-run", expect=75) == ["to be shared", "to be shared"]
    assert command.site.labels("P2") == []
    assert not (command.program.root / "ledger.sqlite").exists()
    printed = command.run()
    assert "S1" in printed
    assert "to be shared into P2: 2 subjects, 3 sessions" in command.said[-1]
    assert command.site.labels("P2") == ["S1", "S1_CT", "S1_MR", "S2", "S2_MR"]
    assert command.states() == ["shared", "shared"]
    assert command.states("--dry-run") == ["already there", "already there"]


def test_the_command_tells_what_waits_and_what_fails_by_its_exit_code(command: Command) -> None:
    command.table.write_text("subject,source,destination\nS9,P1,P2\nS2,P1,P2\n", encoding="utf-8")
    assert command.states("--dry-run", expect=75) == ["waiting", "to be shared"]
    assert command.states(expect=75) == ["waiting", "shared"]
    command.table.write_text("subject,source,destination\nS9,P1,P2\nS2,P1,P1\n", encoding="utf-8")
    assert command.states(expect=1) == ["waiting", "failed"]
    command.site.take_back("XNAT_S00002", "P2")
    command.table.write_text("subject,source,destination\nS2,P1,P2\n", encoding="utf-8")
    assert command.states("--dry-run", expect=1) == ["removed by someone"]
    assert command.states(expect=1) == ["removed by someone"]
    command.table.write_text("Mustermann;P1\n", encoding="utf-8")
    command.run(expect=1)
    assert "no column subject" in command.said[-1]
    assert "Mustermann" not in command.said[-1]


def test_an_idle_command_asks_little(command: Command) -> None:
    command.run()
    before = len(command.site.xnat.requests)
    command.run()
    asked = [(method, path) for method, path, _, _ in command.site.xnat.requests[before:]]
    in_and_out = [one for one in asked if one[1].startswith(("/data/services/auth", "/data/auth", "/data/JSESSION",
                                                            "/data/version", "/xapi/"))]  # fmt: skip
    assert len(asked) - len(in_and_out) <= 2 * 4


def test_the_command_says_when_the_server_is_down_or_refuses_us(command: Command) -> None:
    command.site.xnat.faults.on("PUT", "/data/services/auth").refuse(503)
    command.run(expect=69)
    command.program.password = "wrong"
    command.run(expect=77)


def test_a_command_that_is_killed_in_the_middle_is_simply_typed_again(command: Command) -> None:
    command.run("--dry-run", expect=75)
    looked = len(command.site.xnat.requests) - 1  # all but the good-bye
    held = Event()
    command.site.xnat.faults.on("PUT", PUT_SESSION).delay(held)
    before = len(command.site.xnat.requests)
    line, environment = command.program._line("share", str(command.table)), command.program._environment()
    with subprocess.Popen(line, env=environment, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - our own program
        try:
            command.site.xnat.wait_for_requests(before + looked + 1, DEADLINE)  # the first subject is shared
        finally:
            process.send_signal(signal.SIGKILL)
    assert "S1" in command.site.labels("P2")
    assert "S2" not in command.site.labels("P2")
    held.set()
    assert command.states() == ["shared", "shared"]
    assert command.site.labels("P2") == ["S1", "S1_CT", "S1_MR", "S2", "S2_MR"]
    assert len([path for path in shares_asked(command.site) if "experiments" not in path]) == 2
    command.site.take_back("XNAT_S00001", "P2")
    assert command.states(expect=1) == ["removed by someone", "shared"]


# -- users -----------------------------------------------------------------------------------------------------


@pytest.fixture
def users(command: Command) -> Command:
    """Return the command for a table of users, run by an owner of P2 on a site with some more people."""
    site = command.site
    site.xnat.grant("tech", "P2", "owner")
    for name in ("cora", "otto", "12"):
        site.xnat.add_user(name, "secret")
    site.xnat.grant("otto", "P2", "collaborator")
    command.table.write_text(
        "Project;User;Role\nP2;cora;member\nP2;otto;member\nP2;otto;collaborator\nP2;nobody;member\nP2;Cora;member\n"
        "P2;12;member\nP2;tech;owner\nP1;cora;member\nP9;cora;member\nP2;a/b?c#d;collaborator\nP2;cora;king\n",
        encoding="utf-8",
    )
    return command


def test_users_get_exactly_the_roles_that_can_be_looked_up(users: Command) -> None:
    before = roles_of(users)
    assert users.states("--users", "--dry-run", expect=1)[0] == "to be given"
    assert roles_of(users) == before
    rows = json.loads(users.run("--users", "--json", expect=1))
    assert [(row["line"], row["user"], row["state"]) for row in rows if row["state"] != "failed"] == [
        (2, "cora", "given"),
    ]
    reasons = {row["line"]: row["reason"] for row in rows}
    assert "another line gives this user another role" in reasons[4]
    assert "no user of this very name" in reasons[5]
    assert "no user of this very name" in reasons[6]
    assert "take this name for something else" in reasons[7]
    assert "an owner is never made" in reasons[8]
    assert "an owner must do it" in reasons[9]
    assert "no project of this name" in reasons[10]
    assert "no user of this very name" in reasons[11]
    assert "neither member nor collaborator" in reasons[12]
    assert roles_of(users) == {**before, "cora": "member"}
    puts = [path for path, _ in users.site.asked("PUT") if "/users/" in path]
    assert puts == ["/data/projects/P2/users/P2_member/cora"]


@pytest.mark.parametrize("fault", ["lose_answer", "reset"])
def test_a_role_whose_answer_is_lost_is_looked_for_and_given_once(site: ShareSite, fault: str) -> None:
    site.xnat.grant("tech", "P2", "owner")
    site.xnat.add_user("cora", "secret")
    getattr(site.xnat.faults.on("PUT", "/users/P2_member/cora"), fault)()
    rows = user_table.read(b"project,user,role\nP2,cora,member\n")
    states = [roles.grant(site.gateway, rows)[0].state for _ in range(2)]
    done = fault != "reset"
    assert states == (["given", "already there"] if done else ["failed", "given"])
    assert len([path for path, _ in site.asked("PUT") if "/users/" in path]) == (1 if done else 2)


def roles_of(command: Command) -> dict[str, str]:
    with command.site.xnat._site.lock:
        return dict(command.site.xnat._site.store.projects["P2"].roles)


def test_a_table_of_users_that_is_true_is_left_alone(users: Command) -> None:
    users.table.write_text("project,user,role\nP2,otto,Collaborator\n", encoding="utf-8")
    assert users.states("--users") == ["already there"]
    users.table.write_text("project,user,role\nP2,otto,member\n", encoding="utf-8")
    users.run("--users", expect=1)
    assert roles_of(users)["otto"] == "collaborator"


def test_a_table_without_its_columns_is_refused(users: Command) -> None:
    users.table.write_text("project,user\nP2,otto\n", encoding="utf-8")
    users.run("--users", expect=1)
    assert "has not one column role" in users.said[-1]
