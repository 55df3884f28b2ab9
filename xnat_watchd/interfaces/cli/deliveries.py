"""`deliveries`: list what was dropped, and where each ZIP is now. It answers "did mine arrive?"."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from xnat_watchd.interfaces.cli import table
from xnat_watchd.interfaces.cli.durations import SPAN
from xnat_watchd.interfaces.cli.options import CommandOptions, is_served, project_option
from xnat_watchd.interfaces.cli.terminal import local, say
from xnat_watchd.operator.deliveries import note

MOST = 50  #: rows without --all
STATES = ("not taken", "arriving", "under way", "held", "failed", "complete", "duplicate", "skipped", "withdrawn")
COLUMNS = ("item", "state", "images", "project", "arrived", "name")
EXAMPLES = """\
\b
Examples:
  xnat-watchd deliveries                        the latest 50
  xnat-watchd deliveries mri_17                 those with mri_17 in the file's name or a label
  xnat-watchd deliveries --state held           what needs a decision
  xnat-watchd deliveries --since 7d --csv > week.csv

Exit code: 0 when something is listed, 1 when nothing fits.
"""


class StateType(click.Choice[str]):
    """A state, in which a hyphen may stand for the space."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the state."""
        return str(super().convert(str(value).replace("-", " "), param, ctx))


@click.command(epilog=EXAMPLES)
@click.argument("words", nargs=-1, metavar="[WORDS]...")
@click.option("--state", type=StateType(STATES), help="Only these.")
@click.option("--since", type=SPAN, metavar="TIME", help="Only what came in this time (7d, 12h).")
@click.option("--all", "everything", is_flag=True, help=f"All that fit, not only the latest {MOST}.")
@project_option
@click.option("--station", default="", metavar="NAME",
              help="Only what this station has taken, where several share the ledger.")  # fmt: skip
@table.form_options
@click.pass_obj
def deliveries(
    options: CommandOptions,
    words: Sequence[str],
    state: str | None,
    since: timedelta | None,
    station: str,
    form: str,
    *,
    everything: bool,
) -> None:
    """List the ZIPs that were dropped, the newest first, with where each one is now.

    With WORDS, each must occur in the file's name, the subject's label or the session's label.
    """
    from xnat_watchd.adapters.ledger.listing import DeliveryQuery
    from xnat_watchd.operator.arriving import arriving
    from xnat_watchd.operator.deliveries import listed, nearest_names
    from xnat_watchd.operator.nameless import row_without_names

    here, names = options.locations(), options.sees_names
    began = datetime.now(UTC) - since if since else None
    query = DeliveryQuery(state or "", options.project or "", began, words, station=station)
    with options.ledger(here.ledger) as ledger:
        shared = ledger.stations.shared
        coming = (
            arriving(ledger, here.drop, query, datetime.now(UTC), served=is_served(here.ledger)) if here.drop else []
        )
        found = [
            *(coming if names else [row_without_names(row, lambda _: False) for row in coming]),
            *listed(ledger, query, -1 if everything else MOST + 1, names=names),
        ]
        meant = [] if found else nearest_names(ledger, query, names=names)
    rows = found if everything else found[:MOST]
    print_rows(rows, form, meant, shared=shared)
    if len(found) > len(rows):
        click.echo(f"the latest {MOST}; --all lists the others too", err=True)
    sys.exit(0 if rows else 1)


def print_rows(
    rows: Sequence[Mapping[str, Any]], form: str, meant: Sequence[str] = (), *, shared: bool = False
) -> None:
    """Print deliveries in this form, with what keeps each below it. `meant`: what may be said where there is none.

    `shared`: several stations share the ledger, so people are told which one it is.
    """
    if form != "table":
        station = ("station",) if shared or form == "json" else ()
        table.show(rows, (*COLUMNS, "size", "ended", "why", "advice", "same_as", *station), form)
    elif rows:
        told = [{**row, "arrived": row["arrived"] and local(row["arrived"], "%Y-%m-%d %H:%M"), "note": note(row)}
                for row in rows]  # fmt: skip
        table.show(told, (*COLUMNS, "station") if shared else COLUMNS, note="note")
    else:
        say("; ".join(["no delivery fits", *meant]), err=True)
