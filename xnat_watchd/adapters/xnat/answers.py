"""Parsing of XNAT's answers. Nothing that a server sends is believed before its form is checked."""

from __future__ import annotations

import re
from codecs import iterdecode
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import Any
from urllib.parse import unquote, urlsplit

from xnat_watchd.adapters.xnat import documents
from xnat_watchd.adapters.xnat.body import PIECE, BodyRemainder
from xnat_watchd.adapters.xnat.memory import BudgetSpent, MemoryBudget
from xnat_watchd.core.errors import NotYet, Transient
from xnat_watchd.core.escapes import unescaped

LONGEST_REASON = 500  #: characters kept of a server's own words
MOST_SCANS = 20_000  #: scans accepted in one session
MOST_RESOURCES = 100  #: resources kept of one scan
_PAGE_READ = 20_000  #: bytes of an error page that are examined

# A hostile server chooses how long an answer is. No pattern may backtrack over it, hence `(?>...)`.
_IS_PAGE = re.compile(r"\s*+(?>(?:<!--.*?-->\s*+)*+)<(?:!doctype\s+html|html[\s>])", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title>(.{0,200}?)</title>", re.IGNORECASE | re.DOTALL)
_REASONS = (
    re.compile(r"(?>.*?<b>Message</b>)(.*?)</p>", re.IGNORECASE | re.DOTALL),  # Tomcat's, whose <h3> is a signature
    re.compile(r"(?>.*?<h3>)(.*?)</h3>", re.IGNORECASE | re.DOTALL),  # restlet's (F54)
)
_XSI_TYPE = "http://www.w3.org/2001/XMLSchema-instance type"
_TAG = re.compile(r"<[^<>]*>")
_CHARSET = re.compile(r"charset=\"?([\w.:-]{1,40})", re.IGNORECASE)
_CHARSETS = frozenset({"utf-8", "us-ascii", "iso-8859-1", "windows-1252"})  #: other codecs of Python run code or raise


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer of bounded length."""

    status: int
    body: bytes = b""  #: the whole body, or its beginning if there is a `rest`
    headers: Mapping[str, str] = field(default_factory=dict)  #: names in lower case
    rest: BodyRemainder | None = None  #: the part that is too long for memory
    check_stop: Callable[[], object] = bool  #: called for each piece that is read; may raise `Stopped`
    memory: MemoryBudget = field(default_factory=MemoryBudget)  #: what the parsed document may take

    @property
    def is_success(self) -> bool:
        """Whether the status means success. Newer servers also use 204 (F128)."""
        return 200 <= self.status < 300  # noqa: PLR2004

    @property
    def text(self) -> str:
        """The body as text. Raise `Transient` if it is too long for memory."""
        if self.rest is not None:
            raise _unreadable()
        return self.body.decode(self._charset, "replace")

    def pieces(self) -> Iterator[bytes]:
        """Yield the body piece by piece."""
        beginning = (self.body[start : start + PIECE] for start in range(0, len(self.body), PIECE))
        for piece in chain(beginning, self.rest.pieces() if self.rest is not None else ()):
            self.check_stop()
            yield piece

    def in_utf_8(self) -> Iterator[bytes]:
        """Return the body piece by piece, recoded in UTF-8. JSON names no charset and is UTF-8 (F54)."""
        return (piece.encode() for piece in iterdecode(self.pieces(), self._charset, "replace"))

    @property
    def is_page(self) -> bool:
        """Whether this is an HTML page for people, whatever its media type says (F281)."""
        return _IS_PAGE.match(self._beginning) is not None

    @property
    def reason(self) -> str:
        """The server's own words. They may contain patient names, so they go into the ledger only."""
        text = self._beginning
        found = next((match[1] for pattern in _REASONS if (match := pattern.match(text))), text)
        return " ".join(unescaped(_TAG.sub(" ", found)).split())[:LONGEST_REASON]

    @property
    def words(self) -> str:
        """Title and reason in lower case, for a search for known words."""
        title = _TITLE.search(self._beginning)
        return f"{title[1] if title else ''} {self.reason}".lower()

    @property
    def is_from_xnat(self) -> bool:
        """Whether this is an error page of XNAT's restlet, not one of Tomcat or of a proxy (F54, F270)."""
        return "<title>status page</title>" in self._beginning.lower()

    @property
    def _beginning(self) -> str:
        return self.body[:_PAGE_READ].decode(self._charset, "replace")

    @property
    def _charset(self) -> str:
        named = _CHARSET.search(self.headers.get("content-type", ""))
        return named[1] if named and named[1].lower() in _CHARSETS else "utf-8"


@dataclass(frozen=True, slots=True)
class Node:
    """One node of an XNAT item: its fields as text, and its children by field name (F125)."""

    fields: Mapping[str, str]
    children: Mapping[str, tuple[Node, ...]]


def table(answer: Answer, columns: Collection[str] | None = None) -> Sequence[Mapping[str, str]]:
    """Return the rows of a JSON table (F124), with these columns only if some are given.

    Cells that are neither text nor number are left out.
    """
    try:
        return documents.table(answer.in_utf_8(), columns, answer.memory)
    except documents.Unreadable as error:
        raise _unreadable() from error
    except BudgetSpent:
        raise _no_room() from None


def document(answer: Answer) -> Any:
    """Return a JSON document that is no table. The caller checks its form."""
    try:
        return documents.document(answer.in_utf_8(), answer.memory)
    except documents.Unreadable as error:
        raise _unreadable() from error
    except BudgetSpent:
        raise _no_room() from None


def item(answer: Answer) -> Node:
    """Return the first node of a JSON item (F125)."""
    items = _get(document(answer), "items")
    if not isinstance(items, list) or not items or not isinstance(items[0], dict):
        raise _unreadable()
    return _node(items[0])


def uris(answer: Answer) -> list[str]:
    """Return the URIs that an answer lists, without host and context path. Each begins with /data (F138)."""
    lines = [line.strip() for line in answer.text.splitlines() if line.strip()]
    return [_below_data(line) for line in lines]


def date_of(text: str) -> datetime | None:
    """Return the date in a header (RFC 9110 5.6.7), or None if it is no date, has no zone or is out of range."""
    try:
        said = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return said if said.tzinfo is not None else None


def version(answer: Answer) -> str:
    """Return the version that buildInfo names, or an empty string."""
    try:
        named = _get(document(answer), "version")
    except Transient:
        return ""
    return named[:LONGEST_REASON] if isinstance(named, str) else ""


def count(text: str) -> int | None:
    """Return a number of files, or None if XNAT has not counted them: the text may be empty (F259)."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


@dataclass(slots=True)
class SessionXml:
    """The content of a prearchive session's XML: its StudyInstanceUID, subject and scans (F71)."""

    study_uid: str = ""
    modality: str = ""
    subject: str = ""  #: as the list of rows shows it
    scans: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)  #: as in `xnat:mrScanData`
    labels: dict[str, list[str]] = field(default_factory=dict)  #: of its resources


def session_xml(answer: Answer) -> SessionXml:
    """Parse a session's XML, which is UTF-8 (F71)."""
    found, path, scan = SessionXml(), list[str](), ""

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal scan
        path.append(name.rpartition(" ")[2])
        if len(path) > documents.DEEPEST or len(found.scans) > MOST_SCANS:
            raise _unreadable()
        if len(path) == 1:
            found.study_uid, found.modality = attributes.get("UID", ""), attributes.get("modality", "")
        elif path[1:] == ["scans", "scan"]:
            scan = attributes.get("ID", "")
            found.scans[scan] = attributes.get("UID", "")
            found.types[scan] = attributes.get(_XSI_TYPE, "")
        elif (
            path[1:] == ["scans", "scan", "file"] and len(labels := found.labels.setdefault(scan, [])) < MOST_RESOURCES
        ):
            labels.append(attributes.get("label", ""))

    def text(part: str) -> None:
        if path[1:] == ["subject_ID"]:
            found.subject = (found.subject + part)[:LONGEST_REASON]

    try:
        documents.xml(answer.pieces(), begin, path.pop, text)
    except documents.Unreadable as error:
        raise _unreadable() from error
    return found


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _texts(values: Mapping[Any, Any]) -> Mapping[str, str]:
    """Return the texts and numbers among these values, as text. XNAT writes NULL as the empty string (F124).

    JSON can contain half a surrogate pair, which no encoding can write. It becomes a question mark.
    """
    return {
        str(name): str(value).encode("utf-8", "replace").decode()
        for name, value in values.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }


def _node(value: Mapping[str, Any]) -> Node:
    fields, children = value.get("data_fields"), value.get("children")
    return Node(
        _texts(fields) if isinstance(fields, dict) else {},
        {
            child["field"]: tuple(_node(one) for one in _listed(child.get("items")))
            for child in _listed(children)
            if isinstance(child.get("field"), str)
        },
    )


def _listed(value: Any) -> Sequence[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _below_data(uri: str) -> str:
    """Return a URI without host and context path, below /data, which some importers omit (F138)."""
    try:
        path = unquote(urlsplit(uri).path) if "://" in uri[:10] else uri
    except ValueError as error:  # brackets instead of a host
        raise _unreadable() from error
    for root in ("/data/prearchive/", "/data/archive/", "/prearchive/", "/archive/"):
        _, found, rest = path.partition(root)
        if found:
            return f"/data/{root.strip('/').removeprefix('data/')}/{rest}"
    return path


def _no_room() -> NotYet:
    advice = "Nothing to do: the program asks again by itself."
    return NotYet("other long answers of XNAT use all the memory for answers", advice=advice)


def _unreadable() -> Transient:
    return Transient("XNAT answered in a form that cannot be read")
