"""Kill the service before and after every call that it makes while it carries out what a person wants; start it again.

Whatever the moment: what is sent again is on XNAT once, of what is skipped nothing is left in the prearchive, and a ZIP
that is deleted is one that XNAT holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tests.dicom import instance, sop_uid
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.saboteur import Crash, Saboteur
from tests.station import Station, Time, zipped
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.core.retention import RetentionRules
from xnat_watchd.core.states import Progress

SCAN = zipped([(f"{n}.dcm", instance(1, 1, n)) for n in (1, 2)])
WHOLE = Counter(sop_uid(1, 1, n) for n in (1, 2))
UPLOADED = ProjectRules(until=Progress.UPLOADED)

Decision = Callable[[Station, FakeXnat], None]


def resent(station: Station, xnat: FakeXnat) -> None:
    """Take an image out of the archive, as an old backup does, and have the study sent again."""
    (session,) = xnat.sessions.values()
    session.batches[0][1].pop()
    station.ledger.decisions.resend(1, "", station.time.now())


def skipped(station: Station, xnat: FakeXnat) -> None:
    del xnat
    station.ledger.decisions.skip(1, "nobody wants it", station.time.now())


def deleted(station: Station, xnat: FakeXnat) -> None:
    del xnat
    station.time.pass_(days=20)


def is_sent_once(station: Station, xnat: FakeXnat) -> None:
    assert station.standings() == [("1.1", "complete", "done")]
    assert Counter(sop for _, _, _, sop in xnat.instances()) == WHOLE
    assert [name.split("/")[0] for name in station.files()] == ["done"]


def is_skipped(station: Station, xnat: FakeXnat) -> None:
    assert station.standings() == [("1.1", "uploaded", "skipped")]
    assert xnat.instances() == []
    assert station.files() == ["done/skipped/1_scan.zip"]


def is_deleted(station: Station, xnat: FakeXnat) -> None:
    assert station.standings() == [("1.1", "complete", "done")]
    assert Counter(sop for _, _, _, sop in xnat.instances()) == WHOLE
    assert station.files() == []
    story = station.ledger.views.delivery(1) or {}
    assert story["deleted"]


def lives(station: Station, saboteur: Saboteur | None = None) -> None:
    """Let the service live once, until it rests or is killed."""
    try:
        station.run()
        station.retention.sweep()
    except Crash:
        assert saboteur is not None
    finally:
        station.close()


def life(root: Path, at: int, rules: ProjectRules, decision: Decision, proof: Decision) -> Saboteur:
    time = Time()
    xnat = FakeXnat(time)  # effects that appear late are the crash sweep's matter
    gateway = FakeGateway(xnat, time)
    keep = RetentionRules(timedelta(days=10)) if decision is deleted else RetentionRules()
    first = Station(root, gateway, time, rules=lambda _: rules)
    first.drop("scan.zip", SCAN)
    first.run()
    decision(first, xnat)
    first.close()
    saboteur = Saboteur(at)
    lives(Station(root, gateway, time, around=saboteur.around, seed=1, keep=lambda: keep), saboteur)
    if saboteur.fired:
        lives(Station(root, gateway, time, seed=2, keep=lambda: keep))
    last = Station(root, gateway, time)
    try:
        proof(last, xnat)
    except AssertionError as error:
        raise AssertionError(f"killed {saboteur.fired or 'never'} (moment {at})") from error
    finally:
        last.close()
    return saboteur


@pytest.mark.parametrize(
    ("rules", "decision", "proof"),
    [
        pytest.param(ProjectRules(), resent, is_sent_once, id="resend"),
        pytest.param(UPLOADED, skipped, is_skipped, id="skip"),
        pytest.param(ProjectRules(), deleted, is_deleted, id="retention"),
    ],
)
def test_a_kill_at_any_moment_loses_and_doubles_nothing(
    quick_path: Path, rules: ProjectRules, decision: Decision, proof: Decision
) -> None:
    calm = life(quick_path / "calm", 0, rules, decision, proof)
    moments: Sequence[int] = range(1, calm.moments + 1)
    assert len(moments) > 20
    for at in moments:
        saboteur = life(quick_path / str(at), at, rules, decision, proof)
        assert saboteur.fired, f"moment {at} of {calm.moments} never came"
