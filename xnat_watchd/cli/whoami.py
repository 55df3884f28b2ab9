"""`whoami`: who we are on XNAT, and by which login."""

from __future__ import annotations

import click

from xnat_watchd.cli.login import until
from xnat_watchd.cli.options import CommandOptions
from xnat_watchd.cli.terminal import say

EXAMPLES = """\
\b
Examples:
  xnat-watchd whoami
  xnat-watchd --server https://xnat.example.org --user me whoami
"""


@click.command(epilog=EXAMPLES, short_help="Say as whom XNAT knows us.")
@click.pass_obj
def whoami(chosen: CommandOptions) -> None:
    """Say as whom XNAT knows us, where the login comes from, and until when it holds. Asks XNAT once."""
    from xnat_watchd.adapters.clock import SystemClock
    from xnat_watchd.operator.logins import LoginSite

    settings = chosen.settings()
    credential = chosen.credential(settings)
    who = LoginSite(settings.xnat, SystemClock()).prove(credential)
    say(f"{who} on {settings.xnat.server}, by {credential.source}, {until(credential)}")
