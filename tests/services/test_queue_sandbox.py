"""The long queue once more, on the practice XNAT: what makes a study bad is what a server really says to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from threading import Event

import pytest

from tests.dicom import instance, nested
from tests.services.test_crash_sweep_sandbox import Hasty
from tests.station import Station, Time, zipped
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.sandbox import Options, Sandbox

REFUSED = {"403": 403, "409": 409, "413": 413, "500": 500}  #: by a proxy or the site, whatever is sent
REASONS = (*REFUSED, "400", "files lost", "left out", "damaged", "two people")
ORDERS = ("bad first", "mixed", "bad last")
IMPORT = "/data/services/import"
EVER = 1_000_000  #: requests
IN_ALL = 60  #: requests that a study costs at most, all in all
READ_TIMEOUT = 600.0  #: seconds; until then a lost answer may still have its effect
WITHIN = timedelta(hours=2)


def members(number: int, reason: str) -> list[tuple[str, bytes]]:
    time = f"10{number // 60:02}{number % 60:02}"
    if reason == "400":  # the practice XNAT follows no more than 16 sequences in each other
        return [("1.dcm", nested(instance(number, pixels=b"", time=time), 20))]
    more = {
        "left out": [("2.dcm", instance(number, 2, 1, modality="OT", description="OT", time=time))],
        "damaged": [("2.dcm", instance(number, 1, 2, time=time)[:-300])],
        "two people": [("2.dcm", instance(number, 1, 2, time=time, patient="Z9", name="Quint^Z"))],
    }.get(reason, [])
    return [("1.dcm", instance(number, time=time)), *more]


def in_order(order: str, many: int) -> list[str]:
    """Return why each ZIP is bad, empty if it is sound; bad ones of one kind are neighbours if they come first."""
    bad = [REASONS[n % len(REASONS)] for n in range(many // 3)]
    good = [""] * (many - len(bad))
    if order == "bad first":
        return sorted(bad) + good
    if order == "bad last":
        return good + bad
    mixed = bad + good
    Random(7).shuffle(mixed)
    return mixed


@dataclass
class Queue:
    """A station before a practice XNAT, and what each of its ZIPs is."""

    station: Station
    xnat: Sandbox
    reasons: Sequence[str]

    def drop(self) -> None:
        for number, reason in enumerate(self.reasons, 1):
            self.station.drop(f"{number:03}.zip", zipped(members(number, reason)))
            self.station.time.pass_(seconds=1)
        self.station.take_in()
        for item, reason in self.by_item().items():
            imports = rf"{IMPORT}\?.*watchd-{item.removesuffix('.1')}-1-"
            if reason in REFUSED:
                self.xnat.faults.on("POST", imports, times=EVER).refuse(REFUSED[reason])
            elif reason == "files lost":
                self.xnat.faults.on("POST", imports, times=EVER).lose_files()

    def by_item(self) -> dict[str, str]:
        ids = {row["name"]: row["id"] for row in self.station.ledger.views.latest(len(self.reasons))}
        return {f"{ids[f'{number:03}.zip']}.1": reason for number, reason in enumerate(self.reasons, 1)}

    def carry(self) -> timedelta:
        """Work until it rests; return how long it took until every sound one was complete."""
        begun, took = self.station.time.now(), None
        for _ in range(20_000):
            while self.station.pipeline.step():
                pass
            self.station.pipeline.retire()
            done = sum(standing == "done" for *_, standing in self.station.standings())
            if took is None and done == list(self.reasons).count(""):
                took = self.station.time.now() - begun
            if self.station.idle():
                break
            self.station._wait()
        assert took is not None, Counter(standing for *_, standing in self.station.standings())
        return took


@pytest.mark.parametrize(
    ("dialect", "many", "order"),
    [
        ("1.8", 60, "mixed"),
        *(
            pytest.param(dialect, 200, order, marks=pytest.mark.thorough)
            for dialect in ("1.8", "1.6")
            for order in ORDERS
        ),
    ],
)
def test_every_sound_study_is_complete_soon_and_every_bad_one_is_held_by_name(
    quick_path: Path, dialect: str, many: int, order: str
) -> None:
    time = Time()
    options = Options(left_out_series="OT")
    with Sandbox(
        quick_path / "xnat", dialect, users={"tech": "secret"}, projects=["P1"], clock=time.now, options=options
    ) as xnat:
        server = XnatServer(
            xnat.url, user="tech", password=Secret("secret"), clock=Hasty(), stop=Event(), read_timeout=READ_TIMEOUT
        )
        station = Station(quick_path / "station", server.gateway(), time)
        station.start()
        queue = Queue(station, xnat, in_order(order, many))
        queue.drop()
        took = queue.carry()
        ended = {item: standing for item, _, standing in station.standings()}
        assert ended == {item: "held" if reason else "done" for item, reason in queue.by_item().items()}
        named = {row["item"] for row in station.ledger.views.attention()}
        assert named == {item for item, reason in queue.by_item().items() if reason}
        sound = [one.sop_uid for one in xnat.instances() if one.where == "archive"]
        imports = Counter(query.partition("watchd-")[2].split("-")[0] for _, path, query, _ in xnat.requests
                          if path == IMPORT)  # fmt: skip
        assert len(sound) == len(set(sound)) == list(queue.reasons).count("")
        assert took < WITHIN
        assert max(imports.values()) <= 3
        assert len(xnat.requests) < IN_ALL * many
        xnat.faults.clear()
        station.close()
        server.close()
