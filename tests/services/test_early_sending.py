"""A large ZIP is sent while it is checked: never further than it was found sound, and to its end if all of it was."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import sop_uid
from tests.others import mixed_by_others
from tests.saboteur import Crash, Moments
from tests.services.early_desk import IMAGES, IMPORT, SOUND, SPOILT, WHOLE, Desk, at, image, images, packed
from tests.station import Station, Time
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.delivery import Place
from xnat_watchd.core.errors import LedgerUnusable, Stopped
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.operator.prearchive import PrearchiveContext, RowOutcome, plan
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.studies import early_sending


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def xnat(quick_path: Path, time: Time) -> Iterator[Sandbox]:
    with Sandbox(quick_path / "xnat", "1.8", users={"tech": "secret"}, projects=["P1"], clock=time.now) as one:
        yield one


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_sending, "BEAT_EVERY", 0.01)


@pytest.fixture
def desk(quick_path: Path, xnat: Sandbox, time: Time) -> Iterator[Desk]:
    one = Desk(quick_path / "station", xnat, time)
    yield one
    one.server.close()


def test_a_sound_zip_is_sent_once_while_it_is_checked(desk: Desk) -> None:
    seen: list[tuple[int, str]] = []

    def look() -> None:
        seen.append((max(desk.sent), desk.xnat.rows("P1")[0]["status"]))

    station = desk.station(at("before ledger.deliveries.record", look))
    station.drop("scan.zip", SOUND)
    desk.live(station)
    assert seen[0][0] >= 1024 * 1024
    assert seen[0][1] == "RECEIVING"
    assert (desk.imports(), desk.xnat.rows("P1")) == (1, [])
    assert desk.archived() == WHOLE


@pytest.mark.parametrize("what", SPOILT)
def test_what_does_not_go_as_it_is_ends_as_if_nothing_had_been_sent_early(
    desk: Desk, quick_path: Path, time: Time, what: str
) -> None:
    content = SPOILT[what]()
    with Sandbox(quick_path / "other", "1.8", users={"tech": "secret"}, projects=["P1"], clock=time.now) as other:
        later = Desk(quick_path / "later", other, time)
        expected = lived(later, content, early=False)
        later.server.close()
    assert lived(desk, content, early=True) == expected
    if "amid" not in what:
        assert max(desk.sent) >= 1024 * 1024  # it was sent, as far as it was sound


def lived(desk: Desk, content: bytes, *, early: bool) -> tuple[object, ...]:
    """Return what became of a ZIP in a station's life: its studies, its reasons, and what XNAT has, and where."""
    station = desk.station(early=early)
    station.drop("scan.zip", content)
    desk.live(station)
    station = desk.station()
    reasons = [(row["item"], row["why"]) for row in station.ledger.views.attention()]
    rows = [row["status"] for row in desk.xnat.rows("P1")]
    found = station.standings(), reasons, desk.archived(), rows, station.ledger.views.deliveries()
    station.close()
    return found


@pytest.mark.parametrize("what", ["one name twice", "an image twice"])
def test_what_only_the_whole_zip_shows_breaks_it_off_before_its_end(desk: Desk, what: str) -> None:
    """It would go to XNAT under names of ours, and each image once: so it is sent again as such a ZIP."""
    station = desk.station()
    station.drop("scan.zip", SPOILT[what]())
    desk.live(station)
    assert desk.imports() == 2
    assert desk.xnat.rows("P1") == []


@pytest.mark.parametrize(
    "what", ["another study amid it", "another person", "a text", "an image that only the stream shows", "a gap"]
)
def test_no_byte_leaves_the_station_before_its_image_was_found_sound_and_all_before_it(desk: Desk, what: str) -> None:
    content = SPOILT[what]()
    begun: list[int] = []

    def look() -> None:
        desk.wait_until_it_waits()
        begun.extend(desk.sent)

    station = desk.station(at("before ledger.deliveries.record", look))
    station.drop("scan.zip", content)
    desk.live(station)
    odd = content.index(b"x.dcm") - 30
    assert begun
    assert max(begun) <= odd


def test_what_does_not_go_as_it_is_is_broken_off_at_once(desk: Desk) -> None:
    station = desk.station(at("before ledger.deliveries.record", desk.join))
    station.drop("scan.zip", SPOILT["another study amid it"]())
    desk.live(station)
    assert "delivery.broken_off" in station.log.events()


@pytest.mark.parametrize("why", ["1.6", "archives by itself", "known", "in the archive", "paused", "not ours"])
def test_what_would_not_be_sent_at_once_is_not_sent_early(quick_path: Path, time: Time, why: str) -> None:
    dialect = "1.6" if why == "1.6" else "1.8"
    with Sandbox(quick_path / "xnat", dialect, users={"tech": "secret"}, clock=time.now) as xnat:
        xnat.add_project("P1", prearchive_code=4 if why == "archives by itself" else 0)
        if why != "not ours":
            xnat.grant("tech", "P1", "member")
        desk = Desk(quick_path / "station", xnat, time)
        station = desk.station()
        if why == "known":
            station.close()
            station = desk.station(early=False)
            station.drop("first.zip", packed(images(2)))
            station.start()
            station.take_in()
        if why == "in the archive":
            others = Desk(quick_path / "others", xnat, time)
            first = others.station()
            first.drop("first.zip", packed(images(2)))
            others.live(first)
            others.server.close()
        begun: list[bool] = []
        station.close()
        station = desk.station(at("before ledger.early_places.begin", lambda: begun.append(True)))
        if why == "paused":
            station.ledger.pauses.begin(Activity.WORK, "a test", "", time.now())
        station.drop("scan.zip", SOUND)
        station.start()
        station.take_in()
        desk.join()
        assert begun == []
        station.close()
        desk.server.close()


FAULTS: dict[str, Callable[[Any], None]] = {
    "refused": lambda fault: fault.refuse(503),
    "not allowed": lambda fault: fault.refuse(403),
    "lost login": lambda fault: fault.refuse(401),
    "cut in the middle": lambda fault: fault.reset(2_000_000),
    "answered early": lambda fault: fault.answer_early(503, 1_500_000),
    "answered early as if it were done": lambda fault: fault.answer_early(200, 1_500_000),
    "no answer": lambda fault: fault.lose_answer(),
    "answer cut": lambda fault: fault.cut_answer(),
    "a proxy's time-out": lambda fault: fault.fail(504),
    "a page": lambda fault: fault.page(),
    "a full disk": lambda fault: fault.fill_disk(2_000_000),
    "a lost row": lambda fault: fault.lose_row(),
    "lost files": lambda fault: fault.lose_files(2),
    "later": lambda fault: fault.late_effect(seconds=0.5),
    "somebody's images": lambda fault: fault.mix_in(packed([("y.dcm", image(1, study=7))])),
}


@pytest.mark.parametrize("what", FAULTS)
def test_whatever_xnat_answers_each_image_is_archived_once(desk: Desk, what: str) -> None:
    FAULTS[what](desk.xnat.faults.on("POST", IMPORT))
    station = desk.station()
    station.drop("scan.zip", SOUND)
    desk.live(station)
    station = desk.station()
    assert station.standings() == [("1.1", "complete", "done")]
    assert desk.archived() == WHOLE
    foreign = [row for row in desk.xnat.rows("P1") if what != "somebody's images"]
    assert foreign == []
    station.close()


def test_a_zip_that_is_written_to_while_it_is_sent_is_opened_anew(desk: Desk) -> None:
    station: list[Station] = []
    more = packed(images(IMAGES + 1))

    def overwrite() -> None:
        (station[0].folders.work / "1.zip").write_bytes(more)

    station.append(desk.station(at("after zip.open", overwrite)))
    station[0].drop("scan.zip", SOUND)
    desk.live(station[0])
    assert desk.archived() == Counter()
    desk.live(desk.station())
    assert desk.archived() == Counter(sop_uid(1, 1, n) for n in range(1, IMAGES + 2))
    assert desk.xnat.rows("P1") == []


def test_a_ledger_that_cannot_be_used_for_a_moment_while_the_end_is_sent_loses_no_study(desk: Desk) -> None:
    failed: list[str] = []

    def fail() -> None:
        if not failed:
            failed.append("once")
            raise LedgerUnusable("the disk is away", advice="-", passes=True)

    def wait() -> None:
        if station.pipeline.holds():
            desk.time.pass_(seconds=2)

    station = desk.station(at("before ledger.places.correct_import", fail))
    desk.sending = wait
    station.drop("scan.zip", SOUND)
    station.start()
    desk.go_on(station)
    assert failed
    assert station.standings() == [("1.1", "complete", "done")]
    assert (desk.archived(), desk.xnat.rows("P1")) == (WHOLE, [])
    station.close()


def test_told_to_stop_in_the_middle_of_it_the_next_start_sends_it_from_its_beginning(desk: Desk) -> None:
    class Stopping:
        """Is told to stop at the end of the first check."""

        def __init__(self, real: Any) -> None:
            self._real = real

        def __call__(self, *how: Any) -> Any:
            self._real(*how)
            raise Stopped("told to stop")

    station = desk.station(lambda part, thing: Stopping(thing) if part == "zip.open" else thing)
    station.drop("scan.zip", SOUND)
    with pytest.raises(Stopped):
        desk.live(station)
    assert [row["status"] for row in desk.xnat.rows("P1")] == ["RECEIVING"]
    desk.live(desk.station(seed=2))
    assert (desk.archived(), desk.xnat.rows("P1"), desk.imports()) == (WHOLE, [], 2)


def test_what_is_left_in_xnat_is_told_to_be_ours_until_it_is_removed(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", SPOILT["another person"]())
    station.start()
    station.take_in()
    desk.join()
    (row,) = desk.xnat.rows("P1")
    folder = row["folder"]
    context = PrearchiveContext(
        gateway=desk.server.gateway(), ledger=station.ledger, rules=lambda _: ProjectRules(), is_served=True
    )
    for named in ((), (folder,)):
        (line,) = plan("P1", named, context)
        assert line.outcome is RowOutcome.OURS
        assert "delivery 1, of this service" in line.why
    for _ in range(2):
        desk.time.pass_(minutes=16)
        station.late.sweep()
    station.close()
    assert desk.xnat.rows("P1") == []


def test_what_others_put_where_something_was_left_stays_and_is_told(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", SPOILT["another person"]())
    station.start()
    station.take_in()
    desk.join()
    station.close()
    (row,) = desk.xnat.rows("P1")
    place = row["timestamp"], row["folder"]
    theirs = packed([(f"{n}.dcm", image(n, series=5)) for n in range(1, 31)])
    mixed_by_others(desk.xnat, ("P1", *place), theirs)
    desk.live(desk.station())
    station = desk.station()
    assert [(one["timestamp"], one["folder"]) for one in desk.xnat.rows("P1")] == [place]
    told = [row["why"] for row in station.ledger.views.attention() if row["item"] == "1"]
    assert told == ["what lies at a place of ours in XNAT is not proved to be ours"]
    desk.server.gateway().discard(Place("P1", *place))
    station.close()
    desk.live(desk.station())
    station = desk.station()
    assert [row for row in station.ledger.views.attention() if row["item"] == "1"] == []
    station.close()


class Deadly(Moments):
    """Kills at one of the moments, in whichever thread it comes, and lets no thread do anything after it."""

    def __init__(self, deadly: int = 0) -> None:
        super().__init__(self._kill)
        self._deadly, self.names = deadly, list[str]()

    def _kill(self, name: str) -> None:
        self.names.append(name)
        if 0 < self._deadly <= self.moments:
            raise Crash(name)


@pytest.mark.thorough
@pytest.mark.parametrize("what", ["sound", "another study", "another person", "a damaged image", "a text"])
def test_a_kill_at_any_moment_neither_loses_nor_doubles(quick_path: Path, time: Time, what: str) -> None:
    content = SOUND if what == "sound" else SPOILT[what]()
    deadly, expected, names = 0, None, list[str]()
    while deadly <= len(names) + 5:
        with Sandbox(
            quick_path / f"xnat{deadly}", "1.8", users={"tech": "secret"}, projects=["P1"], clock=time.now
        ) as xnat:
            desk = Desk(quick_path / f"station{deadly}", xnat, time)
            moments = Deadly(deadly)
            station = desk.station(moments.around)
            station.drop("scan.zip", content)
            with suppress(Crash):
                desk.live(station)
            if deadly:
                desk.live(desk.station(seed=deadly + 2))
            station = desk.station()
            rows = [row["status"] for row in xnat.rows("P1")]
            found = [state[1:] for state in station.standings()], desk.archived(), rows
            places = {(one["timestamp"], one["folder"]) for one in xnat.rows("P1")}
            station.close()
            desk.server.close()
        names = names or moments.names
        expected = expected or found
        assert found == expected, f"killed at moment {deadly}: {moments.names[-1]}; {places}"
        deadly += 1 if deadly < 5 else random.Random(deadly).randint(1, 4)
    assert any("early_places" in name for name in names)
