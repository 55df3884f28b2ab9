"""`demo`: all of it on this machine, with a practice XNAT and made-up patients."""

from __future__ import annotations

import click


@click.command()
@click.option("--keep", is_flag=True, help="Stay up afterwards, so that you can drop ZIPs of your own.")
def demo(*, keep: bool) -> None:
    """Show ZIPs travel into a practice XNAT, in half a minute. Needs nothing and leaves nothing behind."""
