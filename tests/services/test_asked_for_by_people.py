"""Where a person wants XNAT asked, it is asked at once, but never so often that the account locks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.engine import settings_of
from xnat_watchd.adapters.credentials import Credential, Secret
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.core.errors import AuthRefused, Unavailable
from xnat_watchd.core.gate import REFUSALS_AN_HOUR, Gate, shut_by
from xnat_watchd.interfaces.cli import execution
from xnat_watchd.settings import Settings, load


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{tmp_path}"\n{settings_of(tmp_path)}', "utf-8"
    )
    return load(config, {})


def after(settings: Settings, error: Unavailable | AuthRefused, times: int) -> Gate:
    """Return the gate as a person's command leaves it after XNAT has failed this often."""
    now, gate = datetime.now(UTC), Gate()
    for _ in range(times):
        gate = shut_by(gate, error, now, 0)
    ledger = Ledger(open_database(settings.ledger.location))
    ledger.gates.set("", gate)
    execution.allow_trial_now(settings, Credential("tech", Secret("secret"), "a file"))
    found = ledger.gates.get()
    ledger.close()
    return found


def test_a_server_that_was_down_is_asked_at_once(settings: Settings) -> None:
    gate = after(settings, Unavailable("XNAT cannot be reached"), 9)
    assert gate.probe_due(datetime.now(UTC))
    assert gate.strikes == 0  # and `run --once` asks it as often as one that has just failed


@pytest.mark.parametrize("refusals", range(1, REFUSALS_AN_HOUR + 2))
def test_a_password_that_was_refused_is_tried_as_long_as_that_locks_no_account(
    settings: Settings, refusals: int
) -> None:
    gate = after(settings, AuthRefused("refused"), refusals)
    assert gate.probe_due(datetime.now(UTC)) is (refusals < REFUSALS_AN_HOUR)
    assert len(gate.refusals) == refusals


def test_refusals_of_an_hour_ago_count_no_more() -> None:
    now = datetime.now(UTC)
    gate = Gate(refusals=(now,) * REFUSALS_AN_HOUR)
    assert not gate.may_be_refused(now)
    assert gate.may_be_refused(now + timedelta(hours=1))
