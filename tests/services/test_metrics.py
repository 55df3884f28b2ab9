"""Metrics: what Prometheus is told, from the status and from what the ledger has counted; never a name."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.dicom import CANARIES, instance
from tests.ledgers import connection_of
from tests.promtool import promtool
from tests.services.desk import Desk, scan
from tests.station import Notes, Station, zipped
from xnat_watchd.adapters.ledger.totals import BOUNDS
from xnat_watchd.core.concealing import CONCEALED
from xnat_watchd.daemon.metrics_export import EVERY, MetricsExport
from xnat_watchd.operator.metrics import METRICS, LedgerTotals, MetricKind, exposition
from xnat_watchd.operator.status import Snapshot, take_snapshot, without_names

FOLDER = "Quokka_Zenobia"  #: what somebody has called a folder that is no project
BAD = zipped([("Quokka 1.dcm", instance(2, 1, 1)), ("Quokka 2.dcm", instance(2, 1, 2)[:-100])])

Samples = dict[str, float]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


def snapshot_of(station: Station, **daemon: Any) -> Snapshot:
    """Return the status as everybody may see it."""
    told = {"uploads": [], **daemon}
    snapshot = take_snapshot(station.ledger, "https://x", station.time.now(), running=True, daemon=told)
    return without_names(snapshot, set(station.ledger.views.confirmed_projects()).__contains__)


def text_of(station: Station, snapshot: Snapshot | None = None) -> str:
    return exposition(snapshot or snapshot_of(station), LedgerTotals.of(station.ledger.totals)).decode()


def samples(text: str) -> Samples:
    """Return every sample: name and labels, as Prometheus would show them -> value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(one.labels.items()) if name != "le")
            bound = f",le={one.labels['le']}" if "le" in one.labels else ""
            found[f"{one.name.removeprefix('xnat_watchd_')}{{{labels}{bound}}}"] = one.value
    return found


# -- what they say -----------------------------------------------------------------------------------------


def test_every_metric_is_told_under_its_name_and_kind_even_where_nothing_ever_came(desk: Desk) -> None:
    told = {
        (family.name, family.type, family.documentation)
        for family in text_string_to_metric_families(text_of(desk.station()))
    }
    for one in METRICS:
        kind = "gauge" if one.kind is MetricKind.INFO else one.kind.value
        assert (one.exposed.removesuffix("_total") if kind == "counter" else one.exposed, kind, one.meaning) in told
    assert len(told) == len(METRICS)


def test_the_names_are_as_prometheus_has_them() -> None:
    assert len({one.name for one in METRICS}) == len(METRICS)
    for one in METRICS:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", one.name)
        assert not one.name.endswith(("_total", "_info"))
        assert ("timestamp" in one.name) == one.name.endswith("_timestamp_seconds")
        assert one.meaning.endswith(".")
        assert not {"item", "name", "patient", "file", "le", "job", "instance"} & set(one.labels)


def test_promtool_finds_nothing_to_complain_of(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", scan())
    station.run()
    assert promtool("check", "metrics", typed=text_of(station)) == ""


def test_what_has_happened_is_counted_once_and_a_restart_resets_nothing(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", scan(1, images=3))
    station.run()
    once = samples(text_of(station))
    assert once["studies_reached_total{progress=received,project=}"] == 1  # XNAT had none of P1 yet
    assert once["studies_reached_total{progress=archived,project=P1}"] == 1
    assert once["studies_reached_total{progress=complete,project=P1}"] == 1
    assert once["archived_images_total{project=P1}"] == 3
    assert once["uploaded_bytes_total{project=P1}"] == sum(len(instance(1, 1, n, time="100130")) for n in (1, 2, 3))
    assert once["delivery_events_total{event=finished,project=P1}"] == 1
    assert once["last_archived_timestamp_seconds{project=P1}"] <= station.time.now().timestamp()
    again = desk.station()
    assert samples(text_of(again)) == once | {"snapshot_timestamp_seconds{}": again.time.now().timestamp()}
    again.drop("other.zip", scan(2))
    again.drop("same.zip", scan(1, images=3))
    again.run()
    more = samples(text_of(again))
    assert more["studies_reached_total{progress=received,project=P1}"] == 2
    assert more["studies_reached_total{progress=archived,project=P1}"] == 3
    assert more["archived_images_total{project=P1}"] == 5  # of the same again nothing is sent
    assert more["delivery_events_total{event=duplicate,project=P1}"] == 1
    assert all(more[name] >= value for name, value in once.items() if "_total" in name or "_bucket" in name)


def test_what_is_held_and_skipped_is_counted_and_needs_somebody_meanwhile(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", scan(1))
    station.run()
    station.drop("bad.zip", BAD)
    station.take_in()
    station.work()
    now = samples(text_of(station))
    assert now["needs_attention{kind=studies,scope=P1}"] == 1
    assert now["needs_attention{kind=disk,scope=}"] == 0
    assert now["studies{progress=received,standing=held}"] == 1
    assert now["study_events_total{event=held,project=P1}"] == 1
    held = station.ledger.views.held()
    station.ledger.decisions.skip(next(iter(held.values())), "a test", station.time.now())
    station.work()
    later = samples(text_of(station))
    assert later["study_events_total{event=skipped,project=P1}"] == 1
    assert later["study_events_total{event=held,project=P1}"] == 1
    assert later["needs_attention{kind=studies,scope=}"] == 0


def test_no_counter_goes_back_when_xnat_takes_the_first_study_of_a_project(desk: Desk) -> None:
    station = desk.station(project="")
    station.drop("P1/1.zip", scan(1))
    station.start()
    station.take_in()
    before = samples(text_of(station))
    assert before["delivery_events_total{event=taken,project=}"] == 1
    station.work()
    after = samples(text_of(station))
    assert after["studies_reached_total{progress=archived,project=P1}"] == 1
    counted = {name: value for name, value in before.items() if "_total{" in name or "_seconds_" in name}
    assert {name: after.get(name) for name in counted} == counted  # each event once, under the name of its time


def test_how_long_it_took_from_arrival_to_archive_is_a_histogram(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", scan(1))
    station.start()
    station.take_in()
    station.time.pass_(minutes=10)
    station.work()
    told = samples(text_of(station))
    of = "arrival_to_archive_seconds"
    assert [told[f"{of}_bucket{{project=P1,le={bound:.1f}}}"] for bound in BOUNDS] == [0, 0, 1, 1, 1, 1]
    assert told[f"{of}_bucket{{project=P1,le=+Inf}}"] == told[f"{of}_count{{project=P1}}"] == 1
    assert 600 <= told[f"{of}_sum{{project=P1}}"] <= 900


def test_the_bounds_are_those_by_which_the_ledger_counts() -> None:
    for script in ("schema.sql", "upgrade-3.sql"):
        sql = files("xnat_watchd.adapters.ledger").joinpath(script).read_text("utf-8")
        assert tuple((int(one), int(other)) for one, other in re.findall(r"WHEN t <= (\d+) THEN (\d+)", sql)) == tuple(
            (bound, bound) for bound in BOUNDS
        )


def test_a_study_that_is_sent_again_counts_again_but_its_age_does_not(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", scan(1))
    station.run()
    key = next(iter(station.ledger.views.keys(1, 1).values()))
    station.ledger.decisions.resend(key, "a test", station.time.now())
    station.time.pass_(hours=48)
    station.work()
    told = samples(text_of(station))
    assert told["study_events_total{event=resent,project=P1}"] == 1
    assert told["studies_reached_total{progress=archived,project=P1}"] == 2
    assert told["arrival_to_archive_seconds_count{project=P1}"] == 1


def test_the_gates_pauses_and_the_service_itself_are_told(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", scan(1))
    station.run()
    until = "2026-01-01T00:00:00+00:00"
    shut = {"open": False, "login": False, "why": "w", "advice": "a", "until": until}
    wrong = {
        "gate": {"open": False, "login": True, "why": "refused", "advice": "Log in.", "until": until},
        "projects_shut": {"P1": shut, CONCEALED: shut},
        "paused": [{"of": "work", "since": "", "why": "", "advice": ""}],
        "daemon": {"running": False, "rate": 2_000_000, "settling": 4, "heard": until, "uploads": [{}, {}]},
        "age": 30,
        "shares": [{"name": "table 1", "why": "", "advice": "", "rows": {"shared": 3, "waiting": 2}}],
    }
    told = samples(text_of(station, {**snapshot_of(station), **wrong}))
    expected = {
        "up{}": 0, "server_gate_open{}": 0, "login_accepted{}": 0, "project_gate_open{project=P1}": 0,
        "project_gate_open{project=}": 0,
        "paused{of=work}": 1, "paused{of=retention}": 0, "upload_bytes_per_second{}": 2_000_000,
        "settling_files{}": 4, "uploads{}": 2, "share_rows{state=shared}": 3, "needs_attention{kind=login,scope=}": 1,
        "snapshot_timestamp_seconds{}": station.time.now().timestamp() - 30,
        "xnat_answered_timestamp_seconds{}": datetime.fromisoformat(until).timestamp(),
    }  # fmt: skip
    assert {name: told[name] for name in expected} == expected
    well = samples(text_of(station, {**snapshot_of(station), "gate": {**wrong["gate"], "login": False}}))  # type: ignore[dict-item]
    assert (well["login_accepted{}"], well["server_gate_open{}"], well["up{}"]) == (1, 0, 1)


# -- never a name ------------------------------------------------------------------------------------------


def test_no_name_of_a_patient_file_or_unknown_folder_is_ever_told(desk: Desk) -> None:
    station = desk.station(project="")
    for name, content in (("P1/Zenobia.zip", scan(1)), (f"{FOLDER}/Quokka.zip", BAD), ("P1/Quokka.csv", b"x"),
                          (f"{FOLDER}/growing.zip", scan(3)[:-30]), (f"{FOLDER}/other.zip", scan(4))):  # fmt: skip
        station.drop(name, content)
    station.run()
    text = text_of(station)
    assert not [name for name in (*CANARIES, FOLDER, ".zip", ".csv") if name.lower() in text.lower()]
    told = samples(text)
    assert told["delivery_events_total{event=finished,project=P1}"] == 1
    assert told["delivery_events_total{event=taken,project=}"] >= 1
    assert told["needs_attention{kind=studies,scope=}"] >= 1


# -- the file ----------------------------------------------------------------------------------------------


@dataclass
class Exported:
    """The thread that writes the file, turn by turn."""

    station: Station
    path: Path
    log: Notes = field(default_factory=Notes)
    snapshot: Snapshot | None = None

    def __post_init__(self) -> None:
        self.export = MetricsExport(
            path=self.path, ledger=self.station.ledger, published=lambda: self.snapshot, log=self.log,
            stop=threading.Event(),
        )  # fmt: skip
        self.snapshot = snapshot_of(self.station)

    def read(self) -> Samples:
        return samples(self.path.read_text("utf-8"))


@pytest.fixture
def exported(desk: Desk, tmp_path: Path) -> Exported:
    (tmp_path / "collector").mkdir()
    return Exported(desk.station(), tmp_path / "collector" / "xnat-watchd.prom")


def test_the_file_is_whole_and_for_everybody_whatever_the_mask_of_the_service(exported: Exported) -> None:
    before = os.umask(0o077)
    try:
        assert exported.export.turn() == EVERY
    finally:
        os.umask(before)
    assert exported.path.stat().st_mode & 0o777 == 0o644
    assert exported.read()["up{}"] == 1
    assert [one.name for one in exported.path.parent.iterdir()] == [exported.path.name]


def test_nothing_is_written_through_a_link_of_somebody_else(exported: Exported, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("theirs")
    (exported.path.parent / f".{exported.path.name}.part").symlink_to(other)
    exported.export.turn()
    assert other.read_text() == "theirs"
    assert not exported.path.is_symlink()


def test_a_file_that_cannot_be_written_needs_somebody_and_is_tried_again(exported: Exported) -> None:
    exported.path.parent.rmdir()
    exported.export.turn()
    exported.export.turn()
    assert exported.log.events() == ["metrics.failed"]
    assert [row["why"] for row in exported.export.problems()] == [
        "the metrics cannot be written: No such file or directory"
    ]
    exported.path.parent.mkdir()
    exported.export.turn()
    assert exported.export.problems() == []


def test_where_nothing_changes_the_ledger_is_asked_nothing_and_the_file_stays_new(exported: Exported) -> None:
    exported.export.turn()
    said: list[str] = []
    connection = connection_of(exported.station.ledger.views._db)
    connection.set_trace_callback(said.append)
    for _ in range(60):
        exported.station.time.pass_(seconds=EVERY)
        exported.snapshot = {**(exported.snapshot or {}), "at": exported.station.time.now().isoformat()}
        exported.export.turn()
    connection.set_trace_callback(None)
    assert {one.partition(" ")[0] for one in said} == {"PRAGMA"}
    assert exported.read()["snapshot_timestamp_seconds{}"] == exported.station.time.now().timestamp()
    exported.station.drop("scan.zip", scan(1))
    exported.station.run()
    exported.export.turn()
    assert exported.read()["studies_reached_total{progress=archived,project=P1}"] == 1


def test_the_last_that_is_written_says_that_the_service_has_ended(exported: Exported) -> None:
    exported.export.turn()
    exported.export.stop.set()
    ended = {**(exported.snapshot or {}), "daemon": {"running": False, "uploads": []}}
    exported.export.write_last(ended)
    assert exported.read()["up{}"] == 0


def test_a_disk_that_does_not_answer_delays_no_stop(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr("xnat_watchd.daemon.metrics_export.publish", lambda *_, **__: released.wait(60))
    exported.export.stop.set()
    begun = datetime.now(UTC)
    exported.export.write_last(exported.snapshot or {})
    assert (datetime.now(UTC) - begun).total_seconds() < 5
    released.set()
