"""The settings of a station that has worked lead to a database that knows nothing of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.postgres.databases import cluster
from tests.station import Notes
from xnat_watchd.adapters.credentials import Credential, Secret
from xnat_watchd.adapters.files.root_id import ROOT_ID, root_id
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.core.errors import NoLedger, Refusal
from xnat_watchd.daemon.composition import build
from xnat_watchd.settings import Settings, load

SETTINGS = """\
[xnat]
server = "https://xnat.example.org"
project = "P1"
[folders]
root = "{root}"
[ledger]
url = "{url}"
station = "mr-1"
"""


def station(root: Path, kept: str = "done/2026-11/1_a.zip") -> Settings:
    """Return the settings of a station that keeps a ZIP, and whose ledger is to be an empty database."""
    (root / "work").mkdir(parents=True)
    file = root / kept
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    config = root / "config.toml"
    config.write_text(SETTINGS.format(root=root, url=cluster().database()), "utf-8")
    return load(config, {})


def begin(settings: Settings) -> None:
    """Build the service."""
    build(settings, Credential("tech", Secret("secret"), "test"), Notes()).ledger.close()


@pytest.mark.parametrize("kept", ["work/1.zip", "done/2026-11/1_a.zip", "failed/1_a.zip"])
def test_in_an_empty_database_no_ledger_is_made_for_who_has_worked_with_another(tmp_path: Path, kept: str) -> None:
    settings = station(tmp_path, kept)
    root_id(tmp_path / "work")
    with pytest.raises(Refusal, match="there is no ledger in the database, although") as refused:
        begin(settings)
    assert ROOT_ID in refused.value.advice
    with pytest.raises(NoLedger):  # so a dump can be restored into it
        open_database(settings.ledger.location, read_only=True)


def test_a_ledger_of_others_is_refused_until_a_person_says_that_the_own_one_is_lost(tmp_path: Path) -> None:
    settings = station(tmp_path)
    open_database(settings.ledger.location).close()
    root_id(tmp_path / "work")
    for _ in range(2):
        with pytest.raises(Refusal, match="does not know the folders"):
            begin(settings)
    (tmp_path / "work" / ROOT_ID).unlink()
    begin(settings)


def test_who_has_worked_with_a_file_begins_with_an_empty_list(tmp_path: Path) -> None:
    settings = station(tmp_path)
    for _ in range(2):  # the first one may have ended before it had served
        begin(settings)
    root = root_id(tmp_path / "work")
    with closing(Ledger(open_database(settings.ledger.location))) as ledger:
        ledger.stations.enroll(StationProcess("mr-1", "0.2.0"))
        ledger.stations.serve(root)
    begin(settings)


def test_a_command_makes_no_ledger(tmp_path: Path) -> None:
    settings = station(tmp_path)
    with pytest.raises(NoLedger):
        open_database(settings.ledger.location, upgrade=False)
    with pytest.raises(NoLedger):
        open_database(settings.ledger.location, read_only=True)
