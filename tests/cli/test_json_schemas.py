"""What `--json` prints is what the schemas say that the package ships: no key is missing, and none is there besides."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from tests.cli.test_status_screens import SCAN, SITUATIONS, TWO_PEOPLE, a_station
from tests.docs.happenings import HAPPENINGS
from tests.docs.stage import Stage
from xnat_watchd.interfaces import cli
from xnat_watchd.operator.current_status import NOTHING_SAID
from xnat_watchd.operator.program_story import story_for_programs
from xnat_watchd.operator.status import without_names
from xnat_watchd.sandbox.samples import write_samples

FOLDER = Path(cli.__file__).with_name("schemas")
SCHEMAS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}

TABLE = "subject,source,destination\nQuastenflosser_Ingeborgine,MYPROJECT,READERS\nnobody,MYPROJECT,READERS\n"
USERS = "project,user,role\nREADERS,cora,member\n"
TYPED = {
    "status": "status", "deliveries": "deliveries", "show": "show 2", "show-table": "show table.csv", "check": "check",
    "list": "list", "list-project": "list --project MYPROJECT", "list-new-since": "list --new-since 7d",
    "share": "share table.csv --dry-run", "share-users": "share --users users.csv --dry-run",
}  # fmt: skip
ELSEWHERE = {"status-fleet": "status --fleet"}  #: typed in tests/cli/test_fleet_screen.py: its ledger is shared


def closed(schema: Any) -> Any:
    """Return a schema by which an object holds no other keys than those that are named."""
    if isinstance(schema, list):
        return [*map(closed, schema)]
    if not isinstance(schema, Mapping):
        return schema
    told = {name: closed(value) for name, value in schema.items()}
    is_object = schema.get("type") == "object" and "properties" in schema and "additionalProperties" not in schema
    return {**told, **({"additionalProperties": False} if is_object else {})}


def validate(name: str, text: str) -> None:
    """Raise `ValidationError` if a text is not what this schema says, with no key besides."""
    Draft202012Validator(closed(SCHEMAS[name]), format_checker=FormatChecker()).validate(json.loads(text))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Yield a workstation on which something is held, something complete, and a share table applied."""
    with Stage() as one:
        write_samples(one.home)
        (one.root / "shares").mkdir()
        for folder in (one.root / "shares", one.home):
            (folder / "table.csv").write_text(TABLE, "utf-8")
        (one.home / "users.csv").write_text(USERS, "utf-8")
        HAPPENINGS["the service runs"](one)
        for name in ("wrist_damaged.zip", "two_studies.zip", "CD_EXPORT.ZIP"):
            one.type(f"cp {name} /srv/xnat/drop/")
            one.settle()
        one.settle(lambda now: any("shared" in table["rows"] for table in now["shares"]))
        yield one


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_and_its_command_is_known(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["title"].startswith(f"xnat-watchd {(TYPED | ELSEWHERE)[name].split()[0]}")


@pytest.mark.thorough
@pytest.mark.parametrize("name", TYPED)
def test_a_command_prints_what_its_schema_says(stage: Stage, name: str) -> None:
    _, shown = stage.type(f"xnat-watchd {TYPED[name]} --json 2>/dev/null")
    validate(name, shown)
    assert json.loads(shown)


@pytest.mark.thorough
def test_a_status_is_the_same_where_no_service_runs(stage: Stage) -> None:
    stage.stop()
    validate("status", stage.type("xnat-watchd status --json")[1])


def test_a_story_for_programs_holds_lists_and_no_bookkeeping(tmp_path: Path) -> None:
    station = a_station(tmp_path)
    station.drop("both.zip", TWO_PEOPLE)
    station.drop("mri.zip", SCAN)
    station.run()
    for delivery in (1, 2):
        found = station.ledger.views.delivery(delivery)
        assert found is not None
        validate("show", json.dumps(story_for_programs({**found, "same_as": None})))
    station.ledger.close()


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_status_is_what_the_schema_says(situation: str, tmp_path: Path) -> None:
    found = SITUATIONS[situation](tmp_path)
    daemon = {**NOTHING_SAID["daemon"], **found["daemon"]}
    snapshot = {**found, "daemon": daemon}
    for one in (snapshot, without_names(snapshot, lambda _: True), without_names(snapshot, lambda _: False)):
        validate("status", json.dumps(one))


def test_a_key_more_and_a_key_less_are_seen(tmp_path: Path) -> None:
    found = SITUATIONS["one"](tmp_path)
    whole = {**found, "daemon": {**NOTHING_SAID["daemon"], **found["daemon"]}}
    for wrong in ({**whole, "more": 1}, {name: value for name, value in whole.items() if name != "age"}):
        with pytest.raises(ValidationError):
            validate("status", json.dumps(wrong))
