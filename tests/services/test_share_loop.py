"""Share tables as a thread of the service: when it looks, what stops it, and when `run --once` may end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from tests.engine import settings_of
from tests.share_desk import HEADER
from tests.share_site import ShareSite, a_share_site
from tests.station import Notes
from xnat_watchd.adapters.credentials import Credential, Secret
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.gate import Gate
from xnat_watchd.daemon.composition import build
from xnat_watchd.daemon.reload import reload
from xnat_watchd.daemon.state import Daemon
from xnat_watchd.daemon.threads import sharing_turn
from xnat_watchd.settings import Settings, load
from xnat_watchd.sharing.service import POLL_AT_LEAST

LATER = timedelta(hours=1)


@dataclass
class Turns:
    """A service of which nothing runs but what a test lets run."""

    daemon: Daemon
    folder: Path
    config: Path
    log: Notes = field(default_factory=Notes)

    def settings(self, extra: str = "") -> Settings:
        return load(_written(self.config, extra), {})

    def apply(self) -> float:
        """Let the thread see a table and apply it, which stands still for a millisecond; gives its next wait."""
        while (wait := sharing_turn(self.daemon)) < POLL_AT_LEAST:
            pass
        return wait


def _written(config: Path, extra: str = "") -> Path:
    text = config.read_text("utf-8").partition("[intake]")[0]
    config.write_text(f'{text}[intake]\nquiet_for = "1ms"\n{extra}', encoding="utf-8")
    return config


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ShareSite]:
    with a_share_site(tmp_path, "1.8") as one:
        one.subject("P1", "S1", ["S1_MR"])
        yield one


@pytest.fixture
def service(tmp_path: Path, site: ShareSite) -> Iterator[Turns]:
    config, folder, log = tmp_path / "config.toml", tmp_path / "shares", Notes()
    folder.mkdir()
    config.write_text(
        f'[xnat]\nserver = "{site.xnat.url}"\n[folders]\nroot = "{tmp_path}"\n{settings_of(tmp_path)}', "utf-8"
    )
    daemon = build(load(_written(config), {}), Credential("tech", Secret("secret"), "test"), log)
    daemon.next_sweep = None  # the drop folder has been looked through
    yield Turns(daemon, folder, config, log)
    daemon.server.close()
    daemon.ledger.close()


def save(service: Turns, *rows: str) -> None:
    (service.folder / "table.csv").write_text(HEADER + "\n".join(rows), encoding="utf-8")


def test_it_rests_once_the_tables_are_true_and_looks_again_by_itself(service: Turns, site: ShareSite) -> None:
    save(service, "S1,P1,P2")
    assert not service.daemon.is_idle()
    assert service.daemon.take_snapshot()["daemon"]["sharing"]
    assert service.apply() == POLL_AT_LEAST
    assert site.labels("P2") == ["S1", "S1_MR"]
    assert service.daemon.is_idle()
    assert not service.daemon.take_snapshot()["daemon"]["sharing"]


def test_a_server_that_is_down_for_long_is_not_waited_for(service: Turns, site: ShareSite) -> None:
    gate = Gate(until=service.daemon.clock.now() + LATER, why="XNAT cannot be reached", advice="Wait.")
    service.daemon.ledger.gates.set("", gate)
    save(service, "S1,P1,P2")
    service.apply()
    assert site.xnat.requests == []
    assert service.daemon.is_idle()


def test_a_folder_that_is_gone_is_said_once_and_not_waited_for(service: Turns, site: ShareSite) -> None:
    save(service, "S1,P1,P2")
    service.apply()
    away = service.folder.rename(service.folder.with_name("away"))
    for _ in range(3):
        assert sharing_turn(service.daemon) == POLL_AT_LEAST
    assert service.log.events().count("folder.missing") == 1
    assert service.daemon.is_idle()
    assert [one["why"] for one in service.daemon.take_snapshot()["attention"]] == [
        "the shares folder cannot be reached"
    ]
    away.rename(service.folder)
    sharing_turn(service.daemon)
    assert service.log.events().count("folder.found") == 1
    assert service.daemon.take_snapshot()["attention"] == []
    assert site.labels("P2") == ["S1", "S1_MR"]


def test_a_folder_that_was_never_there_is_not_waited_for(service: Turns) -> None:
    service.folder.rmdir()
    assert not service.daemon.is_idle()
    sharing_turn(service.daemon)
    assert service.daemon.is_idle()


def test_a_trouble_with_the_server_shuts_the_gate_for_the_workers_too(service: Turns, site: ShareSite) -> None:
    site.xnat.faults.on("GET", r"/data/projects\?").refuse(503)
    save(service, "S1,P1,P2")
    service.apply()
    assert service.daemon.ledger.gates.get().shut
    assert service.daemon.pipelines["worker-1"].step() is False
    assert "gate.shut" in service.log.events()


def test_while_a_person_has_paused_the_work_no_table_is_compared(service: Turns, site: ShareSite) -> None:
    pauses, now = service.daemon.ledger.pauses, service.daemon.clock.now
    pauses.begin(Activity.WORK, "a person has paused it", "Type `xnat-watchd resume`.", now())
    asked = len(site.xnat.requests)
    save(service, "S1,P1,P2")
    service.apply()
    assert len(site.xnat.requests) == asked
    assert service.daemon.is_idle()
    pauses.end(now())
    service.apply()
    assert site.labels("P2") == ["S1", "S1_MR"]


def test_after_a_reload_tables_are_compared_as_often_as_the_new_settings_say(service: Turns, site: ShareSite) -> None:
    save(service, "S1,P1,P2")
    service.apply()
    before, known = service.daemon.sharing, dict(service.daemon.sharing._tables)
    reload(service.daemon, lambda: service.settings('[shares]\napply_every = "1m"\n'))
    assert service.daemon.sharing is before
    assert service.daemon.sharing._tables == known  # nothing that holds a state is built anew
    assert service.daemon.sharing._rules.apply_every == 60
    asked = len(site.xnat.requests)
    service.apply()
    assert len(site.xnat.requests) > asked
    assert service.daemon.is_idle()


def test_what_was_shared_names_its_project_in_the_journal(service: Turns) -> None:
    save(service, "S1,P1,P2")
    service.apply()
    assert ("shares.made", {"project": "P2", "count": 2}) in service.log.lines
