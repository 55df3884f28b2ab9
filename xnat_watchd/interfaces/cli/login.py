"""`login`: store a user and password for the service, after XNAT has accepted them."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from xnat_watchd.core.printable import plain
from xnat_watchd.interfaces.cli.options import CommandOptions, server_option
from xnat_watchd.interfaces.cli.terminal import local, say

if TYPE_CHECKING:  # their import takes most of the time that `--help` may take
    from xnat_watchd.adapters.credentials import Search
    from xnat_watchd.adapters.secret import Credential
    from xnat_watchd.settings import Settings

TYPED = "what was typed"

AGAIN = "Nothing was stored. Try the right user and password: XNAT locks an account after some wrong ones."
SAY_IT_AGAIN = "The login is stored. Give --server with each command."
FIRST_SETTINGS = """\
# Written by `xnat-watchd login --server`. `xnat-watchd install` places all settings with their defaults.
[xnat]
server = {server}

[folders]
root = {root}
"""

EXAMPLES = """\
\b
Examples:
  xnat-watchd login                             asks for user and password
  xnat-watchd login --server https://xnat.example.org    the first command of all
  xnat-watchd login --token                     stores a token of XNAT instead of the password
  printf '%s\\n' me "$PASSWORD" | xnat-watchd login
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--token", is_flag=True, help="Store a token of XNAT instead of the password. A token ends after some days. The "
    "service renews it while it runs. After a long stop, log in again.",
)  # fmt: skip
@click.option(
    "--user", metavar="NAME", help="The user. Without it, you are asked, or the first line of the input is read."
)
@server_option
@click.pass_obj
def login(options: CommandOptions, *, token: bool, user: str | None) -> None:
    """Log the service in: ask for user and password, try them once, and store them for the service only.

    Without a terminal, they are read from the input, each on a line of its own. Where nothing is configured yet,
    --server is remembered in a settings file of yours, and the other commands need no option any more.
    """
    from xnat_watchd.adapters import config
    from xnat_watchd.adapters.clock import SystemClock
    from xnat_watchd.adapters.files.lock import is_held, lock_of
    from xnat_watchd.core.errors import AuthRefused
    from xnat_watchd.operator.logins import LoginAttempts, LoginSite

    settings = options.settings()
    search = search_of(settings)
    file = search.logins()[0]
    file.prepare()  # first, so that nobody types a password that cannot be stored
    site, typed = LoginSite(settings.xnat, SystemClock()), _typed(user or options.user)
    try:
        who = site.prove(typed)
    except AuthRefused as refused:
        raise AuthRefused(str(refused), detail=refused.detail, advice=AGAIN) from None
    LoginAttempts(settings.ledger.location, site.clock).succeeded()
    kept = site.token(typed) if token else typed
    file.store(search.server, kept)
    say(f"XNAT at {search.server} knows you as {plain(who)}. Stored in {file.path}, {until(kept)}.")
    if options.server and not options.drop and config.find_file(options.config, os.environ) is None:
        _remember(settings)
    if is_held(lock_of(settings.ledger.path)):
        click.echo("The running service uses it from now on.")
    winner = search.credential()
    if winner is not None and (winner.user, winner.password) != (kept.user, kept.password):
        click.echo(f"But the service uses {winner.source}, which comes first.", err=True)


def _remember(settings: Settings) -> None:
    """Write the user's first settings file: this server, and the folders that were used for it."""
    from xnat_watchd.adapters import config
    from xnat_watchd.adapters.files.folder_handles import make_folder
    from xnat_watchd.adapters.files.new_files import create_new
    from xnat_watchd.core.errors import Refusal

    file = config.own_file(os.environ)
    if file is None:
        return
    values = {"server": settings.xnat.server, "root": str(settings.folders.root)}
    try:
        make_folder(file.parent)
        with os.fdopen(create_new(file, 0o600), "w", encoding="utf-8") as opened:
            opened.write(FIRST_SETTINGS.format(**{name: json.dumps(value) for name, value in values.items()}))
    except OSError as error:
        raise Refusal(f"{file}: cannot be written: {error.strerror}", advice=SAY_IT_AGAIN) from None
    click.echo(f"The other commands use this server from now on: it stands in {file}.")


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
