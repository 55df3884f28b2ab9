"""`check`: whether everything is as it should be, here and on the server."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from xnat_watchd.cli.chosen import Chosen
from xnat_watchd.cli.rights import become_owner

if TYPE_CHECKING:  # their import takes most of the time that `--help` may take
    from collections.abc import Iterator

    from xnat_watchd.checks import Check

EXAMPLES = """\
\b
Examples:
  xnat-watchd check                             as the user who runs the service, or as root
  xnat-watchd check --json                      for programs
"""


@click.command(epilog=EXAMPLES, short_help="Say what is wrong, here or on the server.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def check(chosen: Chosen, *, as_json: bool) -> None:
    """Look at everything that the service needs, here and on the server, and say what is wrong and what to do.

    Nothing is changed. Done by root, it looks with the eyes of the service's user.
    """
    from xnat_watchd.checks import verdict

    found = []
    for one in _checks(chosen):
        found.append(one)
        if not as_json:
            click.echo(_line(one))
    if as_json:
        rows = [{"name": c.name, "state": c.state, "said": c.said, "advice": c.advice} for c in found]
        json.dump({"checks": rows}, sys.stdout, indent=2, ensure_ascii=False)
        click.echo()
    sys.exit(verdict(found))


def _checks(chosen: Chosen) -> Iterator[Check]:
    from xnat_watchd.adapters import config
    from xnat_watchd.adapters.clock import SystemClock
    from xnat_watchd.checks import error, of_machine, ok
    from xnat_watchd.cli.login import search_of
    from xnat_watchd.core.errors import Refusal
    from xnat_watchd.server_checks import of_server

    try:
        eyes = become_owner(chosen.places().ledger.parent)
        settings = chosen.settings()
    except Refusal as refused:
        yield error("configuration", str(refused), refused.advice)
        return
    file = config.find_file(chosen.config, os.environ) or "the environment alone"
    yield ok("configuration", f"{file}, looked at as the user {eyes}")
    yield from of_machine(settings)
    yield from of_server(settings, search_of(settings).credential, SystemClock())


def _line(one: Check) -> str:
    advice = f"\n{'':10}{one.advice}" if one.advice else ""
    return f"{one.state:<9} {one.name}: {one.said}{advice}"
