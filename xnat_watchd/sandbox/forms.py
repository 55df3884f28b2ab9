"""Other formats of an answer: a table as XML, CSV or an HTML page, an item as an HTML page (F54, F123)."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from . import answers
from .answers import Reply
from .request import Request

BAD = 400
TABLE_FORMS = frozenset({"csv", "html", "xml"})
PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>XNAT</title></head><body>"
    b"This page shows it to people; programs ask for format=json.</body></html>"
)


def in_form(request: Request, answer: Reply) -> Reply:
    """Return a JSON answer in the requested format; `format` wins over Accept, and an item is a page by default."""
    if answer.media != answers.JSON or isinstance(answer.body, Path) or answer.status >= BAD:
        return answer
    form = request.query.get("format")
    if answer.body.startswith(b'{"items"'):
        wants_json = form == "json" or (not form and "json" in request.headers.get("Accept", ""))
        return answer if wants_json else Reply(200, PAGE, answers.PAGE)
    if form not in TABLE_FORMS:
        return answer
    found = json.loads(answer.body)["ResultSet"]
    columns = list(found["Result"][0]) if found["Result"] else []
    if form == "csv":
        return _csv(found["Result"], columns)
    if form == "html":
        return answers.html_table(found["Result"], columns)
    rest = [(name, value) for name, value in found.items() if isinstance(value, str)]
    return answers.xml_table(found["Result"], columns, "".join(f" {name}={quoteattr(value)}" for name, value in rest))


def _csv(rows: list[Mapping[str, Any]], columns: list[str]) -> Reply:
    text = StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return Reply(200, text.getvalue().encode(), "text/csv")
