"""Long answers that are read at once share one room, which is free again when nobody knows them any more."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.adapters.gateway.gateway_kit import failure
from xnat_watchd.adapters.xnat import documents
from xnat_watchd.adapters.xnat.answers import Answer, document, table
from xnat_watchd.adapters.xnat.documents import JsonSource
from xnat_watchd.adapters.xnat.memory import MemoryBudget
from xnat_watchd.core.errors import NotYet, Transient

MIB = 1 << 20
ROW = {"ID": "XNAT_E" + "0" * 994}
LONG = json.dumps({"ResultSet": {"Result": [ROW] * 4000}}).encode()
ITEM = json.dumps({"items": [[str(n) + "x" * 1000 for n in range(4000)]]}).encode()
SHORT = json.dumps({"ResultSet": {"Result": [ROW] * 100}}).encode()


@pytest.mark.parametrize(("read", "body"), [(table, LONG), (document, ITEM)])
def test_what_finds_no_room_is_asked_again_once_another_is_read(read: object, body: bytes) -> None:
    assert callable(read)
    memory = MemoryBudget(6 * MIB)
    first = read(Answer(200, body, memory=memory))
    failure(NotYet, lambda: read(Answer(200, body, memory=memory)))
    assert len(table(Answer(200, SHORT, memory=memory))) == 100  # what is short needs none
    del first
    assert memory.free == 6 * MIB
    assert read(Answer(200, body, memory=memory))


@pytest.mark.parametrize("body", [LONG[:-1], LONG + b"{}", LONG.replace(b'"Result"', b'"R"')])
def test_what_cannot_be_read_takes_no_room(body: bytes) -> None:
    memory = MemoryBudget()
    before = memory.free
    failure(Transient, lambda: table(Answer(200, body, memory=memory)))
    assert memory.free == before


@pytest.mark.parametrize(("read", "body"), [(table, SHORT), (document, SHORT), (table, SHORT[:-1]), (document, b"{")])
def test_nothing_of_an_answer_stays_in_memory_when_it_has_been_read(
    read: object, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser, in C, takes part in no collection of cycles: what it holds in a circle stays for ever."""
    assert callable(read)
    sources = weakref.WeakSet[JsonSource]()

    def noted(pieces: Iterator[bytes]) -> JsonSource:
        sources.add(source := JsonSource(pieces))
        return source

    monkeypatch.setattr(documents, "JsonSource", noted)
    with suppress(Transient):
        read(Answer(200, body, memory=MemoryBudget()))
    gc.collect()
    assert not sources


@pytest.mark.parametrize(("read", "largest"), [(table, "LARGEST_TABLE"), (document, "LARGEST_DOCUMENT")])
def test_one_document_takes_no_more_than_its_share_of_a_large_budget(
    read: object, largest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(read)
    monkeypatch.setattr(documents, largest, MIB)
    failure(Transient, lambda: read(Answer(200, LONG, memory=MemoryBudget(1 << 40))))
    monkeypatch.undo()
    assert read(Answer(200, LONG, memory=MemoryBudget(1 << 40)))
