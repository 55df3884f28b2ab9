"""The command line: one short file for each command. Data goes to stdout, talk to stderr."""

from __future__ import annotations

from pathlib import Path

import click

from xnat_watchd import __version__
from xnat_watchd.cli.chosen import Chosen
from xnat_watchd.cli.demo import demo
from xnat_watchd.cli.listing import list_
from xnat_watchd.cli.retry import retry
from xnat_watchd.cli.run import run
from xnat_watchd.cli.show import show
from xnat_watchd.cli.status import status


@click.group(epilog="Exit codes: 0 fine, 1 something is held or failed, 2 usage, 69 server unavailable, "
             "75 something still waits, 77 login refused, 78 configuration.")  # fmt: skip
@click.version_option(__version__)
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="The settings file; else $XNAT_WATCHD_CONFIG, "
    "/etc/xnat-watchd/config.toml, or the one in your configuration folder."
)  # fmt: skip
@click.pass_context
def commands(context: click.Context, config: Path | None) -> None:
    """Carry ZIPs of DICOM from a folder into XNAT, and prove that they arrived."""
    context.obj = Chosen(config)


for command in (run, status, show, list_, retry, demo):
    commands.add_command(command)
