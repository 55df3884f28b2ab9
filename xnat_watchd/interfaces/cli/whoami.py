"""`whoami`: show our user on XNAT, and the login in use."""

from __future__ import annotations

import click

from xnat_watchd.interfaces.cli.login import until
from xnat_watchd.interfaces.cli.options import CommandOptions
from xnat_watchd.interfaces.cli.terminal import say

EXAMPLES = """\
\b
Examples:
  xnat-watchd whoami
  xnat-watchd --server https://xnat.example.org --user me whoami
"""


@click.command(epilog=EXAMPLES)
@click.pass_obj
def whoami(options: CommandOptions) -> None:
    """Show your user on XNAT, where the login comes from, and until when it is valid. XNAT is asked once."""
    from xnat_watchd.adapters.clock import SystemClock
    from xnat_watchd.operator.logins import LoginSite

    settings = options.settings()
    credential = options.credential(settings)
    who = LoginSite(settings.xnat, SystemClock()).prove(credential)
    say(f"{who} on {settings.xnat.server}, by {credential.source}, {until(credential)}")
