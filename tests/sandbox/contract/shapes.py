"""The shapes that an answer's body may have, each as a check that says what it wants."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Collection
from io import BytesIO
from typing import Any
from xml.etree import ElementTree as ET

import requests

from tests.sandbox.contract.places import filled
from tests.sandbox.kit import child, reason

Shape = Callable[[requests.Response], None]


def nothing(answer: requests.Response) -> None:
    """Want no body at all."""
    assert answer.content == b"", answer.text


def anything(answer: requests.Response) -> None:
    """Want nothing in particular."""
    assert answer is not None


def text(pattern: str, media: str = "text/plain") -> Shape:
    """Want text that is all this pattern."""

    def check(answer: requests.Response) -> None:
        assert answer.headers["Content-Type"].split(";")[0] == media
        assert re.fullmatch(filled(pattern), answer.text, re.DOTALL), answer.text

    return check


def uris(*patterns: str) -> Shape:
    """Want a list of URIs, each ended by CRLF, in any order."""

    def check(answer: requests.Response) -> None:
        assert answer.headers["Content-Type"].split(";")[0] == "text/uri-list"
        lines = sorted(answer.text.splitlines(keepends=True))
        assert len(lines) == len(patterns), lines
        for pattern, line in zip(sorted(patterns), lines, strict=True):
            assert re.fullmatch(filled(pattern) + "\r\n", line), line

    return check


def page(pattern: str = ".*") -> Shape:
    """Want an error page whose `<h3>` holds this pattern (F54)."""

    def check(answer: requests.Response) -> None:
        assert answer.headers["Content-Type"].startswith("text/html")
        assert re.search(filled(pattern), reason(answer)), reason(answer)

    return check


def table(columns: str = "", rows: int | None = None, holds: str = "") -> Shape:
    """Want a JSON table: these columns, in any order, so many rows, and perhaps a pattern somewhere in it."""

    def check(answer: requests.Response) -> None:
        assert answer.headers["Content-Type"] == "application/json"
        found: list[dict[str, Any]] = answer.json()["ResultSet"]["Result"]
        assert rows is None or len(found) == rows, found
        assert all(isinstance(cell, str) for row in found for cell in row.values())
        assert not columns or all(row.keys() == set(columns.split()) for row in found), found
        assert re.search(filled(holds), answer.text, re.DOTALL), answer.text

    return check


def item(kind: str, *fields: str, of: str = "") -> Shape:
    """Want the item form of a thing of this kind, with fields `name=value` of itself or of its children under `of`."""

    def check(answer: requests.Response) -> None:
        (found,) = answer.json()["items"]
        assert found["meta"]["xsi:type"] == kind
        nodes = child(found, of) if of else [found["data_fields"]]
        for field in fields:
            name, _, value = field.partition("=")
            assert [str(node[name]) for node in nodes if name in node] == [value], nodes

    return check


def json(keys: str, holds: str = "") -> Shape:
    """Want a JSON object with just these keys."""

    def check(answer: requests.Response) -> None:
        found = answer.json()
        found = found[0] if isinstance(found, list) else found
        assert found.keys() == set(keys.split()), found
        assert re.search(filled(holds), answer.text), answer.text

    return check


def xml(root: str, holds: str = "") -> Shape:
    """Want XML with this outermost element."""

    def check(answer: requests.Response) -> None:
        assert answer.headers["Content-Type"].startswith("text/xml")
        assert ET.fromstring(answer.text).tag.rsplit("}", 1)[-1] == root  # noqa: S314 - our own sandbox
        assert re.search(filled(holds), answer.text, re.DOTALL), answer.text

    return check


def archive(names: Collection[str]) -> Shape:
    """Want a ZIP with members that end in these names."""

    def check(answer: requests.Response) -> None:
        found = {name.rsplit("/", 1)[-1] for name in zipfile.ZipFile(BytesIO(answer.content)).namelist()}
        assert found == set(names)

    return check


def html(pattern: str) -> Shape:
    """Want a page that is no error: a table, a screen."""

    def check(answer: requests.Response) -> None:
        assert answer.headers["Content-Type"].startswith("text/html")
        assert re.search(pattern, answer.text, re.DOTALL), answer.text

    return check
