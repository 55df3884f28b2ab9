"""`status`: show on one screen whether everything is on XNAT."""

from __future__ import annotations

import json
import os
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NoReturn

import click

from xnat_watchd.core.access import HOW_TO_JOIN, WHO_DECIDES
from xnat_watchd.interfaces.cli import watching
from xnat_watchd.interfaces.cli.fleet import fleet_of, fleet_screen, look_at_fleet
from xnat_watchd.interfaces.cli.options import CommandOptions
from xnat_watchd.interfaces.cli.status_screen import screen
from xnat_watchd.interfaces.cli.terminal import as_json
from xnat_watchd.interfaces.cli.user_commands import with_sudo
from xnat_watchd.interfaces.cli.watching import Look
from xnat_watchd.operator.status import Snapshot

if TYPE_CHECKING:
    from xnat_watchd.core.errors import WatchdError

EXAMPLES = """\
\b
Examples:
  xnat-watchd status                            one screen
  xnat-watchd status --watch                    the same, every second, until Ctrl-C
  xnat-watchd status --json                     for programs
  xnat-watchd status --fleet                    every station, where several share the ledger
  xnat-watchd --drop scans status               of a folder that was sent with `run --once --drop`

Exit code: 0 when nothing needs attention, 1 when something does, 69 when XNAT is down, 77 when it refuses the login.
"""
EVERY = 1.0  #: seconds between two looks of `--watch`
HEIGHT, PAGE_OPTION, SEEN = "--height", "--page", "--seen"  #: what the command of a user who watches tells the service
ASK = "Ask the administrator to look at `systemctl status xnat-watchd`. What you drop waits until it runs."
NOT_FOR_YOU = f"{HOW_TO_JOIN} Or put `sudo` in front."


@click.command(epilog=EXAMPLES)
@click.option("--json", "for_programs", is_flag=True, help="As JSON, for programs.")
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option("--fleet", is_flag=True, help="Show every station that shares the ledger, the worst first.")
@click.option(HEIGHT, type=click.IntRange(1), hidden=True, help="Lines of the terminal of a user who watches.")
@click.option(PAGE_OPTION, type=click.IntRange(0), default=0, hidden=True, help="Which rows are shown, if not all fit.")
@click.option(SEEN, default="", hidden=True, help="The state that a user who watches has seen.")
@click.pass_obj
def status(
    options: CommandOptions, *, for_programs: bool, watch: bool, fleet: bool, height: int | None, page: int, seen: str
) -> None:
    """Show what is under way, what is complete, and what needs attention."""
    from xnat_watchd.operator.status import verdict

    def look(height: int | None, page: int, _: str = "") -> Look:
        return look_at_fleet(options, height) if fleet else _look(options, height, page)

    if watch and options.requester is None:
        sys.exit(watching.watch(look, EVERY))
    if watch:
        _answer(look(height, page), seen)
    if fleet:
        _show_fleet(options, for_programs=for_programs)
    snapshot = _seen_by(options, names=options.sees_names and not for_programs)
    if for_programs:
        as_json(snapshot)
    else:
        click.echo(_shown(snapshot, options))
    sys.exit(verdict(snapshot, finished=False))


def _show_fleet(options: CommandOptions, *, for_programs: bool) -> NoReturn:
    from xnat_watchd.operator import fleet

    found = fleet_of(options)
    if for_programs:
        as_json(found)
    else:
        click.echo(fleet_screen(found))
    sys.exit(fleet.verdict(found))


def _look(options: CommandOptions, height: int | None, page: int) -> Look:
    """Return what the status shows now."""
    from xnat_watchd.operator.status import verdict

    snapshot = _seen_by(options, names=options.sees_names)
    text = _shown(snapshot, options, height, page)
    return Look(text, _state(snapshot), verdict(snapshot, finished=False))


def _answer(look: Look, seen: str) -> NoReturn:
    """Answer one look of a user who watches: the state, and below it the text, unless the user has seen that state."""
    click.echo(look.state if look.state == seen else f"{look.state}\n{look.text}")
    sys.exit(look.code)


def _seen_by(options: CommandOptions, *, names: bool) -> Snapshot:
    """Return the status as this reader sees it."""
    snapshot = snapshot_of(options, names=names)
    return snapshot if options.requester is None else _for_users(snapshot)


def _for_users(snapshot: Snapshot) -> Snapshot:
    """Return the status with advice that works for users who are not root."""

    def told(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "advice": with_sudo(row["advice"])} if row.get("advice") else row

    return {**snapshot, "gate": told(snapshot["gate"]), "attention": [*map(told, snapshot["attention"])]}


def _shown(snapshot: Snapshot, options: CommandOptions, height: int | None = None, page: int = 0) -> str:
    """Return the status as text for who asks: with the way to start the service, and whom to ask for a decision."""
    is_folder, ask = options.drop is not None, "" if options.sees_names else WHO_DECIDES
    return screen(snapshot, of_folder=is_folder, start=_how_to_start(options), ask=ask, height=height, page=page)


def _how_to_start(options: CommandOptions) -> str:
    from xnat_watchd.adapters.systemd.service_files import UNIT

    if not (options.is_for_this_machine and UNIT.exists()):
        return "Start it: `xnat-watchd run`."
    if os.geteuid() == 0:
        return "Start it: `systemctl start xnat-watchd`."
    return "Start it: `sudo systemctl start xnat-watchd`, or ask somebody who may. What you drop waits until it runs."


def snapshot_of(options: CommandOptions, *, names: bool) -> Snapshot:
    """Return the status with names by the ledger, if this user may read it; without, what a service has published.

    Programs get none of a running service: what asks as root may pass on what it gets.
    """
    from xnat_watchd.core.errors import FAILURES, NoLedger, NoReadAccess

    no_status = NoReadAccess if options.requester is None else NoLedger  #: who is asked can read what there is

    said = published(options)
    if said is not None and said["daemon"]["running"] and not names:
        return said
    try:
        return _of_ledger(options, said)
    except PermissionError:
        if said is None:
            raise _no_status() from None
    except FAILURES as error:
        if said is None and isinstance(error, no_status) and options.is_for_this_machine:
            raise _no_status() from None
        if said is None:
            raise
    return said


def _no_status() -> WatchdError:
    """Return the error that fits: this user may not see the status, or the service has published none."""
    from xnat_watchd.adapters.files.status_file import RUNTIME
    from xnat_watchd.core.errors import Refusal

    if RUNTIME.is_dir() and not os.access(RUNTIME, os.R_OK | os.X_OK):
        return Refusal("this user may not see the status", advice=NOT_FOR_YOU)
    return Refusal("the service does not run, and has not since this machine was started", advice=ASK)


def published(options: CommandOptions) -> Snapshot | None:
    """Return what the service has published, with its age; or None. The service of this machine comes first."""
    from xnat_watchd.adapters.files.status_file import NAME, RUNTIME, status_path
    from xnat_watchd.core.errors import Refusal
    from xnat_watchd.operator.current_status import published_at

    said = published_at(RUNTIME / NAME) if options.is_for_this_machine else None
    if said is None:
        try:
            said = published_at(status_path(options.locations().ledger.path, os.environ))
        except Refusal:
            return None
    return said


def _of_ledger(options: CommandOptions, said: Snapshot | None) -> Snapshot:
    """Return the status by the ledger, with what only a running service knows, as it has `said` it."""
    from datetime import UTC, datetime

    from xnat_watchd.adapters.files.lock import is_held, lock_of
    from xnat_watchd.operator.current_status import status_of

    here = options.locations()
    with options.status_parts(here.ledger) as ledger:  # first: a user who may not read it is told that, not of its lock
        running = is_held(lock_of(here.ledger.path))
        return status_of(ledger, here.server, said, datetime.now(UTC), running=running, names=options.sees_names)


def _state(snapshot: Snapshot) -> str:
    """Return a digest of what the status says, without times: another one means that something has changed."""
    told = {name: value for name, value in snapshot["daemon"].items() if name not in ("heard", "rate")}
    lasting = {**snapshot, "at": "", "age": 0, "daemon": told}
    return sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:16]
