"""`run`: the service itself, in the foreground."""

from __future__ import annotations

import sys

import click

from xnat_watchd.cli.chosen import Chosen


@click.command()
@click.option("--once", is_flag=True, help="Work off what lies in the drop folder, then stop and say what remains.")
@click.pass_obj
def run(chosen: Chosen, *, once: bool) -> None:
    """Watch the drop folder and carry its ZIPs into XNAT until stopped."""
    from xnat_watchd import daemon
    from xnat_watchd.adapters import logs

    settings = chosen.settings()
    log = logs.configure(settings.logs.format)
    code, picture = daemon.run(settings, chosen.credential(settings), log, once=once)
    if once:
        for line in daemon.remains(picture):
            click.echo(line)
    sys.exit(code)
