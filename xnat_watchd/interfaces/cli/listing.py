"""`list`: list the projects, the subjects of one, or the subjects that this service created."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from xnat_watchd.interfaces.cli import table
from xnat_watchd.interfaces.cli.durations import SPAN
from xnat_watchd.interfaces.cli.options import CommandOptions, project_option, server_options
from xnat_watchd.interfaces.cli.terminal import local

if TYPE_CHECKING:  # their import takes most of the time that `--help` may take
    from xnat_watchd.adapters.xnat.gateway import XnatGateway
    from xnat_watchd.adapters.xnat.projects import SubjectRow

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
            rows = [{"label": one.label, "id": one.id} for one in _subjects(options.project, gateway)]
            what, columns = "subject", ("label", "id")
        else:
            rows = [{"id": one.id, "name": one.name} for one in gateway.projects()]
            what, columns = "project", ("id", "name")
    rows.sort(key=lambda row: (row[columns[0]].casefold(), row[columns[0]]))
    table.show(rows, columns, form)
    click.echo(table.counted(rows, what), err=True)


def _subjects(project: str, gateway: XnatGateway) -> list[SubjectRow]:
    """Return the subjects of a project. Where it cannot be read, the error names the one that may be meant."""
    from xnat_watchd.core.errors import Permanent
    from xnat_watchd.core.projects import if_meant

    try:
        return gateway.subjects(project)
    except Permanent as error:
        error.advice = f"{if_meant(project, gateway.listed())}{error.advice}"
        raise


def _list_new(options: CommandOptions, since: datetime, form: str) -> None:
    with options.ledger(options.locations().ledger) as ledger:
        rows = ledger.existing_sessions.new_subjects(since, options.project)
    if form == "table":
        rows = [{**row, "created": local(row["created"], MINUTE)} for row in rows]
    table.show(rows, ("label", "project", "created", "item"), form)
    click.echo(f"{table.counted(rows, 'subject')} created since {local(since, MINUTE)}", err=True)
