"""Kill the service before and after every call while it carries what others had put into the prearchive."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from tests.dicom import instance, series_uid, sop_uid, study_uid
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.saboteur import Crash, Saboteur
from tests.station import Station, Time, zipped
from xnat_watchd.core.delivery import Person, Place, Series, Study
from xnat_watchd.core.existing_sessions import ExistingSession

PLACE = Place("P1", "20240131_101112001", "SENT")
SHOWN = ExistingSession(
    project="P1",
    name="SENT",
    identity=PLACE.path,
    study=Study(
        uid=study_uid(1), person=Person(name="Quokka^Zenobia", id="ZQ-7731"), date="20240229", time="101530",
        series=(Series(series_uid(1, 1), "1", "MR", image=True),), instances=(),
    ),
    files={series_uid(1, 1): 2},
    subject="Quokka_Zenobia",
    label="Quokka_Zenobia_20240229T101530_MR",
    place=PLACE,
)  # fmt: skip


def lives(root: Path, xnat: FakeXnat, time: Time, saboteur: Saboteur, *, shown: bool) -> list[tuple[str, str, str]]:
    station = Station(root, FakeGateway(xnat, time), time, around=saboteur.around)
    try:
        if shown:
            station.ledger.existing_sessions.admit(SHOWN, time.now())
        station.start()
        station.work()
        return station.standings()
    except Crash:
        return []
    finally:
        station.close()


def life(root: Path, at: int, late: timedelta) -> Saboteur:
    time, saboteur = Time(), Saboteur(at)
    xnat = FakeXnat(time, delay=late)
    source = root.with_suffix(".zip")
    source.write_bytes(zipped([(f"{n}.dcm", instance(1, 1, n)) for n in (1, 2)]))
    xnat.store(PLACE, list(FakeGateway(xnat, time)._read(str(source))))
    time.pass_(hours=1)
    standings = lives(root, xnat, time, saboteur, shown=True)
    if saboteur.fired:
        standings = lives(root, xnat, time, Saboteur(), shown=False)
    told = f"killed {saboteur.fired or 'never'} (moment {at})"
    assert standings == [("1.1", "complete", "done")], told
    held = Counter((where, sop) for where, _, _, sop in xnat.instances())
    assert held == Counter([("archive", sop_uid(1, 1, 1)), ("archive", sop_uid(1, 1, 2))]), told
    return saboteur


@pytest.mark.parametrize(
    "late",
    [
        pytest.param(timedelta(0), id="at-once"),
        pytest.param(timedelta(seconds=20), id="late", marks=pytest.mark.thorough),
    ],
)
def test_a_kill_at_any_moment_archives_what_was_shown_once(quick_path: Path, late: timedelta) -> None:
    calm = life(quick_path / "calm", 0, late)
    assert calm.moments > 20
    for at in range(1, calm.moments + 1):
        assert life(quick_path / str(at), at, late).fired, f"moment {at} never came"
