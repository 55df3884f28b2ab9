"""`alert`: try the ways by which people are told of trouble, and tell them that the service has stopped."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from xnat_watchd.interfaces.cli.options import CommandOptions, is_served

if TYPE_CHECKING:
    from xnat_watchd.core.errors import WatchdError
    from xnat_watchd.operator.alert_channels import Channels

SOON = 35.0  #: seconds in which a running service begins to send: it looks every half minute
EACH = 20.0  #: seconds that each way may take: the service tries one after another
LOOK = 0.2  #: seconds between two looks into the ledger
EXIT_STATUS = "MONITOR_EXIT_STATUS"
"""Tells a unit of `OnFailure=` how the other one has ended (systemd.exec(5), since 251)."""

EXAMPLES = """\
\b
Examples:
  xnat-watchd alert --test                      after [alerts] was edited and reloaded
"""


@click.command(epilog=EXAMPLES)
@click.option("--test", is_flag=True, help="Send a message by every way that is set.")
@click.option("--failed", is_flag=True, help="For systemd: tell that the service has stopped, unless it is restarted.")
@click.pass_obj
def alert(options: CommandOptions, *, test: bool, failed: bool) -> None:
    """Send a test message by every way of [alerts]. A running service sends it, with its login and its rights."""
    if test == failed:
        raise click.UsageError("say --test")
    sys.exit(_test(options) if test else _tell_of_failure(options))


def _test(options: CommandOptions) -> int:
    from xnat_watchd.core.errors import Refusal
    from xnat_watchd.operator.alert_channels import channels, station_name
    from xnat_watchd.operator.alert_texts import trial

    settings, station = options.settings(), station_name()
    ways = channels(settings.alerts, options.environ(), station)
    if not ways:
        raise Refusal("nobody is told of trouble", advice="Set `mail_to`, `webhook` or `apprise` in [alerts].")
    served = is_served(settings.ledger.location)
    text = trial(station)
    return _told(_by_service(options, [*ways], text) if served else _said(_directly(ways, text)))


def _tell_of_failure(options: CommandOptions) -> int:
    """Send the message that the service has stopped. Return 1 if no way could be used."""
    from xnat_watchd.operator.alert_channels import channels, station_name
    from xnat_watchd.operator.alert_texts import STAYS_DOWN, stopped
    from xnat_watchd.settings import load_alerts

    environ, station = options.environ(), station_name()
    code = environ.get(EXIT_STATUS)
    if code is None:
        raise click.UsageError("--failed is for systemd, which says how the service has ended")
    if not code.isdigit() or int(code) not in STAYS_DOWN:
        return 0  # systemd starts it again
    ways = channels(load_alerts(options.config, environ), environ, station)
    found = _directly(ways, stopped(int(code), _wrong_settings(options, environ), station))
    _told(_said(found))
    return (
        1 if found and all(map(_reaches_nobody, found.values())) else 0
    )  # a way that has told it does not tell it again


def _wrong_settings(options: CommandOptions, environ: Mapping[str, str]) -> str:
    """Return what is wrong with the settings; empty if nothing is."""
    from xnat_watchd.core.errors import Refusal
    from xnat_watchd.settings import load

    try:
        load(options.config, environ)
    except Refusal as error:
        return str(error)
    return ""


def _reaches_nobody(error: WatchdError | None) -> bool:
    from xnat_watchd.core.errors import PartlySent

    return error is not None and not isinstance(error, PartlySent)


def _said(found: Mapping[str, WatchdError | None]) -> Mapping[str, str]:
    return {name: str(error or "") for name, error in found.items()}


def _told(found: Mapping[str, str]) -> int:
    """Print for each way whether the message was sent. Return 1 if one was not."""
    for name, why in found.items():
        click.echo(f"{name}: {why or 'sent'}")
    return 1 if any(found.values()) else 0


def _directly(ways: Channels, text: tuple[str, str]) -> Mapping[str, WatchdError | None]:
    """Send a message by this process, and return for each way why not, or None."""
    from xnat_watchd.adapters.ledger.messages import Message
    from xnat_watchd.core.errors import NotSent, Refusal

    found: dict[str, WatchdError | None] = dict.fromkeys(ways)
    for name, send in ways.items():
        try:
            send(Message(0, name, datetime.now(UTC), *text, 0))
        except (NotSent, Refusal) as error:
            found[name] = error
    return found


def _by_service(options: CommandOptions, names: list[str], text: tuple[str, str]) -> Mapping[str, str]:
    """Have the service send a message, and return for each way why not, or nothing."""
    now = datetime.now(UTC)
    topic = f"test {now.isoformat()}"
    with options.ledger(options.locations().ledger, read_only=False) as ledger:
        ledger.messages.write(topic, names, *text, now)
        end = time.monotonic() + SOON + EACH * len(names)
        while (tried := ledger.messages.outcomes(topic)).keys() != {*names} and time.monotonic() < end:
            time.sleep(LOOK)
    silent = "the service has not tried it; after a change of [alerts], type `xnat-watchd reload`"
    return {name: tried.get(name, silent) for name in names}
