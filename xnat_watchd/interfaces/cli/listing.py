"""`list`: list the projects, the subjects of one, or the subjects that this service created."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from xnat_watchd.interfaces.cli import table
from xnat_watchd.interfaces.cli.durations import SPAN
from xnat_watchd.interfaces.cli.options import CommandOptions, project_option, server_options
from xnat_watchd.interfaces.cli.terminal import local

MINUTE = "%Y-%m-%d %H:%M %Z"

EXAMPLES = """\
\b
Examples:
  xnat-watchd list                              the projects that XNAT shows to this account
  xnat-watchd list --project P --csv > subjects.csv
  xnat-watchd list --new-since 7d               the subjects that this service created in the last 7 days
"""


@click.command("list", epilog=EXAMPLES)
@project_option
@click.option("--new-since", type=SPAN, metavar="TIME",
              help="List the subjects that this service created in this time (7d, 12h), by its ledger.")  # fmt: skip
@table.form_options
@server_options
@click.pass_obj
def list_(options: CommandOptions, new_since: timedelta | None, form: str) -> None:
    """List the projects that XNAT shows to this account, or with --project the subjects of one project."""
    if new_since is not None:
        _list_new(options, datetime.now(UTC) - new_since, form)
        return
    with options.gateway() as gateway:
        if options.project:
            rows = [{"label": one.label, "id": one.id} for one in gateway.subjects(options.project)]
            what, columns = "subject", ("label", "id")
        else:
            rows = [{"id": one.id, "name": one.name} for one in gateway.projects()]
            what, columns = "project", ("id", "name")
    rows.sort(key=lambda row: (row[columns[0]].casefold(), row[columns[0]]))
    table.show(rows, columns, form)
    click.echo(table.counted(rows, what), err=True)


def _list_new(options: CommandOptions, since: datetime, form: str) -> None:
    with options.ledger(options.locations().ledger) as ledger:
        rows = ledger.existing_sessions.new_subjects(since, options.project)
    if form == "table":
        rows = [{**row, "created": local(row["created"], MINUTE)} for row in rows]
    table.show(rows, ("label", "project", "created", "item"), form)
    click.echo(f"{table.counted(rows, 'subject')} created since {local(since, MINUTE)}", err=True)
