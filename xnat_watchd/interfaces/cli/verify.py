"""`verify`: ask whether XNAT still has every image that it was seen to have."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from xnat_watchd.interfaces.cli.durations import SPAN
from xnat_watchd.interfaces.cli.items import ITEM, Item, studies
from xnat_watchd.interfaces.cli.options import CommandOptions, server_options
from xnat_watchd.interfaces.cli.terminal import say

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger.ledger import Ledger
    from xnat_watchd.adapters.xnat.gateway import XnatGateway

EXAMPLES = """\
\b
Examples:
  xnat-watchd verify 12.1                       one study
  xnat-watchd verify --since 30d                every study that was archived in the last 30 days
"""


@click.command(epilog=EXAMPLES)
@click.argument("items", type=ITEM, nargs=-1, metavar="ITEM...")
@click.option("--since", type=SPAN, metavar="TIME", help="Every study that was archived since then (30d, 12h).")
@server_options
@click.pass_obj
def verify(options: CommandOptions, items: tuple[Item, ...], since: timedelta | None) -> None:
    """Ask XNAT for every single image of archived studies, by its SOP Instance UID.

    Nothing is changed in XNAT. `show` tells what was asked and found. If images are missing, the exit code is 1, and
    `status` shows the study until they are found or sent again. To send them again, type `xnat-watchd resend ITEM`.
    Each image is one request, so many studies take a long time.
    """
    from xnat_watchd.interfaces.cli.execution import reading_gateway

    if bool(items) == (since is not None):
        raise click.UsageError("name the items, or say --since")
    settings = options.settings()
    with (
        options.ledger(settings.ledger.location, read_only=False) as ledger,
        reading_gateway(options, settings, options.credential(settings)) as gateway,
    ):
        whole = [_verify(ledger, gateway, name, key) for name, key in _studies(ledger, items, since).items()]
    click.echo(f"{sum(whole)} of {len(whole)} whole", err=True)
    sys.exit(0 if all(whole) else 1)


def _studies(ledger: Ledger, items: tuple[Item, ...], since: timedelta | None) -> dict[str, int]:
    if since is not None:
        keys = ledger.kept_zips.archived_since(datetime.now(UTC) - since)
        return {ledger.studies.get(key).name: key for key in keys}
    return studies(ledger, items)


def _verify(ledger: Ledger, gateway: XnatGateway, name: str, key: int) -> bool:
    """Ask about one study, print and record what was found, and return whether nothing is missing."""
    from xnat_watchd.core.states import Progress, reached
    from xnat_watchd.studies.verification import verify as ask

    item = ledger.studies.get(key)
    if not reached(item.progress, Progress.ARCHIVED):
        click.echo(f"{name} is not archived: it is {item.progress}")
        return False
    now = datetime.now(UTC)
    found = ask(item, ledger, gateway, now)
    ledger.kept_zips.record_verified(item, found.summary, now)
    say(f"{name} {found.summary}{_left_behind(ledger, key)}{_clutter(ledger, item.delivery)}")
    return not found.missing


def _clutter(ledger: Ledger, delivery: int) -> str:
    """Return the words about clutter in the ZIP: members that are certainly no images."""
    from xnat_watchd.operator.item_facts import counted

    clutter = ledger.views.clutter(delivery)
    return f"; clutter in its ZIP: {counted(clutter)}" if clutter else ""


def _left_behind(ledger: Ledger, key: int) -> str:
    """Return the words about images that stay in the ZIP because a person has accepted that."""
    return "".join(
        f"; {one['of'] - one['images']} of {one['of']} were left behind in its ZIP, as a person has accepted"
        for one in ledger.views.left_behind(key)
    )
