"""`login`: store a user and password for the service, after XNAT has accepted them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from xnat_watchd.cli.options import CommandOptions
from xnat_watchd.cli.terminal import local, plain

if TYPE_CHECKING:  # their import takes most of the time that `--help` may take
    from xnat_watchd.adapters.credentials import Search
    from xnat_watchd.adapters.secret import Credential
    from xnat_watchd.settings import Settings

TYPED = "what was typed"

EXAMPLES = """\
\b
Examples:
  xnat-watchd login                             asks for user and password
  xnat-watchd login --token                     stores a token of XNAT instead of the password
  printf '%s\\n' me "$PASSWORD" | xnat-watchd login
"""


@click.command(epilog=EXAMPLES, short_help="Store user and password for the service.")
@click.option(
    "--token", is_flag=True, help="Store a token of XNAT instead of the password. A token ends after some days. The "
    "service renews it while it runs. After a long stop, log in again.",
)  # fmt: skip
@click.option(
    "--user", metavar="NAME", help="The user. Without it, you are asked, or the first line of the input is read."
)
@click.pass_obj
def login(options: CommandOptions, *, token: bool, user: str | None) -> None:
    """Log the service in: ask for user and password, try them once, and store them for the service only.

    Without a terminal, they are read from the input, each on a line of its own.
    """
    from xnat_watchd.adapters.clock import SystemClock
    from xnat_watchd.adapters.files.layout import lock_of
    from xnat_watchd.adapters.files.lock import is_held
    from xnat_watchd.operator.logins import LoginAttempts, LoginSite

    settings = options.settings()
    search = search_of(settings)
    file = search.logins()[0]
    file.prepare()  # first, so that nobody types a password that cannot be stored
    site, typed = LoginSite(settings.xnat, SystemClock()), _typed(user or options.user)
    who = site.prove(typed)
    LoginAttempts(settings.ledger.path, site.clock).succeeded()
    kept = site.token(typed) if token else typed
    file.store(search.server, kept)
    click.echo(f"XNAT at {search.server} knows you as {plain(who)}. Stored in {file.path}, {until(kept)}.")
    if is_held(lock_of(settings.ledger.path)):
        click.echo("The running service uses it from now on.")
    winner = search.credential()
    if winner is not None and (winner.user, winner.password) != (kept.user, kept.password):
        click.echo(f"But the service uses {winner.source}, which comes first.", err=True)


def search_of(settings: Settings) -> Search:
    """Return the places where a login for this service is looked for."""
    from xnat_watchd.adapters.credentials import Search

    return Search(settings.xnat.server, os.environ, settings.ledger.path.parent)


def until(credential: Credential) -> str:
    """Return, in words, how long a login is valid, as far as that is known."""
    lease = credential.lease
    if lease is None:
        return "until the password is changed"
    if lease.expires is None:
        return "as a token, but this XNAT does not say until when"
    return f"as a token until {local(lease.expires, '%Y-%m-%d %H:%M %Z')}, and longer while the service runs"


def _typed(user: str | None) -> Credential:
    """Ask for user and password, or read them. The command line is not used: everybody on the machine can see it."""
    from xnat_watchd.adapters.secret import Credential, Secret

    if sys.stdin.isatty():
        user = user or click.prompt("User", err=True)
        password = click.prompt("Password", hide_input=True, err=True)
    else:
        user = user or sys.stdin.readline().rstrip("\r\n")
        password = sys.stdin.readline().rstrip("\r\n")
    if not user or not password:
        raise click.UsageError("a user and a password are needed, each on a line of its own")
    return Credential(user, Secret(password), TYPED)
