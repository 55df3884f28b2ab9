"""The formats of XNAT's answers: JSON tables and items, text, URIs, and HTML error pages (F54, F123 to F125)."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

JSON = "application/json"
TEXT = "text/plain;charset=ISO-8859-1"
PAGE = "text/html;charset=ISO-8859-1"
URIS = "text/uri-list;charset=ISO-8859-1"

RESTLET_WORDS = {
    400: "The request could not be understood by the server due to malformed syntax",
    401: "The request requires user authentication",
    403: "The server understood the request, but is refusing to fulfill it",
    404: "The server has not found anything matching the request URI",
    405: "The method specified in the request is not allowed for the resource identified by the request URI",
    500: "The server encountered an unexpected condition which prevented it from fulfilling the request",
}
TOMCAT_WORDS = {
    401: "The request has not been applied because it lacks valid authentication credentials for the target resource.",
    403: "The server understood the request but refuses to authorize it.",
    404: "The origin server did not find a current representation for the target resource or is not willing to "
    "disclose that one exists.",
}
EVENT = 1
WEBDAV = frozenset({422, 423, 424, 507})


@dataclass(frozen=True)
class Reply:
    """An answer: its status, its body in memory or as a file on disk, its media type, and further headers."""

    status: int = 200
    body: bytes | Path = b""
    media: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    passes: bool = False
    """Whether the file on disk was made for this answer only and is deleted with it."""

    @property
    def size(self) -> int:
        """The length of the body in bytes."""
        return self.body.stat().st_size if isinstance(self.body, Path) else len(self.body)


class Refused(Exception):
    """The request is refused with an error page: its status and the text of its `<h3>`."""

    def __init__(self, status: int, words: str = "") -> None:
        super().__init__(status, words)
        self.status = status
        self.words = words or RESTLET_WORDS.get(status, HTTPStatus(status).phrase)

    @property
    def answer(self) -> Reply:
        """The refusal as an error page."""
        return status_page(self.status, self.words)


def status_page(status: int, words: str) -> Reply:
    """Return Restlet's error page, with the reason in `<h3>` (F54)."""
    place = f"http://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html#sec10.{status // 100}.{status % 100 + 1}"
    if status in WEBDAV:
        place = f"http://www.webdav.org/specs/rfc2518.html#STATUS_{status}"
    page = (
        f"<html>\n<head>\n   <title>Status page</title>\n</head>\n<body>\n<h3>{words}</h3>"
        f'<p>You can get technical details <a href="{place}">here</a>.<br>\n'
        'Please continue your visit at our <a href="/">home page</a>.\n</p>\n</body>\n</html>\n'
    )
    return Reply(status, page.encode("iso-8859-1", "replace"), PAGE)


def tomcat_page(status: int, words: str = "") -> Reply:
    """Return Tomcat's error page: for bad passwords and for paths outside /data (F2, F8)."""
    title = f"HTTP Status {status} \u2013 {HTTPStatus(status).phrase}"
    message = f"<p><b>Message</b> {html.escape(words)}</p>" if words else ""
    page = (
        f'<!doctype html><html lang="en"><head><title>{title}</title></head><body><h1>{title}</h1>'
        f'<hr class="line" /><p><b>Type</b> Status Report</p>{message}'
        f"<p><b>Description</b> {TOMCAT_WORDS.get(status, '')}</p>"
        '<hr class="line" /><h3>Apache Tomcat/9.0.70 (Debian)</h3></body></html>'
    )
    return Reply(status, page.encode(), "text/html;charset=utf-8")


def text(words: str, status: int = 200) -> Reply:
    """Return plain text; a character outside Latin-1 becomes a question mark (F54)."""
    return Reply(status, words.encode("iso-8859-1", "replace"), TEXT)


def uris(lines: Iterable[str], status: int = 200) -> Reply:
    """Return a list of URIs, CRLF after each; a character outside Latin-1 becomes a question mark (F10, F74)."""
    return Reply(status, "".join(f"{line}\r\n" for line in lines).encode("iso-8859-1", "replace"), URIS)


def cell(value: object) -> str:
    """Return the text of a table cell: NULL is empty, a Boolean is in lower case (F124)."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def table(rows: Iterable[Mapping[str, object]], **extras: object) -> Reply:
    """Return a JSON table with `extras`, such as `totalRecords` and `title`, beside `Result` (F124)."""
    cells = [{key: cell(value) for key, value in row.items()} for row in rows]
    columns = extras.pop("columns", None)
    head = f'"Columns":{_compact(columns)},' if columns else ""
    tail = ",".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in extras.items())
    body = f'{{"ResultSet":{{{head}"Result":{_compact(cells)}{", " + tail if tail else ""}}}}}'
    return Reply(200, body.encode(), JSON)


def counted(rows: Sequence[Mapping[str, object]], **extras: object) -> Reply:
    """Return a JSON table with the number of its rows."""
    return table(rows, totalRecords=str(len(rows)), **extras)


def xml_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str], about: str = "") -> Reply:
    """Return a table as XML, the default format of the services that act on the prearchive (F123).

    `about` holds the attributes of the outermost element, already escaped.
    """
    head = "".join(f"<column>{escape(name)}</column>" for name in columns)
    lines = "".join(
        "<row>" + "".join(f"<cell>{escape(cell(row.get(name)))}</cell>" for name in columns) + "</row>\n"
        for row in rows
    )
    body = f"<ResultSet{about}><results><columns>{head}</columns>\n<rows>{lines}</rows></results></ResultSet>"
    return Reply(200, body.encode(), "text/xml")


def xml_or_json(rows: Sequence[Mapping[str, object]], columns: Sequence[str], form: str) -> Reply:
    """Return a table as the services that act on the prearchive do: as XML unless JSON is asked for (F183)."""
    return table(rows) if form == "json" else xml_table(rows, columns)


def xml(document: str) -> Reply:
    """Return an XML document."""
    return Reply(200, document.encode(), "text/xml")


def html_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> Reply:
    """Return a table as an HTML page, which begins with `<html` although it is a success (F46)."""
    head = "".join(f"<th>{name}</th>" for name in columns)
    lines = "".join(
        f'<tr class="x_rs_tr_data {"even" if number % 2 else "odd"}">\n'
        + "".join(f"<td>{cell(row.get(name))}</td>" for name in columns)
        + "</tr>"
        for number, row in enumerate(rows)
    )
    body = (
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en"><body>'
        '<table class="x_rs_t" cellpadding="0" cellspacing="0">\n<thead class="x_rs_thead">\n'
        f'<tr class="x_rs_tr_head">{head}</tr>\n</thead>\n<tbody id="dataRows">\n{lines}</tbody>\n'
        "</table></body></html>"
    )
    return Reply(200, body.encode("iso-8859-1", "replace"), "text/html")


def item(
    kind: str, fields: Mapping[str, Any], children: Mapping[str, Sequence[Any]], since: datetime
) -> dict[str, Any]:
    """Return one node of XNAT's item format; children without members are left out (F125)."""
    born = f"{since:%a %b %d %H:%M:%S} {since.tzname()} {since:%Y}"
    return {
        "children": [{"field": name, "items": list(nodes)} for name, nodes in children.items() if nodes],
        "meta": {"create_event_id": EVENT, "xsi:type": kind, "isHistory": False, "start_date": born},
        "data_fields": dict(fields),
    }


def items(node: Mapping[str, Any]) -> Reply:
    """Return one node as an answer in XNAT's item format."""
    return Reply(200, _compact({"items": [node]}).encode(), JSON)


def as_json(value: object) -> Reply:
    """Return plain JSON, as the services outside the archive do."""
    return Reply(200, _compact(value).encode(), JSON)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
