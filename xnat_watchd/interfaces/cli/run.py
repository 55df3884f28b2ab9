"""`run`: run the service in the foreground, or with `--once` until nothing is left to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from xnat_watchd.interfaces.cli import one_off, table
from xnat_watchd.interfaces.cli.options import CommandOptions, drop_option, is_served, project_option, server_options
from xnat_watchd.interfaces.cli.terminal import say

if TYPE_CHECKING:
    from xnat_watchd.core.ports import Log
    from xnat_watchd.operator.status import Exit, Snapshot
    from xnat_watchd.settings import Settings

EXAMPLES = """\
\b
Examples:
  xnat-watchd run                               the service; systemd keeps it running
  xnat-watchd run --once                        send what is in the drop folder, and say what remains
  xnat-watchd run --once --drop scans --project P --server https://xnat.example.org --user me
  xnat-watchd run --once --drop scans --until uploaded
  xnat-watchd --drop scans status               the status of that folder; also with show and retry

With --drop no configuration is needed. ZIPs are moved into DIR/.xnat-watchd while they are under way, and to
DIR/.xnat-watchd/done when XNAT has them. The ledger is there too, so that no ZIP is sent twice.
"""

OPEN_STATES = ("waiting", "removed by someone")  #: states of a share row that is not shared, but needs no attention now


@click.command(epilog=EXAMPLES)
@click.option("--once", is_flag=True, help="Send what is in the drop folder, then stop and say what remains.")
@drop_option
@project_option
@click.option(
    "--until", type=click.Choice(["uploaded", "archived", "complete"]),
    help="How far studies go, with --once. Run it again with a later step, and they go on.",
)  # fmt: skip
@server_options
@click.pass_obj
def run(options: CommandOptions, until: str | None, *, once: bool) -> None:
    """Watch the drop folder and carry its ZIPs into XNAT until stopped."""
    if not once and (until or options.drop):
        raise click.UsageError("--drop and --until are for `run --once`")

    def settings() -> Settings:
        read = options.settings()
        return read.with_until(until) if until else read

    if not once:
        sys.exit(_serve(options, settings))
    code, snapshot = _once(options, settings, until)
    for line in _remaining(snapshot):
        say(line)
    if options.drop and snapshot["deliveries"]:
        folder = options.drop / one_off.FOLDER
        say(
            f"The ZIPs lie below {folder}. `xnat-watchd deliveries` and `xnat-watchd status` tell about them.", err=True
        )
    sys.exit(code)


def _serve(options: CommandOptions, read: Callable[[], Settings]) -> Exit:
    from xnat_watchd import daemon
    from xnat_watchd.adapters.systemd.notify import Notifier
    from xnat_watchd.core.errors import WatchdError
    from xnat_watchd.interfaces.cli import execution

    try:
        settings = read()
        code, _ = daemon.run(
            settings, execution.proved_login(options, settings), _log(settings), once=False, reread=read
        )
    except WatchdError as error:  # `systemctl status` shows the last line to people who may not read the journal
        Notifier.from_environment().status(f"{error}. {error.advice}")
        raise
    return code


def _once(options: CommandOptions, read: Callable[[], Settings], until: str | None) -> tuple[Exit, Snapshot]:
    from xnat_watchd import daemon
    from xnat_watchd.interfaces.cli import execution
    from xnat_watchd.interfaces.cli.progress import show_progress

    settings = read()
    if options.drop:
        one_off.remember(options.drop, settings.xnat.server, settings.xnat.project)
    if until and is_served(settings.ledger.location):
        raise click.UsageError("a service runs there already, and uses its own settings")
    followed = execution.follow_all(options, settings)
    if followed is not None:
        return followed
    credential = execution.proved_login(options, settings)
    execution.allow_trial_now(settings, credential)
    with_bars = sys.stderr.isatty()
    log = execution.errors_only_log() if with_bars and settings.logs.file is None else _log(settings)
    with show_progress(settings.ledger.location) if with_bars else nullcontext() as seen:
        return daemon.run(settings, credential, log, once=True, reread=read, show=seen)


def _log(settings: Settings) -> Log:
    from xnat_watchd.adapters import logs
    from xnat_watchd.adapters.log_file import opened

    file = settings.logs.file
    return logs.configure(settings.logs.format, stream=opened(file) if file else None)


def _under_way(snapshot: Snapshot) -> int:
    """Return how many studies are under way: the snapshot lists only the first of many."""
    return sum(counts.get(name, 0) for counts in snapshot["studies"].values() for name in ("ready", "busy", "waiting"))


def _remaining(snapshot: Snapshot) -> list[str]:
    """Return what is not complete, and why, a sentence for each. It is printed at the end."""
    from xnat_watchd.operator.status import waited_for

    gate, later = snapshot["gate"], waited_for(snapshot)
    shut = [] if gate["open"] else [f"{gate['why']}. {gate['advice']}"]
    held = [f"{one['item']} needs attention: {one['why']}. {one['advice']}" for one in snapshot["attention"]]
    waiting = [
        f"{one['item']} {one['progress']}, {one['standing']}: {one['why'] or 'not done yet'}"
        for one in snapshot["under_way"]
    ]
    if unlisted := _under_way(snapshot) - len(waiting):
        waiting.append(f"and {unlisted} more are not complete")
    rows = [
        f"{one['name']}: {count} row{'s' if count > 1 else ''} {state}"
        for one in snapshot["shares"]
        for state, count in one["rows"].items()
        if state in OPEN_STATES
    ]
    several = f"{table.counted(later, 'ZIP')} in the folder not taken: incomplete, or in use."
    coming = [f"{several} `xnat-watchd status` tells which."]
    done = snapshot["deliveries"] or snapshot["shares"]
    nothing = ["everything is complete" if done else "no ZIP lies in the folder"]
    paused = [f"paused: {one['why']}. {one['advice']}" for one in snapshot["paused"] if one["of"] == "work"]
    return [*paused, *shut, *held, *waiting, *rows, *(coming if later else [])] or nothing
