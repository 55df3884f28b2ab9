"""People are told of trouble that lasts, by every way that is set, once, and after a restart too; never with a name."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from json import loads
from pathlib import Path
from typing import Any

import pytest

from tests.channels import Other, hook, listening, mail_server
from tests.engine import is_postgres, opened
from tests.station import Notes, Time
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.messages import Message
from xnat_watchd.core.errors import NotSent, Stopped
from xnat_watchd.daemon.alerting import AGAIN, GIVEN_UP_AFTER, Alerting
from xnat_watchd.operator.alert_channels import Channels, channels
from xnat_watchd.operator.status import without_names
from xnat_watchd.settings.sections import AlertSettings

PROMPT = 5.0  #: seconds in which the service ends, whatever it waits for
NAME, FILE = "DOE^JANE", "Doe_Jane_1980.zip"
EMPTY: dict[str, Any] = {
    "daemon": {"running": True, "uploads": []}, "xnat": {"server": "https://x"}, "gate": {"open": True},
    "projects_shut": {}, "deliveries": {}, "studies": {}, "under_way": [], "ignored": [], "shares": [],
    "left_behind": [], "of_service": [], "attention": [],
}  # fmt: skip
HELD = {"item": "3.1", "about": "item", "project": "P1", "why": "two people in one study", "advice": "Export it again.",
        "name": FILE}  # fmt: skip
OF_A_FOLDER = {
    "item": "4.1",
    "about": "item",
    "project": NAME,
    "why": f"project {NAME} is not there",
    "advice": "Ask.",
    "name": FILE,
}
FULL = {
    "item": "disk",
    "about": "service",
    "project": "",
    "why": "too little room is left",
    "advice": "Free some space.",
    "name": "",
}


@dataclass
class Stage:
    """An alerting thread, turn by turn, on a real ledger: what is wrong, and what was sent."""

    folder: Path
    alerts: AlertSettings
    time: Time = field(default_factory=Time)
    log: Notes = field(default_factory=Notes)
    wrong: dict[str, Any] = field(default_factory=dict)
    sent: list[Message] = field(default_factory=list)
    fails: bool = False
    well: bool = True
    ways: Callable[[AlertSettings], Channels] | None = None

    def __post_init__(self) -> None:
        self._start()

    def restart(self) -> None:
        self.ledger.close()
        self._start()

    def _start(self) -> None:
        self.ledger = Ledger(opened(self.folder))
        self.alerting = Alerting(
            ledger=self.ledger, settings=lambda: self.alerts,
            channels=self.ways or (lambda _: {"mail": self.send, "webhook": self.send}), published=self.published,
            is_well=lambda: self.well, clock=self.time, log=self.log, station="mr1", stop=threading.Event(),
        )  # fmt: skip

    def published(self) -> dict[str, Any]:
        snapshot = {**EMPTY, "at": self.time.now().isoformat(), **self.wrong}
        return without_names(snapshot, lambda name: name[:1] == "P")

    def send(self, message: Message) -> None:
        if self.fails:
            raise NotSent("the mail server mail cannot be used")
        self.sent.append(message)

    def turns(self, minutes: int) -> None:
        for _ in range(minutes):
            self.time.pass_(minutes=1)
            self.alerting.turn()

    def subjects(self, channel: str = "mail") -> list[str]:
        return [one.subject for one in self.sent if one.channel == channel]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, AlertSettings())
    yield made
    made.ledger.close()


def test_many_held_studies_are_one_message_on_every_way(stage: Stage) -> None:
    stage.wrong = {"attention": [{**HELD, "item": f"{n}.1"} for n in range(1, 51)]}
    stage.turns(60)
    assert stage.subjects() == ["[xnat-watchd mr1] studies or ZIPs need somebody in P1"]
    assert stage.subjects("webhook") == stage.subjects()
    assert "1.1: two people in one study. Export it again." in stage.sent[0].body
    assert "and 40 more" in stage.sent[0].body


def test_a_stop_does_not_wait_for_a_way_that_hangs(stage: Stage) -> None:
    released = threading.Event()

    def hangs(_: Message) -> None:
        stage.alerting.stop.set()
        released.wait(60)

    stage.alerting.channels = lambda _: {"mail": hangs}
    stage.wrong = {"attention": [HELD]}
    begun = time.monotonic()
    with pytest.raises(Stopped):
        stage.turns(60)
    assert time.monotonic() - begun < PROMPT
    released.set()
    stage.restart()
    stage.turns(1)
    assert len(stage.sent) == 1  # the message was not lost


def test_a_fault_in_a_way_is_told_and_the_work_goes_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: logged.append(told.exc_type.__name__))

    def fails(_: Message) -> None:
        raise KeyError("a fault")

    stage.alerting.channels = lambda _: {"mail": fails}
    stage.wrong = {"attention": [HELD]}
    stage.turns(21)
    assert logged == ["KeyError"]
    assert [row["why"] for row in stage.alerting.problems()] == ["people are not told by mail: a fault in xnat-watchd"]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="this Python can write a mail to every address that we take")
def test_a_mail_that_cannot_be_written_is_no_fault() -> None:
    """Two such addresses are too much for the parser of `email` (Python 3.11.7, 3.12.1)."""
    settings = AlertSettings(mail_to=(".a@b", ".a@b"))
    with pytest.raises(NotSent, match="cannot be written"):
        channels(settings, {}, "mr1")["mail"](Message(1, "mail", Time().now(), "subject", "body", 0))


def test_of_many_messages_a_way_that_fails_is_tried_once_a_turn_and_the_ping_comes_first(stage: Stage) -> None:
    tried: list[int] = []  #: pings that had come until then

    def fails(_: Message) -> None:
        tried.append(len(other.got))
        raise NotSent("nobody is there")

    for number in range(5):
        stage.ledger.messages.write(f"topic {number}", ["mail"], "subject", "body", stage.time.now())
    stage.alerting.channels = lambda _: {"mail": fails}
    with listening(Other("takes it"), hook) as other:
        stage.alerts = AlertSettings(ping=f"http://127.0.0.1:{other.port}/ping")
        stage.turns(1)
        assert tried == [1]


def test_it_is_told_when_it_is_over(stage: Stage) -> None:
    stage.wrong = {"attention": [HELD, FULL], "of_service": [FULL]}
    stage.turns(60)
    stage.wrong = {}
    stage.turns(60)
    assert stage.subjects() == [
        "[xnat-watchd mr1] a disk needs somebody, and 1 more",
        "[xnat-watchd mr1] over: a disk needs somebody, and 1 more",
    ]


def test_a_restart_neither_repeats_nor_forgets(stage: Stage) -> None:
    stage.wrong = {"gate": {"open": False, "login": True, "why": "XNAT refuses the password", "advice": "Log in."}}
    for _ in range(24 * 60):
        stage.turns(1)
        if stage.time.now().minute % 20 == 0:
            stage.ledger.close()
            stage.restart()
    assert len(stage.subjects()) == 1
    stage.turns(10)
    assert len(stage.subjects()) == 2
    assert "It still lasts:" in stage.sent[-1].body


def test_a_message_that_nobody_takes_is_tried_again_and_shown_and_given_up_in_the_end(stage: Stage) -> None:
    stage.wrong, stage.fails = {"attention": [HELD]}, True
    stage.turns(30)
    assert [row["item"] for row in stage.alerting.problems()] == ["alerts", "alerts"]
    assert stage.log.events() == ["alert.failed", "alert.failed"]
    stage.fails = False
    stage.turns(int(AGAIN[-1] / timedelta(minutes=1)))
    assert len(stage.subjects()) == 1
    assert stage.alerting.problems() == []
    stage.fails = True
    stage.ledger.messages.write("test", ["mail"], "late", "late", stage.time.now())
    for _ in range(60):
        stage.time.pass_(hours=2)
        stage.alerting.turn()
    stage.fails = False
    stage.time.pass_(hours=12)
    assert stage.ledger.messages.due(["mail"], stage.time.now()) == []
    assert timedelta(hours=60 * 2) > GIVEN_UP_AFTER


def hours(stage: Stage, count: int) -> None:
    """Let hours pass, by steps of ten minutes."""
    for _ in range(6 * count):
        stage.time.pass_(minutes=10)
        stage.alerting.turn()


def test_people_are_told_though_the_clock_was_ahead_and_is_set_back(stage: Stage) -> None:
    stage.time.pass_(days=365)
    for n in range(6):
        stage.wrong = {"attention": [{**HELD, "project": f"P{n}"}]}
        stage.turns(25)
    stage.time.at -= timedelta(days=365)
    stage.sent.clear()
    stage.wrong = {"gate": {"open": False, "login": True, "why": "XNAT refuses the password", "advice": "Log in."}}
    stage.turns(10)
    assert stage.subjects()[0] == "[xnat-watchd mr1] the login for XNAT needs somebody"


def test_a_message_that_waits_is_sent_though_the_clock_was_ahead_and_is_set_back(stage: Stage) -> None:
    stage.wrong, stage.fails = {"attention": [HELD]}, True
    stage.turns(30)
    stage.time.pass_(days=20)
    stage.turns(1)
    stage.time.at -= timedelta(days=20)
    stage.fails = False
    stage.turns(1)
    assert [one.body[:4] for one in stage.sent if one.channel == "mail"] == ["New:", "It s"]  # and the reminder then


def test_what_was_written_for_a_way_that_is_none_any_more_is_not_sent_when_it_is_one_again(stage: Stage) -> None:
    stage.wrong, stage.fails = {"attention": [HELD]}, True
    stage.turns(21)
    stage.alerting.channels = lambda _: {"webhook": stage.send}
    stage.fails, stage.wrong = False, {}
    hours(stage, 4 * 24)
    assert stage.ledger.messages.next_due() is None
    stage.alerting.channels = lambda _: {"mail": stage.send}
    stage.turns(5)
    assert stage.subjects() == []


def test_a_message_is_not_given_up_because_the_machine_was_off(stage: Stage) -> None:
    stage.wrong = {"attention": [HELD]}
    stage.turns(19)
    stage.fails = True
    stage.turns(2)
    stage.time.pass_(days=4)
    stage.turns(1)
    stage.fails = False
    hours(stage, 1)
    assert stage.subjects()[0] == "[xnat-watchd mr1] studies or ZIPs need somebody in P1"
    assert "New:" in stage.sent[0].body


def test_once_a_way_works_again_all_that_waits_for_it_is_sent(stage: Stage) -> None:
    stage.wrong, stage.fails = {"attention": [HELD]}, True
    hours(stage, 10)
    stage.fails = False
    stage.ledger.messages.write("test", ["mail"], "a test", "", stage.time.now())
    stage.turns(2)
    assert stage.subjects() == ["a test", "[xnat-watchd mr1] studies or ZIPs need somebody in P1"]


def test_another_reason_in_the_same_project_is_told_and_another_number_is_none(stage: Stage) -> None:
    held = [{**HELD, "item": f"{n}.1", "why": f"XNAT has {n} of 70 images"} for n in range(1, 30)]
    stage.wrong = {"attention": held[:12]}
    stage.turns(60)
    stage.wrong = {"attention": held}
    stage.turns(60)
    assert len(stage.subjects()) == 1
    stage.wrong = {"attention": [*held, {**HELD, "item": "40.1", "why": "XNAT refuses it"}]}
    stage.turns(60)
    stage.ledger.close()
    stage.restart()
    stage.turns(60)
    assert len(stage.subjects()) == 2
    assert "There is another reason now:" in stage.sent[-1].body
    assert "40.1: XNAT refuses it." in stage.sent[-1].body  # though there are many others


def test_a_study_whose_project_becomes_known_is_neither_over_nor_told_again(stage: Stage) -> None:
    stage.wrong = {"attention": [{**HELD, "project": "Q1"}]}  # "Q" is no project that XNAT has confirmed
    stage.turns(60)
    assert stage.subjects() == ["[xnat-watchd mr1] studies or ZIPs need somebody in a folder that is no known project"]
    stage.wrong = {"attention": [{**HELD, "project": "P1"}]}
    stage.turns(60)
    assert len(stage.subjects()) == 1
    stage.wrong = {}
    stage.turns(20)
    assert stage.subjects()[1:] == ["[xnat-watchd mr1] over: studies or ZIPs need somebody in P1"]


def test_what_ended_while_no_way_was_set_is_told_with_the_time_when_it_ended(stage: Stage) -> None:
    stage.wrong = {"attention": [HELD]}
    stage.turns(60)
    ways, stage.alerting.channels = stage.alerting.channels, lambda _: {}
    stage.turns(10)
    stage.wrong = {}
    stage.turns(1)
    ended = stage.time.now()
    hours(stage, 30 * 24)
    stage.alerting.channels = ways
    stage.turns(1)
    assert len(stage.subjects()) == 2
    assert f"until {ended.astimezone():%Y-%m-%d %H:%M}" in stage.sent[-1].body


def test_a_message_about_hundreds_of_projects_is_short_and_says_how_much_is_left_out(stage: Stage) -> None:
    stage.alerts = AlertSettings(digest="00:00")
    stage.wrong = {"attention": [{**HELD, "project": f"P{n}", "why": "ä" * 100} for n in range(200)]}
    stage.turns(30)
    hours(stage, 24)
    assert {len(one.body.encode()) < 8200 for one in stage.sent} == {True}
    assert {"more lines\n\n`xnat-watchd status` shows everything" in one.body for one in stage.sent} == {True}
    assert any("and 199 more" in subject for subject in stage.subjects())


def test_where_one_of_two_addresses_is_refused_the_other_gets_the_message_once(tmp_path: Path) -> None:
    with listening(Other("knows a"), mail_server) as mail:
        alerts = AlertSettings(mail_to=("a@example.org", "b@example.org"), mail_server=f"127.0.0.1:{mail.port}")
        stage = Stage(tmp_path, alerts, ways=lambda settings: channels(settings, {}, "mr1"))
        stage.wrong = {"attention": [HELD]}
        stage.turns(10 * 60)
        (row,) = stage.alerting.problems()
        stage.ledger.close()
    assert len(mail.mails) == 1
    assert "refuses 1 of 2 addresses" in str(row["why"])


def test_while_the_work_is_paused_nothing_is_told(stage: Stage) -> None:
    stage.wrong = {"attention": [HELD], "paused": [{"of": "work", "since": "", "why": "", "advice": ""}]}
    stage.turns(120)
    assert stage.sent == []
    stage.wrong = {"attention": [HELD]}
    stage.turns(1)
    assert len(stage.subjects()) == 1


def test_however_much_happens_at_most_six_messages_are_written_in_an_hour_and_all_is_told(stage: Stage) -> None:
    rows: list[dict[str, Any]] = []
    for n in range(20):
        rows.append({**HELD, "item": f"{n}.1", "project": f"P{n}"})
        stage.wrong = {"attention": rows}
        stage.turns(6)
    stage.turns(120)
    written = sorted(one.written for one in stage.sent if one.channel == "mail")
    assert all(later - first >= timedelta(hours=1) for first, later in zip(written, written[6:], strict=False))
    told = "".join(one.body for one in stage.sent if one.channel == "mail")
    assert [n for n in range(20) if told.count(f"    {n}.1: ") != 1] == []


def test_the_digest_comes_every_day_and_on_empty_days_too(stage: Stage) -> None:
    stage.alerts = AlertSettings(digest="00:00")
    stage.turns(3 * 24 * 60)
    assert 3 <= len(stage.subjects()) <= 4  # the first day may be one already, by the time zone
    assert set(stage.subjects()) == {"[xnat-watchd mr1] Nothing needs attention."}


def test_the_ping_is_sent_only_while_every_promise_is_kept(stage: Stage) -> None:
    with listening(Other("takes it"), hook) as other:
        stage.alerts = AlertSettings(ping=f"http://127.0.0.1:{other.port}/ping")
        stage.turns(11)
        assert len(other.got) == 3
        stage.well = False
        stage.turns(30)
        stage.well = True
        stage.wrong = {"at": "2025-12-31T00:00:00+00:00"}  # the status is not published any more
        stage.turns(30)
        assert len(other.got) == 3


def test_where_nothing_changes_the_ledger_is_asked_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.wrong = {"attention": [HELD]}
    stage.turns(60)
    asked: list[str] = []
    monkeypatch.setattr(stage.ledger.messages._db, "rows", lambda sql, *_: asked.append(sql))
    monkeypatch.setattr(stage.ledger.messages._db, "row", _noting(stage, asked))
    stage.turns(60)
    assert set(asked) == (set() if is_postgres() else {"PRAGMA data_version"})


def _noting(stage: Stage, asked: list[str]) -> Callable[..., Any]:
    real = stage.ledger.messages._db.row

    def row(sql: str, *values: object) -> Any:
        asked.append(sql)
        return real(sql, *values)

    return row


def test_no_way_ever_carries_a_name(tmp_path: Path) -> None:
    with listening(Other("takes it"), mail_server) as mail, listening(Other("takes it"), hook) as web:
        alerts = AlertSettings(
            mail_to=("a@example.org",), mail_server=f"127.0.0.1:{mail.port}",
            webhook=f"http://127.0.0.1:{web.port}/x", digest="00:00",
        )  # fmt: skip
        stage = Stage(tmp_path, alerts, ways=lambda settings: channels(settings, {}, "mr1"))
        ignored = {"name": FILE, "why": "it is no ZIP", "advice": "Move it.", "since": "", "size": 1}
        table = {"name": f"{NAME}.csv", "why": "it cannot be read", "advice": "Correct it.", "rows": {}}
        rows = [HELD, OF_A_FOLDER, {**FULL, "item": FILE}, {**FULL, "item": f"{NAME}.csv"}]
        stage.wrong = {"attention": rows, "ignored": [ignored], "shares": [table]}
        stage.turns(60)
        stage.wrong = {}
        stage.turns(60)
        stage.ledger.close()
    carried = b"".join([*mail.got, *web.got])
    assert len(mail.mails) == len(web.got) >= 3
    for secret in (NAME, "Doe", "JANE", FILE, "1980"):
        assert secret.encode() not in carried
    assert "P1" in loads(web.got[-1].partition(b"\r\n\r\n")[2])["text"] or b"P1" in carried
    assert b"a folder that is no known project" in carried
    assert b"share tables need somebody" in carried
    assert b"files in the drop folder need somebody" in carried
