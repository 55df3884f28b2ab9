"""The practice XNAT beside a real 1.6.5 and a real 1.6.4: the recorded exchanges, asked again in order.

Compared are the status, the media type, three headers, and the body: JSON with the keys and values of every level, XML
with every element and attribute, text as it stands, of an error page its `<h3>`. Ids, times, tokens, sizes, addresses
and people's names are masked on both sides; tables are compared without regard to the order of their rows. Of binary
bodies only the media type counts.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.kit import Clock
from tests.sandbox.recorded import between, real_1_6_4
from tests.sandbox.recorded.masks import comparable, differences
from tests.sandbox.recorded.replay import BINARY, RECORDING, Replay, exchanges
from xnat_watchd.sandbox import Options, Sandbox

CAPTURES = [
    Path(__file__).resolve().parents[3] / "shared" / "xnat" / f"captures-{version}" for version in ("1.6.5", "1.6.4")
]
ALIKE, DIFFERENT, LEFT_OUT = "alike", "different because", "left out because"
VERDICTS: tuple[tuple[int, int, str, str], ...] = (
    (1, 3, LEFT_OUT, "they are screens for people"),
    (4, 34, ALIKE, ""),
    (35, 35, DIFFERENT, "of the sixty-one site settings the practice XNAT tells four"),
    (36, 46, ALIKE, ""),
    (47, 47, LEFT_OUT, "it is a screen for people"),
    (48, 54, ALIKE, ""),
    (55, 61, LEFT_OUT, "they make projects, and those of the practice XNAT are made by whoever starts it"),
    (62, 182, ALIKE, ""),
    (183, 184, LEFT_OUT, "the recording cut their bodies at 20 000 characters"),
    (185, 272, ALIKE, ""),
    (273, 273, LEFT_OUT, "there is no such number; 274 stands for two"),
    (274, 305, ALIKE, ""),
    (306, 307, LEFT_OUT, "the recording cut their bodies at 20 000 characters"),
    (308, 437, ALIKE, ""),
    (438, 438, LEFT_OUT, "the recording cut its body at 20 000 characters"),
    (439, 502, ALIKE, ""),
    (503, 503, DIFFERENT, "the practice XNAT has no parameters of MR scans, of which this one's size was recorded"),
    (504, 528, ALIKE, ""),
)
TABLE = {number: verdict for first, last, verdict, _ in VERDICTS for number in range(first, last + 1)}
OPTIONS = Options(
    pipelines_take=timedelta(seconds=between.PIPELINES_TAKE), queue_takes=timedelta(seconds=between.QUEUE_TAKES)
)


def _replayed(folder: Path) -> dict[int, list[str]]:
    """Ask everything again and give, by number, in what the answers differ from the recorded ones."""
    found: dict[int, list[str]] = {}
    clock = Clock()
    given: dict[tuple[str, str], str] = {}
    servers = (
        (range(between.RESTART), between.first_server),
        (range(between.RESTART, between.OTHER_VERSION), between.second_server),
        (range(between.OTHER_VERSION, between.END), between.third_server),
    )
    for number, (numbers, set_up) in enumerate(servers):
        options = replace(OPTIONS, version="1.6.4" if set_up is between.third_server else "")
        with Sandbox(folder / str(number), "1.6", clock=clock, options=options) as xnat:
            set_up(xnat)
            replay = Replay(xnat, given)
            for exchange in exchanges(numbers):
                if happening := between.BEFORE.get(exchange["n"]):
                    happening(xnat)
                clock.move(seconds=0 if exchange["n"] in between.STANDS_STILL else between.STEP)
                found.setdefault(exchange["n"], []).extend(replay.differences(exchange))
    return found


def test_every_exchange_is_as_its_verdict_says(tmp_path: Path) -> None:
    found = _replayed(tmp_path)
    wrong = {number: words for number, words in found.items() if (TABLE[number] == ALIKE) != (words == [])}
    assert wrong == {}
    assert found.keys() == {number for number, verdict in TABLE.items() if verdict != LEFT_OUT}


def test_the_table_has_every_number_once() -> None:
    assert [number for first, last, _, _ in VERDICTS for number in range(first, last + 1)] == list(
        range(1, between.END)
    )
    assert all(bool(reason) == (verdict != ALIKE) for _, _, verdict, reason in VERDICTS)


def test_ninety_five_of_a_hundred_are_alike() -> None:
    verdicts = list(TABLE.values())
    alike, different = verdicts.count(ALIKE), verdicts.count(DIFFERENT)
    assert (alike, different, verdicts.count(LEFT_OUT)) == (509, 2, 17)
    assert alike / (alike + different) >= 0.95


@pytest.mark.shared
@pytest.mark.skipif(not all(map(Path.is_dir, CAPTURES)), reason="the captures are not beside this repository")
def test_the_recording_is_what_the_real_server_answered() -> None:
    paths = (path for folder in CAPTURES for path in folder.glob("[0-9]*.json"))
    captured = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    answered = {(one["n"], one["name"]): _as_recorded(one) for one in captured if TABLE.get(one["n"]) != LEFT_OUT}
    recorded = {
        (one["n"], one["name"]): (one["method"], one["status"], one["media"], one["answer"])
        for one in exchanges(range(between.END))
    }
    assert recorded == answered


def _as_recorded(capture: dict[str, Any]) -> tuple[str, int, str, dict[str, Any]]:
    if capture["n"] >= between.OTHER_VERSION:
        return real_1_6_4.as_recorded(capture)
    method, answer = capture["request"]["method"], capture["response"]
    media = answer["headers"].get("Content-Type", "").split(";")[0]
    body = {} if media in BINARY or method == "HEAD" else comparable(media, answer["body"] or "")
    return method, answer["status"], media, body


@pytest.mark.parametrize(
    ("media", "recorded", "answered"),
    [
        ("application/json", '{"items":[{"data_fields":{"dob":"1980-01-02"}}]}', '{"items":[{"data_fields":{}}]}'),
        ("application/json", '{"file_count":"3"}', '{"file_count":3}'),
        ("application/json", '{"scan_date":"2014-01-02 00:00:00.0"}', '{"scan_date":"2014-01-03 00:00:00.0"}'),
        ("text/xml", '<a ID="1"><b>3</b></a>', '<a ID="1"><b>2</b></a>'),
        ("text/uri-list", "/data/prearchive/projects/P1/20261122_095410219/SUBJ1\r\n", "/data/prearchive\r\n"),
        ("text/uri-list", "/data/x\r\n", "/data/x"),
        ("text/html", "<h3>Login attempt failed.</h3>", "<h3>The request requires user authentication</h3>"),
    ],
)
def test_the_comparison_sees(media: str, recorded: str, answered: str) -> None:
    assert differences(comparable(media, recorded), comparable(media, answered))
    assert not differences(comparable(media, recorded), comparable(media, recorded))


def test_ids_times_and_tokens_do_not_count() -> None:
    one = '{"ID":"XNAT_S00004","insert_date":"2026-11-22 09:54:10.219","url":"/x/20261122_095410219/S","Size":"39326"}'
    other = '{"ID":"XNAT_S00031","insert_date":"2026-11-24 04:00:00.1","url":"/x/20261124_040000001/S","Size":"1096"}'
    assert comparable("application/json", one) == comparable("application/json", other)


def test_the_recording_is_small_and_names_no_host_password_or_token() -> None:
    text = RECORDING.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert not re.search(r"\d+\.\d+\.\d+\.\d+:\d+|localhost|\w@\w|password=(?!wrong|<)|\b[0-9A-F]{32}\b", text)
