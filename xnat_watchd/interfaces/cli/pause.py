"""`pause` and `resume`: send nothing to XNAT for a while. The drop folder is still watched."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from xnat_watchd.interfaces.cli.options import CommandOptions
from xnat_watchd.interfaces.cli.terminal import say

EXAMPLES = """\
\b
Examples:
  xnat-watchd pause                             before XNAT is maintained
  xnat-watchd resume                            when it is back
"""


@click.command(epilog=EXAMPLES)
@click.pass_obj
def pause(options: CommandOptions) -> None:
    """Send nothing to XNAT and ask it nothing until `resume`, for example during its maintenance.

    The drop folder is still watched, and ZIPs are taken in. The pause lasts after a restart, too. A step that is under
    way is finished first.
    """
    from xnat_watchd.operator import decisions

    with options.ledger(options.locations().ledger, read_only=False) as ledger:
        begun = decisions.pause(ledger, "", options.person, datetime.now(UTC))
        busy = ledger.studies.any_busy_here()
    say("paused: nothing more is sent until `xnat-watchd resume`" if begun else "it was paused already")
    if busy:
        say("a step is still under way; `xnat-watchd status` shows when it has ended", err=True)


@click.command(epilog=EXAMPLES)
@click.pass_obj
def resume(options: CommandOptions) -> None:
    """Go on after `pause`. Also delete old ZIPs again, if that stopped because the clock had jumped.

    Projects that are shut after a problem are tried at once.
    """
    from xnat_watchd.operator import decisions

    with options.ledger(options.locations().ledger, read_only=False) as ledger:
        ended, tried = decisions.resume(ledger, options.person, datetime.now(UTC))
    if ended or not tried:
        click.echo(f"{' and '.join(ended)} goes on" if ended else "nothing was paused")
    for project in tried:
        click.echo(f"project {project}, which was shut, is tried at once")
