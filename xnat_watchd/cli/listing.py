"""`list`: projects, or the subjects of one."""

from __future__ import annotations

import dataclasses
import json
import sys

import click

from xnat_watchd.cli.chosen import Chosen


@click.command("list")
@click.option("--project", help="List the subjects of this project.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def list_(chosen: Chosen, project: str | None, *, as_json: bool) -> None:
    """List the projects that XNAT shows to this account, or the subjects of one."""
    with chosen.gateway() as gateway:
        rows = [dataclasses.asdict(row) for row in (gateway.subjects(project) if project else gateway.projects())]
    if as_json:
        json.dump(rows, sys.stdout, indent=2, ensure_ascii=False)
        click.echo()
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for column in rows[0] if rows else ():
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    click.echo(f"{len(rows)} {'subjects' if project else 'projects'}", err=True)
