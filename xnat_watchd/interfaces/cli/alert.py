"""`alert`: try the ways by which people are told of trouble."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from xnat_watchd.interfaces.cli.options import CommandOptions, is_served

if TYPE_CHECKING:
    from xnat_watchd.operator.alert_channels import Channels

PATIENCE = 75.0  #: seconds to wait for a running service: it tries one way after another, each for at most 20 seconds
LOOK = 0.2  #: seconds between two looks into the ledger

EXAMPLES = """\
\b
Examples:
  xnat-watchd alert --test                      after [alerts] was edited and reloaded
"""


@click.command(epilog=EXAMPLES)
@click.option("--test", is_flag=True, required=True, help="Send a message by every way that is set.")
@click.pass_obj
def alert(options: CommandOptions, *, test: bool) -> None:
    """Send a test message by every way of [alerts]. A running service sends it, with its login and its rights."""
    from xnat_watchd.core.errors import Refusal
    from xnat_watchd.operator.alert_channels import channels, station_name

    del test
    settings = options.settings()
    station = station_name()
    ways = channels(settings.alerts, options.environ(), station)
    if not ways:
        raise Refusal("nobody is told of trouble", advice="Set `mail_to`, `webhook` or `apprise` in [alerts].")
    served = is_served(settings.ledger.path)
    found = _by_service(options, [*ways], station) if served else _directly(ways, station)
    for name, why in found.items():
        click.echo(f"{name}: {why or 'sent'}")
    sys.exit(1 if any(found.values()) else 0)


def _directly(ways: Channels, station: str) -> Mapping[str, str]:
    """Send the message by this process, and return for each way why not, or nothing."""
    from xnat_watchd.adapters.ledger.messages import Message
    from xnat_watchd.core.errors import NotSent, Refusal
    from xnat_watchd.operator.alert_texts import trial

    found = dict.fromkeys(ways, "")
    for name, send in ways.items():
        try:
            send(Message(0, name, datetime.now(UTC), *trial(station), 0))
        except (NotSent, Refusal) as error:
            found[name] = str(error)
    return found


def _by_service(options: CommandOptions, names: list[str], station: str) -> Mapping[str, str]:
    """Have the service send the message, and return for each way why not, or nothing."""
    from xnat_watchd.operator.alert_texts import trial

    now = datetime.now(UTC)
    topic = f"test {now.isoformat()}"
    with options.ledger(options.locations().ledger, read_only=False) as ledger:
        ledger.messages.write(topic, names, *trial(station), now)
        end = time.monotonic() + PATIENCE
        while (tried := ledger.messages.outcomes(topic)).keys() != {*names} and time.monotonic() < end:
            time.sleep(LOOK)
    silent = "the service has not tried it; after a change of [alerts], type `xnat-watchd reload`"
    return {name: tried.get(name, silent) for name in names}
