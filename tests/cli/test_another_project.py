"""What is typed about a study that was dropped into the folder of a project that XNAT does not list."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.dicom import instance
from tests.others import beside_others
from tests.station import Station, zipped
from xnat_watchd.core.gate import PROJECT_IN_TROUBLE, Gate
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.sandbox import Sandbox

NOT_THERE = "XNAT lists no such project that this account may write to"


class Desk:
    """A workstation on which the first folder names the project, and a terminal."""

    def __init__(self, config: Path, xnat: Sandbox, station: Station) -> None:
        self._config, self.xnat, self.station = config, xnat, station
        root = config.parent / "watchd"
        config.write_text(f'[xnat]\nserver = "{xnat.url}"\n[folders]\nroot = "{root}"\n', "utf-8")

    def type(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(commands, words, env={"XNAT_WATCHD_CONFIG": str(self._config)})
        assert done.exit_code == code, done.output
        return done.output

    def drop(self, project: str, *studies: int) -> None:
        for n in studies:
            self.station.drop(f"{project}/{n}.zip", zipped([("1.dcm", instance(n, 1, 1, time=f"10{n:02}30"))]))
        self.station.run()

    def archived(self) -> dict[str, int]:
        """Count the archived images by project."""
        projects = [one.project for one in self.xnat.instances() if one.where == "archive"]
        return {one: projects.count(one) for one in projects}


@pytest.fixture(params=["1.8", "1.6"])
def desk(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with beside_others(tmp_path, request.param, ProjectRules, project="") as (xnat, _, station):
        xnat.add_project("BRAIN")
        xnat.grant("tech", "BRAIN", "member")
        monkeypatch.setenv("XNAT_WATCHD_XNAT__USER", "tech")
        monkeypatch.setenv("XNAT_WATCHD_XNAT__PASSWORD", "secret")
        yield Desk(tmp_path / "config.toml", xnat, station)


def test_the_project_that_was_meant_is_named_and_what_is_advised_does_it(desk: Desk) -> None:
    desk.drop("brian", 1)
    said = desk.type("status", code=1)
    assert NOT_THERE in said
    assert "If you meant BRAIN, type `xnat-watchd retry 1.1 --project BRAIN`." in said.replace("\n", " ")
    assert "1.1 goes on" in desk.type("retry", "1.1", "--project", "BRAIN", "--later")
    desk.station.work()
    assert desk.archived() == {"BRAIN": 1}
    desk.type("status")
    assert "brian -> BRAIN" in desk.type("show", "1")


def test_where_no_project_is_near_none_is_named(desk: Desk) -> None:
    desk.drop("SPINE", 1)
    assert "Check the project's ID" in desk.type("status", code=1).replace("\n", " ")


def test_a_project_without_the_right_is_not_taken_for_a_slip(desk: Desk) -> None:
    desk.xnat.grant("tech", "BRAIN", "collaborator")
    desk.drop("BRAIN", 1)
    assert "If you meant" not in desk.type("status", code=1)


def test_where_a_folder_of_many_waits_what_is_advised_is_ready_to_be_typed(desk: Desk) -> None:
    many = range(1, PROJECT_IN_TROUBLE + 1)
    desk.drop("brain", *many)
    said = desk.type("status", code=1).replace("\n", " ")
    assert "ITEM" not in said
    assert "project brain waits" in said
    assert "`xnat-watchd retry 1.1 --project BRAIN`" in said
    for n in many:
        assert f"{n}.1 goes on" in desk.type("retry", str(n), "--project", "BRAIN", "--later")
    desk.station.work()
    assert desk.archived() == {"BRAIN": len(many)}
    desk.type("status")


def test_retry_of_one_that_waits_for_its_project_has_the_project_tried(desk: Desk) -> None:
    desk.drop("NEW", *range(1, PROJECT_IN_TROUBLE + 1))
    desk.station.time.pass_(minutes=1)
    until = desk.station.ledger.gates.get("NEW").until
    assert until is not None
    assert until > desk.station.time.now() + timedelta(minutes=1)
    desk.xnat.add_project("NEW")
    desk.xnat.grant("tech", "NEW", "member")
    waiting = next(item for item, _, standing in desk.station.standings() if standing == "ready")
    assert f"{waiting} goes on" in desk.type("retry", waiting, "--later")
    desk.station.work()
    assert desk.archived() == {"NEW": PROJECT_IN_TROUBLE}


def test_retry_of_one_that_waits_for_xnat_is_no_refusal(desk: Desk) -> None:
    until = desk.station.time.now() + timedelta(minutes=5)
    desk.station.ledger.gates.set("", Gate(until=until, why="XNAT cannot be reached", advice="Look."))
    desk.station.drop("P1/1.zip", zipped([("1.dcm", instance())]))
    desk.station.start()
    desk.station.take_in()
    assert "1.1 goes on" in desk.type("retry", "1.1", "--later")


def test_retry_of_what_neither_is_held_nor_waits_says_so_and_changes_nothing(desk: Desk) -> None:
    desk.drop("P1", 1)
    assert "1.1 is not held, and does not wait" in desk.type("retry", "1.1", "--project", "BRAIN", code=1)
    desk.station.work()
    assert desk.archived() == {"P1": 1}
