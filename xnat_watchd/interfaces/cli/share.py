"""`share`: apply one share table, or one table of users, once and by hand."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.interfaces.cli import table
from xnat_watchd.interfaces.cli.options import CommandOptions, opened, server_options

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger.ledger import Ledger
    from xnat_watchd.adapters.xnat.gateway import XnatGateway
    from xnat_watchd.core.sharing.plan import RowPlan
    from xnat_watchd.core.sharing.state import RowResult
    from xnat_watchd.core.sharing.table import ShareRow
    from xnat_watchd.operator.status import Exit
    from xnat_watchd.settings import Settings
    from xnat_watchd.sharing.rows import Sharer

EXAMPLES = """\
\b
Examples:
  xnat-watchd share table.csv --dry-run         what would be shared
  xnat-watchd share table.csv                   share it, once
  xnat-watchd share --users users.csv           give roles, from the columns project, user and role

The service applies the tables in the shares folder, again and again. Exit code: 0 when all rows are shared,
75 when some wait, 1 when some failed or were removed by somebody.
"""
COLUMNS = ("line", "subject", "source", "destination", "state", "sessions", "reason")
USER_COLUMNS = ("line", "project", "user", "role", "state", "reason")
LOOKS = 0.5  #: seconds between two looks whether the service has finished its own sweep


@click.command(epilog=EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="TABLE.csv")
@click.option("--users", is_flag=True, help="The table gives users roles in projects.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@server_options
@click.pass_obj
def share(options: CommandOptions, file: Path, *, users: bool, dry_run: bool, as_json: bool) -> None:
    """Share subjects and their sessions with other projects, as TABLE.csv says. Nothing is ever unshared."""
    form = "json" if as_json else "table"
    run = _users if users else _shares
    sys.exit(run(options, _read(file), file.name, form, dry=dry_run))


def _shares(options: CommandOptions, data: bytes, name: str, form: str, *, dry: bool) -> Exit:
    rows = _rows(data)
    with _sharer(options, dry=dry) as (sharer, ledger):
        others = ledger.shares.rows_of([one["name"] for one in ledger.views.share_tables()])
        if dry:
            planned = sharer.preview(rows, others)
            _say(planned)
            table.show([_planned(one) for one in planned], COLUMNS, form)
            return _code([one.state for one in planned if one.state != "shared"], waiting=_count(planned) > 0)
        results = sharer.apply(rows, others, _say)
        _remember(ledger, name, results)
    table.show([_result(one) for one in results], COLUMNS, form)
    return _code([one.state for one in results])


def _users(options: CommandOptions, data: bytes, name: str, form: str, *, dry: bool) -> Exit:
    from xnat_watchd.core.sharing.user_table import read
    from xnat_watchd.sharing import roles

    del name
    rows = read(data)
    settings = options.settings()
    with _asking(options, settings) as gateway:
        results = (roles.preview if dry else roles.grant)(gateway, rows)
    shown = [
        {
            "line": one.row.line, "project": one.row.project, "user": one.row.user, "role": one.row.role,
            "state": one.state.value, "reason": one.reason,
        }
        for one in results
    ]  # fmt: skip
    table.show(shown, USER_COLUMNS, form)
    return _code([one.state for one in results], waiting=any(one.state == "to be given" for one in results))


def _code(states: Sequence[str], *, waiting: bool = False) -> Exit:
    from xnat_watchd.operator.status import Exit

    if {"failed", "removed by someone"}.intersection(states):
        return Exit.ATTENTION
    return Exit.WAITING if waiting or "waiting" in states else Exit.FINE


# -- what is shown -------------------------------------------------------------------------------------------


def _say(planned: Sequence[RowPlan]) -> None:
    """Print the plan on stderr: how much is to be shared into which project."""
    actions = dict.fromkeys(action for one in planned for action in one.actions)
    into = Counter((action.destination, type(action).__name__ == "ShareSubject") for action in actions)
    for project in sorted({name for name, _ in into}):
        subjects, sessions = into[project, True], into[project, False]
        both = f"{table.counted(range(subjects), 'subject')}, {table.counted(range(sessions), 'session')}"
        click.echo(f"to be shared into {project}: {both}", err=True)
    if not actions:
        click.echo("nothing is to be shared", err=True)


def _count(planned: Sequence[RowPlan]) -> int:
    return sum(len(one.actions) for one in planned)


def _planned(one: RowPlan) -> table.Row:
    row = one.row
    state = "to be shared" if one.state == "shared" else one.state.value
    return dict(zip(
        COLUMNS, (row.line, row.subject, row.source, row.destination, state, one.sessions, one.reason), strict=True
    ))  # fmt: skip


def _result(one: RowResult) -> table.Row:
    row = one.row
    return dict(zip(
        COLUMNS, (row.line, row.subject, row.source, row.destination, one.state.value, one.sessions, one.reason),
        strict=True,
    ))  # fmt: skip


# -- what it works with --------------------------------------------------------------------------------------


def _read(file: Path) -> bytes:
    from xnat_watchd.core.sharing.table import MOST_BYTES

    with file.open("rb") as opened:
        return opened.read(MOST_BYTES + 1)


def _rows(data: bytes) -> tuple[ShareRow, ...]:
    """Return the rows of a table. If it cannot be read, also tell a person at a terminal what of it is wrong.

    Only a person: the text quotes the table, and what a timer or a cron job prints goes into a log.
    """
    from xnat_watchd.core.errors import Unusable
    from xnat_watchd.core.printable import plain
    from xnat_watchd.core.sharing.table import read

    try:
        return read(data).rows
    except Unusable as error:
        if error.detail and sys.stderr.isatty():
            click.echo(plain(error.detail), err=True)
        raise


def _remember(ledger: Ledger, name: str, results: Sequence[RowResult]) -> None:
    from datetime import UTC, datetime

    ledger.shares.tell(name, results, datetime.now(UTC))


@contextmanager
def _sharer(options: CommandOptions, *, dry: bool) -> Iterator[tuple[Sharer, Ledger]]:
    """Provide a sharer with the service's ledger, while no other process applies share tables."""
    import random

    from xnat_watchd.adapters.clock import SystemClock
    from xnat_watchd.interfaces.cli.execution import errors_only_log, ledger_or_empty
    from xnat_watchd.sharing.rows import Sharer, SharingContext

    settings = options.settings()
    where = settings.ledger.location
    with ledger_or_empty(where) if dry else _exclusive_ledger(where) as ledger, _asking(options, settings) as gateway:
        context = SharingContext(
            gateways=(gateway,), shares=ledger.shares, clock=SystemClock(), log=errors_only_log(),
            retry=settings.retry(), chance=random.SystemRandom().random, beat=lambda: None,
        )  # fmt: skip
        yield Sharer(context), ledger


@contextmanager
def _asking(options: CommandOptions, settings: Settings) -> Iterator[XnatGateway]:
    from xnat_watchd.interfaces.cli.execution import reading_gateway

    with reading_gateway(options, settings, options.credential(settings)) as gateway:
        yield gateway


@contextmanager
def _exclusive_ledger(where: Location) -> Iterator[Ledger]:
    """Open the ledger while no other process applies share tables with it."""
    where.path.parent.mkdir(parents=True, exist_ok=True)
    ledger = opened(where, read_only=False)
    try:
        with _alone(ledger, where.path):
            yield ledger
    finally:
        ledger.close()


@contextmanager
def _alone(ledger: Ledger, path: Path) -> Iterator[None]:
    """Be the only one who applies share tables: wait until the service, another command or station is done."""
    import time

    with ExitStack() as stack:
        if not _is_alone(ledger, path, stack):
            click.echo("the service applies share tables just now; waiting for it (Ctrl-C ends the waiting)", err=True)
            while not _is_alone(ledger, path, stack):
                time.sleep(LOOKS)
        yield


def _is_alone(ledger: Ledger, path: Path, stack: ExitStack) -> bool:
    from xnat_watchd.core.errors import Refusal
    from xnat_watchd.sharing.applying_alone import applying_alone

    try:
        stack.enter_context(applying_alone(ledger.shares, path))
    except Refusal:
        return False
    return True
