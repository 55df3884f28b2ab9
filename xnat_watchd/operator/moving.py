"""Move a ledger to another place: write it into a file, and read that into the ledger that the settings name.

Both need the service of these folders stopped: they hold its lock.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from xnat_watchd import __version__
from xnat_watchd.adapters.files.export_file import NOT_WHOLE, ExportReader, ExportWriter
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.files.lock import Lock, lock_of
from xnat_watchd.adapters.files.renumbering import renumbering
from xnat_watchd.adapters.files.root_id import root_id
from xnat_watchd.adapters.ledger.exporting import Line
from xnat_watchd.adapters.ledger.importing import ImportedRows
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.moves import Move
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.core.errors import NoLedger, Occupied, Refusal
from xnat_watchd.operator.alert_channels import station_name
from xnat_watchd.settings import Settings

FORMAT = "ledger of xnat-watchd"
FOLDERS = ("drop", "shares", "work", "done", "failed")
STOP_IT = "Stop it first: `systemctl stop xnat-watchd`. Then type this again."


def export_ledger(settings: Settings, path: Path, now: datetime) -> dict[str, int]:
    """Write the ledger into a new file, and have it served no more. Of a shared one, what belongs to this root.

    Return how many rows of each table were written.

    Raise `Refusal` if the service runs, or if anything of that is not possible; then nothing has changed.
    """
    with _alone(settings, must_exist=True) as ledger, ExportWriter(path) as file:
        with ledger.together():
            ledger.studies.recover(now)  # what a kill has left busy, as the next start would do
            move = ledger.moves.begin(str(uuid.uuid4()), now)
            file.write(_header(settings, move, now))
            rows = _write(file, ledger.moves.lines())
            file.finish()
        with ExitStack() as otherwise:
            otherwise.callback(ledger.moves.cancel, now)
            file.publish()
            otherwise.pop_all()
    return rows


def _write(file: ExportWriter, lines: Iterable[Line]) -> dict[str, int]:
    rows, table = dict[str, int](), ""
    for line in lines:
        if isinstance(line, dict):
            table = str(line["table"])
        else:
            rows[table] = rows.get(table, 0) + 1
        file.write(line)
    return rows


def cancel_export(settings: Settings, now: datetime) -> bool:
    """Have a ledger that was exported be used again; return whether it was exported."""
    with _alone(settings, must_exist=True) as ledger:
        return ledger.moves.cancel(now)


def import_ledger(settings: Settings, path: Path, now: datetime) -> tuple[Move, ImportedRows]:
    """Read an exported ledger into the one that the settings name: all of it, or nothing. Raise `Refusal` if not."""
    with ExportReader(path) as file:
        header = _checked(settings, file)
        move = Move(header["id"], header["first"], header["last"], header["schema"])
        with _alone(settings) as ledger, renumbering(_folders(settings)) as renumber, ledger.together():
            lines = file.lines()
            next(lines)
            taken = ledger.moves.take(move, lines, now)
            renumber(range(move.first, move.last + 1), taken.offset)
    return move, taken


def _header(settings: Settings, move: Move, now: datetime) -> dict[str, Any]:
    return {
        "what": FORMAT, "schema": move.schema, "version": __version__, "id": move.id, "written": now.isoformat(),
        "server": settings.xnat.server, "root": _root(settings), "first": move.first, "last": move.last,
    }  # fmt: skip


def _checked(settings: Settings, file: ExportReader) -> dict[str, Any]:
    """Return the first line of a file that is whole, and is for this server and these folders."""
    header: Any = None
    for line in file.lines():
        header = header or line
    if not isinstance(header, dict) or not _is_header(header):
        raise Refusal("this file is no exported ledger", advice=NOT_WHOLE)
    if header["server"] != settings.xnat.server:
        raise Refusal(
            f"the file is of {header['server']}, and the settings name {settings.xnat.server}",
            advice="A ledger is for one XNAT. If only its address has changed: name the old one with --server.",
        )
    if header["root"] != _root(settings):
        raise Refusal(
            "the file is of other folders than those that the settings name",
            advice="Import it at the station whose folders these are. If they were moved to this one, they must be "
            "here with all that lies in them, also what is hidden.",
        )
    _must_not_go_on(settings, header["id"])
    return header


def _is_header(line: dict[str, Any]) -> bool:
    kinds = {"what": str, "schema": int, "id": str, "server": str, "root": str, "first": int, "last": int}
    return all(isinstance(line.get(name), kind) for name, kind in kinds.items()) and line["what"] == FORMAT


def _must_not_go_on(settings: Settings, move_id: str) -> None:
    """Raise `Refusal` if a ledger in a file, in whose place a shared one comes, is still the one that is served."""
    path = settings.ledger.path
    if not settings.ledger.location.url or not path.exists():
        return
    with closing(Ledger(open_database(path, read_only=True))) as before:
        if before.moves.goes_on(without=move_id):
            raise Refusal(
                f"the ledger {path} is not the one in this file, or was used since",
                advice="Export it again, and import the new file.",
            )


@contextmanager
def _alone(settings: Settings, *, must_exist: bool = False) -> Iterator[Ledger]:
    """Open the ledger as the service of these folders does, in its place."""
    where = settings.ledger.location
    if must_exist and not where.exists():
        raise NoLedger(f"there is no ledger at {where} yet", advice="Correct [ledger] in the settings.")
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(Lock(lock_of(where.path)))
        except Occupied:
            raise Occupied("the service of these folders runs", advice=STOP_IT) from None
        ledger = stack.enter_context(closing(Ledger(open_database(where, whole=True))))
        ledger.must_take_writes()
        ledger.stations.enroll(StationProcess(settings.ledger.station or station_name(), __version__, lock.name))
        if ledger.stations.shared:
            ledger.stations.serve(_root(settings))
        if others := ledger.stations.beside():
            raise Occupied(f"the service of {others[0]} serves these folders, too", advice=STOP_IT)
        yield ledger
        ledger.stations.leave()


def _folders(settings: Settings) -> Folders:
    return Folders(**{name: getattr(settings.folders, name) for name in FOLDERS})


def _root(settings: Settings) -> str:
    """Return the ID of the root. Raise `Refusal` where the work folder is not there."""
    try:
        return root_id(settings.folders.work)
    except OSError as error:
        raise Refusal(
            f"the work folder cannot be used: {error.strerror}", advice="Mount its disk. Then type this again."
        ) from None
