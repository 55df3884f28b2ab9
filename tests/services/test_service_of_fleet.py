"""A real service in a ledger that is shared, as its owner, who is no superuser: what it tells of itself is seen."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.docs.stage import DEADLINE, SETTINGS, Stage
from tests.postgres.cluster import Cluster

NAMES = "CREATE ROLE owner LOGIN", "CREATE DATABASE fleet OWNER owner"


@pytest.fixture
def server() -> Iterator[Cluster]:
    """Yield a database that can be stopped."""
    with closing(Cluster.made()) as server:
        for each in NAMES:
            server.tell(each)
        yield server


@pytest.fixture
def stage(server: Cluster) -> Iterator[Stage]:
    """Yield a workstation whose ledger is in that database."""
    with Stage() as one:
        url = server.url("fleet", user="owner")
        one.write(f'{SETTINGS}\n[ledger]\nurl = "{url}"\nstation = "ct-1"\n')
        one.log_in()
        one.start()
        yield one


def told(stage: Stage) -> dict[str, Any]:
    _, shown = stage.type("xnat-watchd status --fleet --json")
    (row,) = json.loads(shown)["stations"]
    found: dict[str, Any] = row
    return found


def wait_for(stage: Stage, command: str, code: int) -> str:
    """Wait until a command ends with this code, and return what it says."""
    end = time.monotonic() + DEADLINE
    while (done := stage.type(command))[0] != code:
        assert time.monotonic() < end, done
        time.sleep(1)
    return " ".join(done[1].split())


def wait_until(stage: Stage, condition: str) -> dict[str, Any]:
    """Wait until the station is said to be so, and return its row."""
    end = time.monotonic() + DEADLINE
    while (row := told(stage))["condition"] != condition or (row["free"] is None and condition == "well"):
        assert time.monotonic() < end, row
        time.sleep(1)
    return row


@pytest.mark.thorough
def test_a_service_tells_all_what_only_it_knows(stage: Stage) -> None:
    row = wait_until(stage, "well")
    assert (row["name"], row["free"] > 0, row["root"] != "", row["why"]) == ("ct-1", True, True, "")
    stage.type("xnat-watchd pause")
    row = wait_until(stage, "waits")
    assert row["why"].startswith("paused: ")
    stage.stop()
    assert wait_until(stage, "ended")["why"] == "its service was stopped"


@pytest.mark.thorough
def test_while_the_database_is_away_status_says_so_with_what_the_service_knew_last(
    stage: Stage, server: Cluster
) -> None:
    wait_for(stage, "xnat-watchd status", 0)
    server.stop()
    said = wait_for(stage, "xnat-watchd status", 1)
    assert "xnat-watchd is running, for " in said
    assert "the ledger's database cannot be used" in said
    assert "-> Work goes on by itself once it can be reached." in said
    assert "the ledger's database cannot be reached" in wait_for(stage, "xnat-watchd deliveries", 75)
    server.start()
    assert "Nothing needs attention." in wait_for(stage, "xnat-watchd status", 0)
