"""`logout`: remove the login that `login` has stored."""

from __future__ import annotations

import click

from xnat_watchd.interfaces.cli.login import search_of, until
from xnat_watchd.interfaces.cli.options import CommandOptions

EXAMPLES = """\
\b
Examples:
  xnat-watchd logout
"""


@click.command(epilog=EXAMPLES)
@click.pass_obj
def logout(options: CommandOptions) -> None:
    """Remove the login that `login` has stored. If it is a token, XNAT deletes it."""
    from xnat_watchd.adapters.clock import SystemClock
    from xnat_watchd.core.errors import AuthRefused, WatchdError
    from xnat_watchd.operator.logins import LoginSite

    settings = options.settings()
    search = search_of(settings)
    forgotten = [found for file in search.logins() if (found := file.remove(search.server))]
    if not forgotten:
        raise click.ClickException(f"no login is stored for {search.server}")
    for one in forgotten:
        click.echo(f"The login for {search.server} is no longer in {one.source.removeprefix('the file ')}.")
        if one.lease is None:
            continue
        try:
            LoginSite(settings.xnat, SystemClock()).give_back(one)
        except AuthRefused:
            click.echo("XNAT did not know the token any more.")
        except WatchdError as error:
            click.echo(f"XNAT could not be asked to delete the token ({error}): it is valid {until(one)}.", err=True)
        else:
            click.echo("XNAT has deleted the token.")
    left = search.credential()
    if left is not None:
        click.echo(f"From now on, the service uses {left.source}.")
