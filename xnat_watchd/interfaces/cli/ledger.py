"""`ledger`: move the ledger to another place, or forget a station of one that several share."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xnat_watchd.interfaces.cli.options import CommandOptions, server_option
from xnat_watchd.interfaces.cli.terminal import say

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger.importing import ImportedRows
    from xnat_watchd.adapters.ledger.moves import Move

EXAMPLES = """\
\b
Examples:
  xnat-watchd ledger export /srv/ledger.jsonl  write all of it into a new file, and use it no more
  xnat-watchd ledger import /srv/ledger.jsonl  read that into the ledger which [ledger] names now
  xnat-watchd ledger export --cancel            use it again, since the file was not imported
  xnat-watchd ledger forget mr-1                list a station no more that will not come back
"""
KNOWN_TWICE = {
    "gates": "trouble of the server or a project", "pauses": "pauses", "messages": "messages",
    "incidents": "alerts", "ignored": "files that are not taken", "share_tables": "share tables",
}  # fmt: skip


@click.command(epilog=EXAMPLES)
@click.argument("action", type=click.Choice(["export", "import", "forget"]))
@click.argument("what", metavar="FILE|STATION", required=False, default="")
@click.option("--cancel", is_flag=True, help="With `export`: use the ledger again. Its file must not be imported then.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@server_option
@click.pass_obj
def ledger(options: CommandOptions, action: str, what: str, *, cancel: bool, yes: bool) -> None:
    """Move the ledger to another place, as from a file into a database that several stations share, or back.

    The service must be stopped. `export` writes the ledger into a new file, which holds names of patients, and has it
    used no more. `import` reads such a file into the ledger that the settings name then: all of it, or nothing. Of a
    shared ledger, what belongs to the folders of this station is exported.

    `forget` takes a station that was stopped, and will not come back, out of the list of `status --fleet`.
    """
    if (what == "") is not (cancel and action == "export"):
        raise click.UsageError("name one file or station, or type `ledger export --cancel`")
    if cancel:
        _cancel(options, yes=yes)
    elif action == "forget":
        _forget(options, what)
    elif action == "export":
        _export(options, Path(what))
    else:
        _import(options, Path(what))


def _forget(options: CommandOptions, station: str) -> None:
    from xnat_watchd.core.errors import Refusal
    from xnat_watchd.interfaces.cli.fleet import HOW_TO_SHARE, NOT_SHARED
    from xnat_watchd.operator.fleet import forget_station

    with options.ledger(options.locations().ledger, read_only=False) as ledger:
        if not ledger.fleet.shared:
            raise Refusal(NOT_SHARED, advice=HOW_TO_SHARE)
        forget_station(ledger, station)
    say(f"{station} is not listed any more. If it is started again, it is.")


def _export(options: CommandOptions, file: Path) -> None:
    from xnat_watchd.operator.moving import export_ledger

    rows = export_ledger(options.settings(), file.absolute(), datetime.now(UTC))
    say(f"exported {_counted(rows)} to {file}")
    say("It holds names of patients: keep it private, and delete it when it was imported.")
    say("This ledger is used no more. To use it after all: `xnat-watchd ledger export --cancel`.")


def _cancel(options: CommandOptions, *, yes: bool) -> None:
    from xnat_watchd.interfaces.cli.execution import confirm
    from xnat_watchd.operator.moving import cancel_export

    settings = options.settings()
    confirm("Was the exported file not imported anywhere?", yes=yes)
    if cancel_export(settings, datetime.now(UTC)):
        say("The ledger is used again. Delete the exported file: it must not be imported any more.")
    else:
        where = "database" if settings.ledger.url else "file"
        say(f"The ledger that the settings name, in a {where}, was not exported: nothing is to be cancelled.")
        if settings.ledger.url:
            say("If you mean the one that was used before, remove `url` from [ledger]. Then type this again.")


def _import(options: CommandOptions, file: Path) -> None:
    from xnat_watchd.operator.moving import import_ledger
    from xnat_watchd.operator.status import Exit

    move, taken = import_ledger(options.settings(), file.absolute(), datetime.now(UTC))
    say(f"imported {_counted(taken.rows)}")
    for line in _told(move, taken):
        say(line)
    say("Start the service. Then delete the file.")
    sys.exit(Exit.ATTENTION if taken.two_people else Exit.FINE)


def _told(move: Move, taken: ImportedRows) -> list[str]:
    """Return what a person should know of what was imported, a sentence for each."""
    lines = []
    if taken.offset:
        first, last = move.first, move.last
        lines.append(
            f"Others have these numbers here: deliveries {first} to {last} are now {first + taken.offset} to"
            f" {last + taken.offset}. Notes beside ZIPs in `failed` still name the old ones."
        )
    lines += [
        f"Here already, and not imported: {what} ({taken.left[table]})"
        for table, what in KNOWN_TWICE.items()
        if taken.left.get(table)
    ]
    lines += [
        f"Two people stand behind one subject label: that of {here} was there first, {moved} is another's. Studies of"
        " the second that are still to be archived will be held. What is archived must be put right in XNAT."
        for here, moved in taken.two_people
    ]
    return lines


def _counted(rows: dict[str, int]) -> str:
    named = {
        "deliveries": ("delivery", "deliveries"),
        "studies": ("study", "studies"),
        "instances": ("image", "images"),
    }
    counts = [(rows.get(table, 0), *names) for table, names in named.items()]
    return ", ".join(f"{count:,} {one if count == 1 else many}" for count, one, many in counts)
