"""What waits until nothing more happens waits for its own station alone: at others, there is always something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger_conformance.engines import study
from tests.station import Notes
from tests.stations import SharedLedger
from xnat_watchd.adapters.credentials import Credential, Secret
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.daemon.composition import build
from xnat_watchd.daemon.idle import are_idle
from xnat_watchd.daemon.state import Daemon
from xnat_watchd.settings import load


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedLedger]:
    """Yield a ledger of two stations, as that at which a study is worked on: ct-1."""
    shared = SharedLedger(tmp_path)
    shared.be("mr-2")
    ct = shared.be("ct-1")
    ct.receive(study())
    ct.take()
    yield shared
    shared.close()


@pytest.fixture
def daemon(shared: SharedLedger, tmp_path: Path) -> Iterator[Daemon]:
    """Yield the service of mr-2, which has nothing to do. Nothing of it runs."""
    config = tmp_path / "config.toml"
    config.write_text(
        f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{tmp_path}"\n'
        f'[ledger]\nurl = "{shared.url}"\nstation = "mr-2"\n',
        "utf-8",
    )
    one = build(load(config, {}), Credential("tech", Secret("secret"), "test"), Notes())
    one.next_sweep = None  # the drop folder has been looked through
    one.missing = {"shares"}
    yield one
    one.server.close()
    one.ledger.close()


def test_a_run_once_ends_although_another_station_is_at_work(shared: SharedLedger, daemon: Daemon) -> None:
    assert shared.ledger.studies.any_busy_here()
    assert daemon.ledger.studies.any_busy()
    assert daemon.is_idle()


def test_a_paused_command_ends_although_another_station_is_at_work(shared: SharedLedger, daemon: Daemon) -> None:
    now = shared.recorder.now
    for one in (daemon.ledger, shared.ledger):
        one.pauses.begin(Activity.WORK, "why", "advice", now)
    assert are_idle(daemon.ledger, [], now)
    assert not are_idle(shared.ledger, [], now)


def test_the_login_of_a_station_is_tried_while_others_are_at_work(daemon: Daemon) -> None:
    asked = list[str]()
    daemon.idle_check.due = 0.0
    daemon.idle_check.gates.prober.probe = lambda: asked.append("XNAT")  # type: ignore[method-assign]
    daemon.idle_check.ask_if_due([])
    assert asked == ["XNAT"]
