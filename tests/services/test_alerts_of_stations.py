"""Alerts, where several stations share the ledger: each tells of its own trouble, and one of what all of them meet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.services.test_alerting import EMPTY, FULL
from tests.station import Notes, Time
from tests.stations import SharedLedger
from xnat_watchd.adapters.ledger.messages import Message
from xnat_watchd.daemon.alerting import Alerting
from xnat_watchd.operator.alert_channels import Channels
from xnat_watchd.settings.sections import AlertSettings

DOWN = {"open": False, "login": False, "why": "XNAT cannot be reached", "advice": "", "since": None, "until": "-"}


@dataclass
class Post:
    """The alerting thread of one station, turn by turn."""

    shared: SharedLedger
    name: str
    time: Time
    wrong: dict[str, Any] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    has_channel: bool = True

    def __post_init__(self) -> None:
        self.shared.be(self.name)
        self.alerting = Alerting(
            ledger=self.shared.recorder.ledger, settings=AlertSettings, channels=self.channels,
            published=lambda: {**EMPTY, "at": self.time.now().isoformat(), **self.wrong}, is_well=lambda: True,
            clock=self.time, log=Notes(), station=self.name, stop=threading.Event(),
        )  # fmt: skip

    def channels(self, _: AlertSettings) -> Channels:
        return {"mail": self.send} if self.has_channel else {}

    def send(self, message: Message) -> None:
        self.sent.append(message.subject)


@pytest.fixture
def posts(tmp_path: Path) -> Iterator[tuple[Post, Post]]:
    """Yield two stations of one ledger."""
    time = Time()
    ct, mr = Post(SharedLedger(tmp_path), "ct-1", time), Post(SharedLedger(tmp_path), "mr-2", time)
    yield ct, mr
    for one in (ct, mr):
        one.shared.recorder.ledger.close()


def turns(posts: tuple[Post, Post], minutes: int) -> list[str]:
    """Let time pass; return what was told."""
    before = [*posts[0].sent, *posts[1].sent]
    for _ in range(minutes):
        posts[0].time.pass_(minutes=1)
        for post in posts:
            post.alerting.turn()
    return sorted([*posts[0].sent, *posts[1].sent][len(before) :])


def both(posts: tuple[Post, Post], **wrong: Any) -> None:
    """Have both meet this."""
    for post in posts:
        post.wrong = wrong


def test_that_xnat_does_not_answer_is_told_by_one_of_two_stations(posts: tuple[Post, Post]) -> None:
    both(posts, gate=DOWN)
    turns(posts, 90)
    both(posts)
    turns(posts, 90)
    assert [len(post.sent) for post in posts] in ([2, 0], [0, 2])  # that it is so, and that it is over


def test_a_full_disk_is_told_by_each_station_that_has_one(posts: tuple[Post, Post]) -> None:
    both(posts, attention=[FULL])
    turns(posts, 60)
    assert [len(post.sent) for post in posts] == [1, 1]


def test_a_station_that_can_tell_nobody_keeps_no_other_from_telling(posts: tuple[Post, Post]) -> None:
    posts[0].has_channel = False
    both(posts, gate=DOWN)
    turns(posts, 90)
    assert [len(post.sent) for post in posts] == [0, 1]


def test_another_tells_what_lasts_once_the_station_that_has_told_it_is_gone(posts: tuple[Post, Post]) -> None:
    ct, mr = posts
    ct.wrong = {"gate": DOWN}
    turns(posts, 60)
    mr.wrong = {"gate": DOWN}
    turns(posts, 60)
    assert [len(post.sent) for post in posts] == [1, 0]
    ct.shared.change("UPDATE xnat_watchd.stations SET gone = now()::text WHERE name = 'ct-1'")
    ct.wrong = {}
    for _ in range(60):
        mr.time.pass_(minutes=1)
        mr.alerting.turn()
    assert len(mr.sent) == 1
