"""Effects of a server that crashes during a request: what it leaves behind for its next start (F87, F88)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from shutil import rmtree

from .answers import Refused, Reply
from .effects import ConnectionCut, Effect, Exchange
from .importing import destination
from .prearchive import find
from .session_importer import leave_behind
from .unpacking import unpacked


@dataclass
class CrashWhileImporting(Effect):
    """The server crashes when it has the whole body, and leaves `leaves` files of it behind, or all.

    1.6 first writes to a folder that is named by the PatientID, below the timestamp of the place. After a restart,
    what lies there is a row of its own with status RECEIVING.
    """

    leaves: int | None

    def before(self, exchange: Exchange) -> Reply | None:
        """Store what the server had written, for its next start."""
        site, request = exchange.site, exchange.request
        spool, folder = site.store.spool(), site.store.spool()
        folder.mkdir()
        try:
            with spool.open("wb") as file:
                while piece := request.body.read(1024 * 1024):
                    file.write(piece)
            with site.lock, suppress(Refused):  # the body holds nothing that the server could have written
                files = list(unpacked(site, spool, folder))[: self.leaves]
                leave_behind(site, destination(site, request.query), files, "RECEIVING")
        finally:
            spool.unlink(missing_ok=True)
            rmtree(folder, ignore_errors=True)
        raise ConnectionCut("the server dies in mid-import")


@dataclass
class CrashWhileArchiving(Effect):
    """The server crashes while it archives a row, which stays `_ARCHIVING` for ever.

    `done`: the session was already stored; only the row is left, without files.
    """

    done: bool

    def before(self, exchange: Exchange) -> Reply | None:
        """Leave the row locked, after archiving it where `done`."""
        site, src = exchange.site, exchange.request.query.get("src")
        row = None
        with site.lock, suppress(Refused):  # `src` names no place
            row = find(site, src)
        if self.done:
            exchange.application.answer(exchange.request)
        if row is not None:
            with site.lock:
                left = replace(row, received={}, session=None) if self.done else row
                left.status = "_ARCHIVING"
                site.store.rows[left.key] = left
        raise ConnectionCut("the server dies in mid-archive")
