"""Several shares are asked for at once, and never two that concern one subject, or one that was refused before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Event, Lock, current_thread

import pytest

from tests.fake_shares import FakeArchive, FakeSharing
from tests.services.test_machine_faults import daemon
from tests.share_desk import Desk
from tests.station import Time
from xnat_watchd.core.errors import Permanent, RepeatOnce, Unavailable
from xnat_watchd.core.sharing.plan import Action, ShareSubject
from xnat_watchd.daemon.state import Daemon

__all__ = ["daemon"]

PATIENCE = 20.0  #: seconds for something that happens at once
ABSENCE = 0.1  #: seconds in which another request would come if it could
CLIENTS = 3


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def xnat(time: Time) -> FakeArchive:
    archive = FakeArchive(time)
    archive.projects.update(P1=True, P2=True, P3=True)
    return archive


class Watched(FakeSharing):
    """A client that notes what is under way at once, among all clients of its archive that share `seen`."""

    def __init__(self, archive: FakeArchive, seen: AtOnce) -> None:
        super().__init__(archive)
        self._seen = seen

    def share(self, action: Action) -> None:
        with self._seen.lock:
            self._seen.begin(action)
        self._seen.all_there.wait(ABSENCE)
        try:
            with self._seen.lock:
                super().share(action)
        finally:
            self._seen.end(action)


class AtOnce:
    """What is under way now, and the most that ever was: in all, and for one subject."""

    def __init__(self) -> None:
        self.lock, self.all_there = Lock(), Event()
        self.under_way: list[str] = []
        self.most = self.most_of_one = 0
        self.threads: set[str] = set()

    def begin(self, action: Action) -> None:
        self.threads.add(current_thread().name)
        self.under_way.append(action.id if isinstance(action, ShareSubject) else action.subject_id)
        self.most = max(self.most, len(self.under_way))
        self.most_of_one = max(self.most_of_one, *map(self.under_way.count, self.under_way))
        if len(self.under_way) == CLIENTS:
            self.all_there.set()

    def end(self, action: Action) -> None:
        with self.lock:
            self.under_way.remove(action.id if isinstance(action, ShareSubject) else action.subject_id)
            if not self.under_way:
                self.all_there.clear()


@pytest.fixture
def seen() -> AtOnce:
    return AtOnce()


@pytest.fixture
def desk(xnat: FakeArchive, time: Time, tmp_path: Path, seen: AtOnce) -> Iterator[Desk]:
    first, *others = (Watched(xnat, seen) for _ in range(CLIENTS))
    desk = Desk(tmp_path, first, time, others=others)
    yield desk
    desk.close()


def test_shares_of_several_subjects_are_asked_for_at_once(xnat: FakeArchive, time: Time, tmp_path: Path) -> None:
    meeting = Barrier(3)

    class Meeting(FakeSharing):
        def share(self, action: Action) -> None:
            meeting.wait(PATIENCE)  # nobody goes on alone
            with lock:
                super().share(action)

    lock = Lock()
    for name in "ABC":
        xnat.subject("P1", name)
    desk = Desk(tmp_path, Meeting(xnat), time, others=[Meeting(xnat), Meeting(xnat)])
    desk.save("A,P1,P2", "B,P1,P2", "C,P1,P3")
    desk.settle()
    assert desk.states() == ["shared"] * 3
    desk.close()


def test_two_shares_of_one_subject_are_never_under_way_at_once(desk: Desk, xnat: FakeArchive, seen: AtOnce) -> None:
    for name in "ABCD":
        xnat.subject("P1", name, [f"{name}_MR", f"{name}_CT"])
    desk.save(*(f"{name},P1,{into}" for name in "ABCD" for into in ("P2", "P3")))
    desk.settle()
    assert desk.states() == ["shared"] * 8
    assert (seen.most, seen.most_of_one) == (3, 1)
    assert (set(xnat.made.values()), xnat.orphans) == ({1}, [])


def test_a_subject_that_is_shared_from_two_projects_is_still_one(desk: Desk, xnat: FakeArchive, seen: AtOnce) -> None:
    subject = xnat.subject("P1", "A")
    subject.labels["P4"] = "A4"
    xnat.projects["P4"] = True
    desk.save("A,P1,P2", "A4,P4,P3")
    desk.settle()
    assert (desk.states(), seen.most) == (["shared"] * 2, 1)


def test_what_was_refused_before_is_asked_for_alone(desk: Desk, xnat: FakeArchive, seen: AtOnce) -> None:
    for name in "ABC":
        xnat.subject("P1", name)
    xnat.before["share"] = [RepeatOnce("XNAT answered 403 to sharing")] * 3
    desk.save("A,P1,P2", "B,P1,P2", "C,P1,P2")
    desk.settle()
    assert (desk.states(), seen.most) == (["waiting"] * 3, 3)
    seen.most = 0
    desk.later(hours=1)
    assert (desk.states(), seen.most) == (["shared"] * 3, 1)


def test_the_threads_that_ask_renew_the_heartbeat_of_the_one_that_they_work_for(
    desk: Desk, xnat: FakeArchive, seen: AtOnce
) -> None:
    for name in "ABC":
        xnat.subject("P1", name)
    desk.save("A,P1,P2", "B,P1,P2", "C,P1,P2")
    desk.settle()
    assert seen.threads == {current_thread().name}


def test_when_the_server_goes_what_is_under_way_is_noted_and_nothing_more_is_asked_for(
    xnat: FakeArchive, time: Time, tmp_path: Path
) -> None:
    begun, gone = Event(), Event()

    class Lost(FakeSharing):
        def share(self, action: Action) -> None:
            if action.name == "A":
                assert begun.wait(PATIENCE)
                gone.set()
                raise Unavailable("XNAT is not there")
            begun.set()
            assert gone.wait(PATIENCE)
            raise Permanent("XNAT refuses it")

    for name in "ABCDEF":
        xnat.subject("P1", name)
    desk = Desk(tmp_path, Lost(xnat), time, others=[Lost(xnat)])
    desk.save(*(f"{name},P1,P2" for name in "ABCDEF"))
    desk.settle()
    refused = [share for share in desk.ledger.shares.all(["P2"]).values() if share.why]
    assert [(share.label, share.why) for share in refused] == [("B", "XNAT refuses it")]
    desk.close()


def test_the_service_asks_for_as_many_shares_at_once_as_it_has_workers(daemon: Daemon) -> None:
    gateways = daemon.sharing._sharer._context.gateways
    assert len({id(one) for one in gateways}) == daemon.settings.pipeline.workers > 1
    assert gateways[0] is daemon.sharer
