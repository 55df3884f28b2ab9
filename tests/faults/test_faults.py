"""Whatever the server and the line do: each instance is there once, or its study is held with a reason."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from tests.faults.asked import Asked, Kind
from tests.faults.fault import BOTH, Fault, small
from tests.faults.scene import Certificates, Scene, Setting, a_scene
from tests.faults.table import FAULTS

ALL = "XNAT_WATCHD_TEST_EVERY_STRIKE"  #: set, every question is struck in both dialects


def _case(fault: Fault, dialect: str) -> ParameterSet:
    again = dialect != "1.8" and "1.8" in fault.dialects
    return pytest.param(fault, dialect, id=f"{fault.name}-{dialect}", marks=[pytest.mark.thorough] if again else [])


CASES = [_case(fault, dialect) for fault in FAULTS for dialect in fault.dialects]
Routes = Mapping[str, Sequence[Asked]]


@pytest.fixture(scope="session")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Routes:
    """Return the requests of a study that meets no trouble, by dialect."""
    return {dialect: _calm(tmp_path_factory.mktemp("route"), dialect) for dialect in BOTH}


def _calm(folder: Path, dialect: str) -> list[Asked]:
    with pytest.MonkeyPatch.context() as patch, a_scene(folder, dialect, Setting(), (), patch) as scene:
        for name, members in small().items():
            scene.drop(name, members)
        scene.carry()
        assert scene.told() == []
        return list(scene.asked)


@pytest.mark.parametrize(("fault", "dialect"), CASES)
def test_nothing_is_lost_doubled_mixed_or_stuck(
    fault: Fault, dialect: str, quick_path: Path, certificates: Certificates, routes: Routes
) -> None:
    if fault.setting.tls and not certificates:
        pytest.skip("no openssl to make certificates with")
    strikes = _strikes(fault, dialect, routes[dialect])
    assert strikes, "it strikes nowhere"
    for number, asked in strikes:
        with (
            pytest.MonkeyPatch.context() as patch,
            a_scene(quick_path / str(number), dialect, fault.setting, certificates, patch) as scene,
        ):
            _carry(scene, fault, number)
            _judge(scene, fault, asked)


def test_every_row_has_a_name_of_its_own() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names))


def _strikes(fault: Fault, dialect: str, route: Sequence[Asked]) -> list[tuple[int, Asked | None]]:
    """Return the requests to disturb. Those that change something, and the login, are disturbed in each dialect.

    Questions are asked by the same code in both: they are struck in one dialect and the other by turns, unless all
    are asked for.
    """
    if not fault.at:
        return [(0, None)]
    fits = [(number, asked) for number, asked in enumerate(route) if re.match(fault.at, asked.line)]
    if len(fault.dialects) == 1 or ALL in os.environ:
        return list(fits)
    turn = BOTH.index(dialect)
    questions = [number for number, asked in fits if asked.kind is Kind.READ][turn::2]
    return [(number, asked) for number, asked in fits if asked.kind is not Kind.READ or number in questions]


def _carry(scene: Scene, fault: Fault, number: int) -> None:
    for name, members in fault.before().items():
        scene.drop(name, members)
    if fault.before():
        scene.carry()
    fault.strike(scene, number)
    for name, members in fault.zips().items():
        scene.drop(name, members)
    scene.carry(hours=fault.hours, lives=fault.lives)


def _judge(scene: Scene, fault: Fault, asked: Asked | None) -> None:
    struck = asked.line if asked else "the run"
    told, expected = scene.told(fault.item), fault.expected(asked.kind if asked else None)
    assert len(told) == len(expected), f"{struck}: {told}"
    assert all(map(re.fullmatch, expected, told)), f"{struck}: {told}"
    held, rows = scene.station.ledger.views.held(), scene.station.ledger.views.attention()
    assert (fault.item in held) == fault.held, f"{struck}: {rows}"
    assert all(one["why"] and one["advice"] for one in rows), f"{struck}: {rows}"
    standings = {standing for _, _, standing in scene.station.standings()}
    assert standings <= ({"done", "held"} if fault.held else {"done"}), f"{struck}: {standings}"
    assert fault.ends_well(scene), f"{struck}: {scene.where()}"
    fault.look(scene)
