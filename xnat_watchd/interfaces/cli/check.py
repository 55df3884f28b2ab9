"""`check`: check that everything is as it should be, on this machine and on the server."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from xnat_watchd.interfaces.cli.options import CommandOptions
from xnat_watchd.interfaces.cli.rights import become_owner
from xnat_watchd.interfaces.cli.terminal import as_json, paragraph

if TYPE_CHECKING:  # their import takes most of the time that `--help` may take
    from collections.abc import Iterator

    from xnat_watchd.operator.machine_checks import Check

EXAMPLES = """\
\b
Examples:
  xnat-watchd check                             as the user who runs the service, or as root
  xnat-watchd check --json                      for programs
"""


@click.command(epilog=EXAMPLES)
@click.option("--json", "for_programs", is_flag=True, help="As JSON.")
@click.pass_obj
def check(options: CommandOptions, *, for_programs: bool) -> None:
    """Check everything that the service needs, here and on the server. Say what is wrong and what to do.

    Nothing is changed. If the login is refused, that counts: XNAT is asked with a refused login at most four times an
    hour. If root types it, the checks have the rights of the service's user.
    """
    from xnat_watchd.operator.machine_checks import verdict

    found = []
    for one in _checks(options):
        found.append(one)
        if not for_programs:
            click.echo("\n".join(_lines(one)))
    if for_programs:
        rows = [{"name": c.name, "state": c.state, "said": c.said, "advice": c.advice} for c in found]
        as_json({"checks": rows})
    sys.exit(verdict(found))


def _checks(options: CommandOptions) -> Iterator[Check]:
    from xnat_watchd.adapters import config
    from xnat_watchd.adapters.clock import SystemClock
    from xnat_watchd.core.errors import Refusal, WrongSettings
    from xnat_watchd.interfaces.cli.login import search_of
    from xnat_watchd.operator.alert_checks import check_alerts
    from xnat_watchd.operator.machine_checks import check_machine, check_operator_socket, check_unit, error, ok
    from xnat_watchd.operator.server_checks import check_server

    try:
        options.locations()  # by this, root becomes the service's user, who then reads the settings
        settings = options.settings()
        user = become_owner(settings.ledger.path.parent)
    except WrongSettings as wrong:
        *others, last = wrong.problems
        yield from (error("configuration", one, "") for one in others)
        yield error("configuration", last, wrong.advice)
        return
    except Refusal as refused:
        yield error("configuration", str(refused), refused.advice)
        return
    file = config.find_file(options.config, os.environ) or "the environment alone"
    yield ok("configuration", f"{file}, looked at as the user {user}")
    yield from check_machine(settings)
    if options.is_for_this_machine:
        yield from check_unit(settings)
        yield from check_operator_socket()
    yield from check_alerts(settings.alerts, options.environ())
    yield from check_server(settings, search_of(settings).credential, SystemClock())


def _lines(one: Check) -> list[str]:
    advice = paragraph(one.advice, first=" " * 10) if one.advice else []
    return [*paragraph(f"{one.name}: {one.said}", first=f"{one.state:<9} "), *advice]
