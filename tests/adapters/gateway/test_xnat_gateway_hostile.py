"""A server that means harm: whatever it answers, we end in one of our own errors, soon, and with bounded memory."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from datetime import UTC, datetime

import pytest

from tests.adapters.gateway.gateway_kit import PLACE, failure
from tests.adapters.gateway.scripted_xnat import Asked, ScriptedXnat
from xnat_watchd.adapters.xnat.answer_meanings import Purpose, error_for, retry_after
from xnat_watchd.adapters.xnat.answers import Answer, date_of, session_xml, uris
from xnat_watchd.adapters.xnat.gateway import XnatGateway
from xnat_watchd.adapters.xnat.records import header_values
from xnat_watchd.adapters.xnat.transport import LARGEST_ANSWER
from xnat_watchd.core.errors import Transient, Unavailable

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SOON = 1.0  #: seconds of the processor that reading one answer may take; it takes a hundredth
DATES = (
    "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 99999999999999999999 Jan 2024 00:00:00 GMT",
)
STRANGE = ("undefined", "idna", "punycode", "unicode_escape", "hex", "utf-7", "no-such-charset")


@pytest.mark.parametrize(
    "text",
    [
        "<!---->" * 27 + "x",
        "<!--" * 5000,
        "<h3>" * 5000,
        "<b>Message</b>" * 1400,
        "<title>" * 2800,
        "<" * 20_000,
        " " * 20_000,
    ],
)
def test_no_page_keeps_us_busy(text: str) -> None:
    answer = Answer(500, text.encode())
    begun = time.thread_time()
    error_for(answer, Purpose.IMPORT, "P1", NOW)
    assert not answer.is_page
    assert time.thread_time() - begun < SOON


def test_a_page_behind_comments_is_a_page() -> None:
    assert Answer(200, b"\n<!-- one --> <!-- <html> -->\n<html><body>log in</body></html>").is_page


@pytest.mark.parametrize("charset", STRANGE)
def test_a_charset_that_would_run_something_or_raise_is_read_as_utf_8(charset: str) -> None:
    body = "<h3>\\q zu groß</h3>".encode()
    assert Answer(500, body, {"content-type": f"text/html; charset={charset}"}).reason == "\\q zu groß"


def test_a_charset_that_servers_use_is_honoured() -> None:
    body = "<h3>zu groß</h3>".encode("latin-1")
    assert Answer(500, body, {"content-type": "text/html;charset=ISO-8859-1"}).reason == "zu groß"


def test_a_character_with_an_endless_number_stays_as_it_is() -> None:
    endless = f"&#{'9' * 5000};"
    assert Answer(500, f"<h3>a &amp; b {endless}</h3>".encode()).reason.startswith("a & b &#999")
    rows = [{"tag1": "(0020,000D)", "value": "1.2"}, {"tag1": "(0010,1010)", "value": endless}]
    assert header_values(rows, "1.2") == {"PatientAge": endless}


@pytest.mark.parametrize("encoding", STRANGE)
def test_a_session_xml_chooses_no_codec_of_ours(encoding: str) -> None:
    xml = f'<?xml version="1.0" encoding="{encoding}"?><s UID="1.2"><scans/></s>'
    assert session_xml(Answer(200, xml.encode())).study_uid == "1.2"


def test_an_xml_that_would_grow_is_refused() -> None:
    bomb = b'<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><s UID="&b;"/>'
    with pytest.raises(Transient):
        session_xml(Answer(200, bomb))


@pytest.mark.parametrize("uri", ["http://[/data/prearchive/x", "http://a\u2100b/data/prearchive/x"])
def test_an_address_that_is_none_is_no_answer(uri: str) -> None:
    with pytest.raises(Transient):
        uris(Answer(200, uri.encode()))


@pytest.mark.parametrize("date", DATES)
def test_a_date_beyond_all_calendars_is_no_date(date: str) -> None:
    assert retry_after(date, NOW) is None
    assert date_of(date) is None


def test_a_probe_that_meets_a_hostile_page_says_that_xnat_is_not_to_be_had(
    scripted: ScriptedXnat, gateway: XnatGateway
) -> None:
    page = f"<h3>&#{'9' * 5000};</h3>"

    def reply(asked: Asked) -> None:
        asked.body()
        asked.answer(503, page, Retry_After=DATES[0])

    for method in ("GET", "POST", "PUT"):
        scripted.on(method, ".", reply)
    failure(Unavailable, gateway.probe)


def test_an_answer_that_unpacks_to_far_more_than_it_is_does_not_fill_the_memory(
    scripted: ScriptedXnat, gateway: XnatGateway
) -> None:
    bomb = gzip.compress(gzip.compress(bytes(400 << 20), compresslevel=1))

    def reply(asked: Asked) -> None:
        asked.answer(200, bomb, Content_Encoding="gzip, gzip")

    scripted.on("GET", "/data/prearchive", reply)
    tracemalloc.start()
    try:
        failure(Transient, lambda: gateway.look(PLACE))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 4 * LARGEST_ANSWER
