"""What remains of a server that dies at its work, and shows itself when it is started again (F87, F88)."""

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
    """The server dies when the whole body has come, and `leaves` so many files of it, or all.

    1.6 writes to a folder named by PatientID below the timestamp of the place first. What lies there after a restart is
    a row of its own, RECEIVING.
    """

    leaves: int | None

    def before(self, exchange: Exchange) -> Reply | None:
        """Keep what was written, for the next start."""
        site, request = exchange.site, exchange.request
        spool, folder = site.store.spool(), site.store.spool()
        folder.mkdir()
        try:
            with spool.open("wb") as file:
                while piece := request.body.read(1024 * 1024):
                    file.write(piece)
            with site.lock, suppress(Refused):  # nothing that it could have written
                files = list(unpacked(site, spool, folder))[: self.leaves]
                leave_behind(site, destination(site, request.query), files, "RECEIVING")
        finally:
            spool.unlink(missing_ok=True)
            rmtree(folder, ignore_errors=True)
        raise ConnectionCut("the server dies in mid-import")


@dataclass
class CrashWhileArchiving(Effect):
    """The server dies while it archives a row, which stays as it is then, for ever.

    `done`: the session was stored by then, and the row is all that is left, without a file.
    """

    done: bool

    def before(self, exchange: Exchange) -> Reply | None:
        """Lock the row."""
        site, src = exchange.site, exchange.request.query.get("src")
        row = None
        with site.lock, suppress(Refused):  # a place that is none
            row = find(site, src)
        if self.done:
            exchange.application.answer(exchange.request)
        if row is not None:
            with site.lock:
                left = replace(row, received={}, session=None) if self.done else row
                left.status = "_ARCHIVING"
                site.store.rows[left.key] = left
        raise ConnectionCut("the server dies in mid-archive")
