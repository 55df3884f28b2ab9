"""What a lost answer costs: a kill, or a server that dies, in mid-upload and in mid-archive; and what comes late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.dicom import instance, sop_uid
from tests.others import mixed_by_others
from tests.saboteur import Crash
from tests.services.test_crash_sweep_sandbox import Hasty
from tests.station import Station, Time, zipped
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.ledger.rows import TroubleRow
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.core.errors import Impossible
from xnat_watchd.core.ports import Progressed
from xnat_watchd.operator.status import TOLD_AFTER
from xnat_watchd.sandbox import Sandbox

IMPORT, ARCHIVE = "/data/services/import", "/data/services/archive"
SCAN = zipped([(f"{n}.dcm", instance(1, 1, n)) for n in (1, 2, 3)])
ONCE = Counter(sop_uid(1, 1, n) for n in (1, 2, 3))


class Killed:
    """A gateway whose process is killed at its first upload: before it, in the middle of the body, or after it."""

    def __init__(self, gateway: Any, moment: str) -> None:
        self._gateway, self._moment = gateway, moment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    def upload(self, place: Any, path: str, progressed: Progressed, *, alone: bool) -> None:
        def killed(sent: int, size: int) -> None:
            progressed(sent, size)
            if size and self._moment == "at the first byte":
                raise Crash(self._moment)

        self._gateway.upload(place, path, killed, alone=alone)
        raise Crash(self._moment)


class Site:
    """A practice XNAT by a clock of its own, with an hour's patience, and the lives of one station before it."""

    def __init__(self, folder: Path, dialect: str) -> None:
        self.time, self._folder, self._lives = Time(), folder, 0
        self.xnat = Sandbox(
            folder / "xnat", dialect, users={"tech": "secret"}, projects=("P1",), clock=lambda: self.time.at
        )
        self.xnat.start()
        self._servers, self._stations = list[XnatServer](), list[Station]()

    def life(self, around: Callable[[Any], Any] = lambda gateway: gateway) -> Station:
        """Begin a life of the service upon what the last one has left."""
        self._lives += 1
        server = XnatServer(self.xnat.url, user="tech", password=Secret("secret"), clock=Hasty(), stop=Event())
        station = Station(self._folder / "station", around(server.gateway()), self.time, seed=self._lives)
        self._servers.append(server)
        self._stations.append(station)
        station.start()
        return station

    def killed(self, moment: str) -> None:
        """Drop a ZIP, and be killed while it is sent."""
        station = self.life(lambda gateway: Killed(gateway, moment))
        station.drop("scan.zip", SCAN)
        station.take_in()
        with suppress(Crash):
            station.pipeline.step()
        station.close()
        self._stations.remove(station)

    def server_restarts(self) -> None:
        self.xnat.stop()
        self.xnat._port = 0
        self.xnat.start()

    def where(self) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {}
        for one in self.xnat.instances():
            found.setdefault(one.where, Counter())[one.sop_uid] += 1
        return found

    def close(self) -> None:
        for station in self._stations:
            station.close()
        for server in self._servers:
            server.close()
        self.xnat.stop()


@pytest.fixture(params=["1.8", "1.6"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(quick_path: Path, dialect: str) -> Iterator[Site]:
    site = Site(quick_path, dialect)
    yield site
    site.close()


def until(station: Station, done: Callable[[], bool], most: timedelta) -> timedelta:
    """Let the service work until this is so, second by second; return how long it took by the clock."""
    begun = station.time.at
    while not done():
        assert station.time.at - begun <= most, station.ledger.views.under_way()
        while station.pipeline.step():
            pass
        station.time.pass_(seconds=1)
    return station.time.at - begun


def is_complete(station: Station) -> bool:
    return [standing for _, _, standing in station.standings()] == ["done"]


# -- a kill ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["at the first byte", "after the last one"])
def test_a_kill_in_mid_upload_costs_two_minutes_on_1_6(site: Site, dialect: str, moment: str) -> None:
    site.killed(moment)
    station = site.life()
    took = until(station, lambda: is_complete(station), timedelta(hours=2))
    assert took <= timedelta(minutes=2 if dialect == "1.6" else 6)
    station.work()
    assert site.where() == {"archive": ONCE}


@pytest.mark.parametrize("minutes", [0, 2, 20])
def test_a_whole_body_whose_import_comes_through_late_is_there_once(site: Site, minutes: int) -> None:
    late = Event()
    site.xnat.faults.on("POST", IMPORT).late_effect(late)
    station = site.life()
    station.drop("scan.zip", SCAN)
    station.take_in()
    station.pipeline.step()
    if minutes:
        with suppress(AssertionError):
            until(station, lambda: is_complete(station), timedelta(minutes=minutes))
    answered = len(site.xnat.requests)
    late.set()
    site.xnat.wait_for_requests(answered + 1)
    station.work()
    assert is_complete(station)
    assert site.where() == {"archive": ONCE}


# -- a server that dies ------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaves", [1, None])
def test_what_a_server_brings_back_that_died_in_mid_import_is_no_second_copy(site: Site, leaves: int | None) -> None:
    site.xnat.faults.on("POST", IMPORT).die_importing(leaves)
    station = site.life()
    station.drop("scan.zip", SCAN)
    station.take_in()
    station.pipeline.step()
    site.server_restarts()
    again = site.life()
    again.work()
    assert is_complete(again)
    assert site.where() == {"archive": ONCE}
    assert again.ledger.views.attention() == []


def test_what_a_server_that_dies_in_mid_import_brings_back_is_named(site: Site, dialect: str) -> None:  # F87
    site.xnat.faults.on("POST", IMPORT).die_importing()
    station = site.life()
    station.drop("scan.zip", SCAN)
    station.take_in()
    station.pipeline.step()
    site.server_restarts()
    again = site.life()
    again.work()
    delivery = again.ledger.views.delivery(1)
    assert delivery is not None
    appeared = [one for one in delivery["studies"][0]["places"] if one["appeared"]]
    if dialect == "1.8":  # it writes to our place itself
        assert appeared == []
        return
    assert len(appeared) == 1
    lines = [(method, path.rpartition("/")[2]) for method, path, _, _ in site.xnat.requests]
    imports = [number for number, line in enumerate(lines) if line == ("POST", "import")]
    assert lines.index(("DELETE", appeared[0]["folder"])) < imports[0], "else the second import writes there too"


def test_a_refused_import_that_a_later_start_brings_back_is_removed(site: Site) -> None:
    late = Event()
    site.xnat.faults.on("POST", IMPORT).late_effect(late)
    station = site.life()
    station.drop("scan.zip", SCAN)
    station.take_in()
    station.pipeline.step()
    until(station, lambda: is_complete(station), timedelta(hours=2))
    answered = len(site.xnat.requests)
    late.set()
    site.xnat.wait_for_requests(answered + 1)
    station.work()
    site.server_restarts()
    again = site.life()
    again.late.sweep()
    again.time.pass_(minutes=15)
    again.late.sweep()
    assert site.where() == {"archive": ONCE}
    assert again.ledger.views.attention() == []


def brought_back_as_error(site: Site) -> tuple[str, str, str]:
    """Let an import whose answer was lost be refused, since the second has come; give its row after the next start."""
    late = Event()
    site.xnat.faults.on("POST", IMPORT).late_effect(late)
    station = site.life()
    station.drop("scan.zip", SCAN)
    station.take_in()
    for _ in range(600):
        if site.where():  # the second import has come
            break
        station.pipeline.step()
        station.time.pass_(seconds=1)
    answered = len(site.xnat.requests)
    late.set()
    site.xnat.wait_for_requests(answered + 1)
    station.work()
    assert is_complete(station)
    site.server_restarts()
    ((key, row),) = site.xnat._site.store.rows.items()
    assert (row.status, row.session) == ("ERROR", None)
    return key


@pytest.mark.parametrize("dialect", ["1.6"], indirect=True)
def test_a_row_that_comes_back_as_error_is_built_then_judged_then_removed(site: Site) -> None:
    _, _, folder = brought_back_as_error(site)
    again = site.life()
    asked = len(site.xnat.requests)
    again.late.sweep()
    lines = [(method, path.rpartition("/")[2], query) for method, path, query, _ in site.xnat.requests[asked:]]
    assert ("POST", folder, "action=build") in lines
    assert [method for method, where, _ in lines if where == folder and method != "GET"] == ["POST", "DELETE"]
    assert site.where() == {"archive": ONCE}
    assert again.ledger.views.attention() == []


@pytest.mark.parametrize("dialect", ["1.6"], indirect=True)
def test_a_row_that_comes_back_as_error_with_images_of_others_is_told_and_left(site: Site) -> None:
    key = brought_back_as_error(site)
    theirs = zipped([("9.dcm", instance(9, 1, 1, name="Another^Body", patient="ZQ-99"))])
    mixed_by_others(site.xnat, key, theirs)
    with site.xnat._site.lock:
        site.xnat._site.store.rows[key].status = "ERROR"
    again = site.life()
    again.late.sweep()
    assert site.where() == {"archive": ONCE, "prearchive": ONCE + Counter([sop_uid(9, 1, 1)])}
    (row,) = again.ledger.views.attention()
    assert "/".join(key[:2]) in row["advice"]


def dead_in_mid_archive(site: Site) -> Station:
    """Have the server die while it archives a study, and be started again."""
    site.xnat.faults.on("POST", ARCHIVE).die_archiving()
    station = site.life()
    station.drop("scan.zip", SCAN)
    station.take_in()
    until(station, lambda: any(ARCHIVE in path for _, path, _, _ in site.xnat.requests), timedelta(minutes=5))
    site.server_restarts()
    return site.life()


def sent_to_a_new_place(site: Site) -> Station:
    """Return a station whose study a person has sent again, since the server had died while it archived."""
    station = dead_in_mid_archive(site)
    until(station, lambda: bool(told(station)), timedelta(minutes=5))
    station.ledger.decisions.resend(1, "the server had died", station.time.at)
    station.work()
    return station


def told(station: Station) -> list[TroubleRow]:
    return station.ledger.views.locked(station.time.at - TOLD_AFTER)


def released(site: Site) -> None:
    """Let the administrator of the server set the row back."""
    for row in site.xnat._site.store.rows.values():
        row.status = "READY" if row.status == "_ARCHIVING" else row.status


def test_a_row_that_a_dead_server_has_locked_is_told_within_a_minute_of_its_return(site: Site) -> None:
    station = dead_in_mid_archive(site)
    took = until(station, lambda: bool(told(station)), timedelta(minutes=5))
    assert took <= timedelta(minutes=1)
    (row,) = told(station)
    assert "administrator" in row["advice"]
    assert "`xnat-watchd resend 1.1`" in row["advice"]
    assert not is_complete(station)


def test_once_the_administrator_has_released_such_a_row_its_study_goes_on_by_itself(site: Site) -> None:
    station = dead_in_mid_archive(site)
    until(station, lambda: bool(told(station)), timedelta(minutes=5))
    released(site)
    station.work()
    assert is_complete(station)
    assert site.where() == {"archive": ONCE}
    assert told(station) == []


def test_a_person_sends_such_a_study_to_a_new_place_and_the_locked_row_is_told_until_it_is_gone(site: Site) -> None:
    station = sent_to_a_new_place(site)
    assert is_complete(station)
    assert site.where() == {"archive": ONCE, "prearchive": ONCE}
    (row,) = told(station)
    assert "stays locked" in row["why"]
    released(site)
    for _ in range(2):
        station.time.pass_(minutes=15)
        station.late.sweep()
    assert site.where() == {"archive": ONCE}
    assert told(station) == []


def test_a_locked_row_that_is_removed_after_many_weeks_is_told_no_more(site: Site) -> None:
    station = sent_to_a_new_place(site)
    station.time.pass_(days=100)
    station.late.sweep()
    assert len(told(station)) == 1
    with site.xnat._site.lock:
        site.xnat._site.store.rows.clear()
    station.time.pass_(minutes=15)
    station.late.sweep()
    assert told(station) == []


def test_a_study_that_is_archived_is_on_its_way_as_long_as_its_server_lives(site: Site) -> None:
    station = site.life()
    station.drop("scan.zip", SCAN)
    station.take_in()
    station.pipeline.step()
    with pytest.raises(Impossible):
        station.ledger.decisions.resend(1, "impatient", station.time.at)
