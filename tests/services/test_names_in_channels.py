"""Every kind of ZIP and every invented person goes through every channel, and no name comes out of any."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.channels import Other, hook, listening, mail_server
from tests.dicom import CANARIES as OF_TESTS
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.soak.traffic import Traffic
from tests.station import Notes, Station, Time
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.sharing.row_state import RowState
from xnat_watchd.core.sharing.state import RowResult
from xnat_watchd.core.sharing.table import ShareRow
from xnat_watchd.daemon.alerting import Alerting
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.operator.alert_channels import channels
from xnat_watchd.operator.metrics import LedgerTotals, exposition
from xnat_watchd.operator.status import Snapshot, take_snapshot, without_names
from xnat_watchd.sandbox.samples import CANARIES as OF_PRACTICE
from xnat_watchd.sandbox.samples import PATIENTS, study, write_zip
from xnat_watchd.settings import load_alerts

ZIPS = 150  #: among which every kind comes; two of each kind are dropped
KINDS = 12
FOLDER = "Quokka_Zenobia"  #: the name of a folder that somebody made, and a patient's
PLACES = {1: "P1", 2: FOLDER}  #: where the first two of a kind are dropped
SAID = "Zenobia Quokka's mother has called, ZQ-7731"  #: the reason that a person has typed
CANARIES = (*OF_TESTS, *OF_PRACTICE, "mother", ".zip", ".csv")

CONFIG = """\
[xnat]
server = "http://127.0.0.1:9"
[folders]
root = "{root}"
[alerts]
mail_to = ["radiology@example.org"]
mail_server = "127.0.0.1:{mail}"
webhook = "http://127.0.0.1:{web}/token"
apprise = ["{apprise}"]
ping = "http://127.0.0.1:{ping}/token"
digest = "00:00"
"""


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    """Yield a workstation where everything has come that can come, and people have decided about some of it."""
    time = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(time, projects=["P1"]), time), time, project="")
    station.start()
    traffic, kinds = Traffic(2), Counter[str]()
    for drop in (traffic.next() for _ in range(ZIPS)):
        kinds[drop.kind] += 1
        if kinds[drop.kind] in PLACES:
            folder = PLACES[kinds[drop.kind]]
            station.drop(f"{folder}/Quokka Zenobia {drop.name} ZQ-7731.zip", drop.data)
    assert len(kinds) == KINDS
    for number, patient in enumerate(PATIENTS):
        name = patient.name.replace("^", " ").replace("=", " ")
        write_zip(station.folders.drop / "P1" / f"{name}.zip", study(number + 1, patient=patient))
        (station.folders.drop / f"{name}.txt").write_text(name)
    station.drop("P1/Quokka growing.zip", b"PK\x03\x04")
    station.take_in()
    station.work(hours=1)
    _decide(station)
    yield station
    station.close()


def _decide(station: Station) -> None:
    ledger, now = station.ledger, station.time.now()
    held = [*ledger.views.held().values()]
    assert len(held) >= len(PATIENTS)
    ledger.decisions.skip(held[0], SAID, now)
    rejected = next(row for row in ledger.views.attention() if "." not in row["item"])
    ledger.decisions.settle(int(rejected["item"]), SAID, now)
    done = ledger.views.keys(1, None) | ledger.views.keys(2, None)
    ledger.decisions.resend(next(iter(done.values())), SAID, now)
    ledger.pauses.begin(Activity.RETENTION, "the clock was set", "Type `xnat-watchd resume`.", now, detail=SAID)
    row = ShareRow(line=2, subject="Quokka_Zenobia", source="P1", destination=FOLDER)
    for state in (RowState.FAILED, RowState.WAITING):
        ledger.shares.keep(f"Quokka {state}.csv", [RowResult(row=row, state=state)], now)


def snapshot_of(station: Station) -> Snapshot:
    at = station.time.now()
    full = take_snapshot(station.ledger, "https://x", at, running=True, daemon={"uploads": [], "settling": 2})
    return without_names(full, set(station.ledger.views.confirmed_projects()).__contains__)


def read(mail: bytes) -> str:
    """Return a mail as a person reads it, whatever it was wrapped in."""
    parsed = email.message_from_bytes(mail.removesuffix(b".\r\n"), policy=email.policy.default)
    return "\n".join([*map(str, parsed.values()), str(parsed.get_content())])


def posted(request: bytes) -> str:
    """Return what was posted, as it stands there and as its JSON means it."""
    head, _, body = request.partition(b"\r\n\r\n")
    return "\n".join([head.decode(), body.decode(), json.dumps(json.loads(body or b"{}"), ensure_ascii=False)])


def test_no_channel_carries_a_name(station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [Other("takes it") for _ in range(4)]
    with (
        listening(others[0], mail_server) as mail, listening(others[1], hook) as web,
        listening(others[2], hook) as chat, listening(others[3], hook) as ping,
    ):  # fmt: skip
        addresses = tmp_path / "chat.url"
        addresses.write_text(f"json://127.0.0.1:{chat.port}/token")
        addresses.chmod(0o600)
        config = tmp_path / "config.toml"
        config.write_text(CONFIG.format(root=tmp_path, mail=mail.port, web=web.port, ping=ping.port, apprise=addresses))
        written = _alerts(station, config, monkeypatch)
    told = {
        "mail": "\n".join([*map(read, mail.mails), *(one.decode() for one in mail.got)]),
        "webhook": "\n".join(map(posted, web.got)),
        "apprise": "\n".join(map(posted, chat.got)),
        "ping": "\n".join(map(posted, ping.got)),
        "metrics": exposition(snapshot_of(station), LedgerTotals.of(station.ledger.totals)).decode(),
        "log": "\n".join(f"{event} {facts}" for event, facts in written.lines),
    }
    assert len(mail.mails) == len(web.got) == len(chat.got) >= 4
    assert len(ping.got) >= 1
    assert "\nPaused; nothing else needs attention." in told["mail"]  # the digest of a day on which nothing is wrong
    for channel in ("mail", "webhook", "apprise"):
        for said in ("studies or ZIPs need somebody in P1", "a folder that is no known project", "share tables need",
                     "only a person can start it", "XNAT does not answer as it should", "over: "):  # fmt: skip
            assert said in told[channel], (channel, said)
    found = {name: [one for one in CANARIES if one.lower() in text.lower()] for name, text in told.items()}
    assert {name: canaries for name, canaries in found.items() if canaries} == {}
    assert "token" not in told["mail"] + told["log"] + told["metrics"]


def _alerts(station: Station, config: Path, monkeypatch: pytest.MonkeyPatch) -> Notes:
    """Let the service tell of everything, of the end of it, of each day, and that it has stopped; return its log."""
    log, snapshots = Notes(), [snapshot_of(station)]
    settings = load_alerts(config, {})
    alerting = Alerting(
        ledger=station.ledger, settings=lambda: settings, channels=lambda chosen: channels(chosen, {}, "mr1"),
        published=lambda: {**snapshots[-1], "at": station.time.now().isoformat()}, is_well=lambda: True,
        clock=station.time, log=log, station="mr1", stop=threading.Event(),
    )  # fmt: skip

    def turns(minutes: int) -> None:
        for _ in range(minutes // 5):
            station.time.pass_(minutes=5)
            alerting.turn()

    turns(60)
    until = station.time.now().isoformat()
    gate = {"open": False, "login": False, "why": "XNAT answers 500", "advice": "Wait.", "until": until}
    snapshots.append({**snapshots[0], "gate": gate})
    turns(90)
    snapshots.append({**snapshots[0], "attention": [], "shares": [], "ignored": []})
    turns(60)
    turns(24 * 60)
    assert alerting.problems() == []
    monkeypatch.setenv("MONITOR_EXIT_STATUS", "78")
    said = CliRunner().invoke(commands, ["--config", str(config), "alert", "--failed"])
    log.info("said", output=said.output)
    assert said.exit_code == 0
    return log
