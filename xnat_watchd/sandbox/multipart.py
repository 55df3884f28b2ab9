"""Multipart uploads: the one file is written to disk before it is imported, as XNAT does it (F9, F131)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from .answers import Refused
from .request import Body, Parameters, Request

PIECE = 1024 * 1024
LONGEST_LINE = 8192
LARGEST_FIELD = 64 * 1024
DISPOSITION = re.compile(rb'name="(?P<name>[^"]*)"(?:.*?filename="(?P<file>[^"]*)")?', re.DOTALL)
MORE_THAN_ONE = "Importer is limited to one uploaded resource at a time."


def unwrap(request: Request, spool: Path) -> str:
    """Write the one file of a multipart body to `spool`, add its fields to the query, and return the file's name.

    Refuse with 400 a body without a boundary, without a file, or with several files.
    """
    boundary = re.search(r'boundary="?([^";]+)"?', request.headers.get("Content-Type", ""))
    if boundary is None:
        raise Refused(400)
    mark = b"--" + boundary[1].encode("latin-1")
    fields: list[tuple[str, str]] = []
    names: list[str] = []
    reader = _PartReader(request.body)
    reader.copy_up_to(mark, None)
    while not reader.is_at_end():
        name, filename = reader.read_head()
        if filename is None:
            fields.append((name, reader.read_field(mark)))
            continue
        names.append(filename)
        with spool.open("wb") as target:
            reader.copy_up_to(b"\r\n" + mark, target)
    if len(names) != 1:
        raise Refused(400, MORE_THAN_ONE)
    request.query += Parameters(fields)
    return names[0]


class _PartReader:
    """Reads the parts of a multipart body; `mark` is the boundary between them."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._kept = b""

    def copy_up_to(self, mark: bytes, target: BinaryIO | None) -> None:
        """Copy everything before a mark to `target`, if there is one, and skip the mark."""
        while (place := self._kept.find(mark)) < 0:
            safe = max(len(self._kept) - len(mark), 0)
            if target:
                target.write(self._kept[:safe])
            self._kept = self._kept[safe:]
            self._read_more()
        if target:
            target.write(self._kept[:place])
        self._kept = self._kept[place + len(mark) :]

    def is_at_end(self) -> bool:
        """Return whether the mark that was skipped last ends the body."""
        while len(self._kept) < len(b"--"):
            self._read_more()
        return self._kept.startswith(b"--")

    def read_head(self) -> tuple[str, str | None]:
        """Return the name and the file name of the next part; the file name of a plain field is None."""
        while b"\r\n\r\n" not in self._kept:
            if len(self._kept) > LONGEST_LINE:
                raise Refused(400)
            self._read_more()
        head, self._kept = self._kept.split(b"\r\n\r\n", 1)
        found = DISPOSITION.search(head)
        if found is None:
            raise Refused(400)
        name, filename = found["name"].decode("utf-8", "replace"), found["file"]
        return name, None if filename is None else filename.decode("utf-8", "replace")

    def read_field(self, mark: bytes) -> str:
        """Return the value of a plain field."""
        while b"\r\n" + mark not in self._kept:
            if len(self._kept) > LARGEST_FIELD:
                raise Refused(400)
            self._read_more()
        value, self._kept = self._kept.split(b"\r\n" + mark, 1)
        return value.decode("utf-8", "replace")

    def _read_more(self) -> None:
        piece = self._body.read(PIECE)
        if not piece:
            raise Refused(400, "Stream ended unexpectedly")
        self._kept += piece
