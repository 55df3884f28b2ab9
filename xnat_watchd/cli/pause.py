"""`pause` and `resume`: nothing is sent to XNAT for a while; the folder is watched all the same."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from xnat_watchd.cli.options import CommandOptions

EXAMPLES = """\
\b
Examples:
  xnat-watchd pause                             before XNAT is maintained
  xnat-watchd resume                            when it is back
"""


@click.command(epilog=EXAMPLES, short_help="Send nothing to XNAT until `resume`.")
@click.pass_obj
def pause(chosen: CommandOptions) -> None:
    """Send nothing to XNAT and ask it nothing, until `resume`: while it is maintained, say.

    The folder is watched and ZIPs are taken as ever. It holds across restarts. What is being sent just now comes to the
    end of its step.
    """
    from xnat_watchd.adapters.ledger import Activity

    with chosen.ledger(chosen.places().ledger, read_only=False) as ledger:
        advice = "Type `xnat-watchd resume` to go on."
        begun = ledger.pauses.begin(Activity.WORK, "a person has paused it", advice, datetime.now(UTC))
        busy = ledger.studies.any_busy()
    click.echo("paused: nothing more is sent until `xnat-watchd resume`" if begun else "it was paused already")
    if busy:
        click.echo("a step is still under way; `xnat-watchd status` shows when it has ended", err=True)


@click.command(epilog=EXAMPLES, short_help="Go on after `pause`.")
@click.pass_obj
def resume(chosen: CommandOptions) -> None:
    """Go on after `pause`; and delete ZIPs again as [retention] says, after the clock was found to have jumped.

    Projects that are shut because of their trouble are tried at once.
    """
    with chosen.ledger(chosen.places().ledger, read_only=False) as ledger:
        now = datetime.now(UTC)
        ended, tried = ledger.pauses.end(now), ledger.gates.try_now(now)
    if ended or not tried:
        click.echo(f"{' and '.join(ended)} goes on" if ended else "nothing was paused")
    for project in tried:
        click.echo(f"project {project}, which was shut, is tried at once")
