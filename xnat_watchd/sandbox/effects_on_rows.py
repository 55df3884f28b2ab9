"""Effects of faults on the prearchive: rows that keep a status, vanish, miss files or are mixed; wrong header dumps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from itertools import chain
from urllib.parse import unquote

from .answers import Reply
from .building import build
from .dicom import read_header
from .effects import Effect, Exchange
from .placing import add_file
from .prearchive_actions import remove
from .request import Parameters
from .site import Site
from .store import ReceivedFile, StoredRow
from .zipstream import entries


@dataclass
class StuckStatus(Effect):
    """All rows are shown with one status."""

    status: str

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer while every row has the status, and restore the true ones."""
        with exchange.site.lock:
            rows = list(exchange.site.store.rows.values())
            true = [row.status for row in rows]
            for row in rows:
                row.status = self.status
            answer = exchange.application.answer(exchange.request)
            for row, status in zip(rows, true, strict=True):
                row.status = status
        return answer


class LostRow(Effect):
    """The rows of an import vanish."""

    def after(self, exchange: Exchange, answer: Reply) -> Reply:
        """Delete the rows that the answer names."""
        with exchange.site.lock:
            for row in _rows_of(exchange.site, answer):
                remove(exchange.site, row)
        return answer


@dataclass
class LostFiles(Effect):
    """The rows of an import lack their last `missing` files."""

    missing: int

    def after(self, exchange: Exchange, answer: Reply) -> Reply:
        """Delete the last files of each row and build it again."""
        with exchange.site.lock:
            for row in _rows_of(exchange.site, answer):
                for key in list(row.received)[-self.missing :]:
                    row.received.pop(key).path.unlink()
                build(exchange.site, row)
        return answer


@dataclass
class MixedFiles(Effect):
    """The files of another import are added to the row of this one (F61)."""

    content: bytes

    def after(self, exchange: Exchange, answer: Reply) -> Reply:
        """Add the other files to the first row of the answer; the row keeps the UID of its first study."""
        site = exchange.site
        with site.lock:
            for row in _rows_of(site, answer)[:1]:
                for entry in entries(BytesIO(self.content).read):
                    path = site.store.spool()
                    path.write_bytes(b"".join(entry.pieces()))
                    add_file(site, row, ReceivedFile(entry.name, path, read_header(path)))
                build(site, row)
        return answer


class CrossTalk(Effect):
    """A header dump shows another session."""

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer for another session than the client asked for."""
        request, store = exchange.request, exchange.site.store
        rows = ((row.uri, row.uri) for row in store.rows.values())
        archived = ((f"/archive/projects/{one.project}/experiments/", one) for one in store.experiments.values())
        sessions = ((f"{above}{one.label}", f"{above}{one.id}") for above, one in archived)
        asked = request.query.get("src")
        other = next((uris[0] for uris in chain(rows, sessions) if not asked.startswith(uris)), asked)
        pairs = [(name, other if name == "src" else value) for name, value in request.query.pairs]
        return exchange.application.answer(replace(request, query=Parameters(pairs)))


def _rows_of(site: Site, answer: Reply) -> list[StoredRow]:
    lines = answer.body.decode("iso-8859-1").split() if isinstance(answer.body, bytes) else []
    found = (site.store.rows.get(tuple(unquote(line).split("/")[-3:])) for line in lines)  # type: ignore[arg-type]
    return [row for row in found if row]
