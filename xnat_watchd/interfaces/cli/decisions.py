"""`skip`, `accept` and `resend`: decisions of a person about studies. The service carries them out."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from xnat_watchd.interfaces.cli.items import ITEM, Item, studies
from xnat_watchd.interfaces.cli.options import CommandOptions, is_served
from xnat_watchd.interfaces.cli.terminal import say

why_option = click.option("--why", required=True, metavar="TEXT", help="The reason, for the record.")
items_argument = click.argument("items", type=ITEM, nargs=-1, required=True, metavar="ITEM...")


def _examples(*lines: str) -> str:
    return "\n".join(["\b", "Examples:", *(f"  xnat-watchd {line}" for line in lines)])


@click.command(epilog=_examples('skip 12.1 --why "sent twice by the scanner"', 'skip 12 13 --why "test scans"'))
@items_argument
@why_option
@click.pass_obj
def skip(options: CommandOptions, items: tuple[Item, ...], why: str) -> None:
    """Skip studies that are not wanted, or settle a rejected ZIP.

    What this service put into XNAT's prearchive for the study is removed. What is in the archive stays there. The ZIP
    is kept in done/skipped. If it is dropped again, it is taken in again. A rejected ZIP stays in failed.
    """
    studies_of = _settle_rejected(options, items, why)
    if studies_of:
        _decide(options, studies_of, "skip", why)


@click.command(epilog=_examples('accept 12.1 --why "the scanner has deleted the third image"'))
@click.argument("item", type=ITEM, metavar="ITEM")
@why_option
@click.pass_obj
def accept(options: CommandOptions, item: Item, why: str) -> None:
    """Accept what is wrong with a held study, and let it go on.

    It goes on without images that are damaged, unexplained, of two contents or of no study, and without series that the
    server left out twice. Or it goes on although XNAT has images that are unknown here. For a complete study, it is
    accepted that XNAT has lost images.

    The decision is for one study, and for what was found until now. `show` always tells what was left behind, and the
    ZIP is never deleted. A study with images of two people is never sent.
    """
    _decide(options, (item,), "accept", why, most=1)


@click.command(epilog=_examples("resend 12.1", 'resend 12 --why "the server was restored from Monday"'))
@items_argument
@click.option("--why", default="", metavar="TEXT", help="The reason, for the record.")
@click.pass_obj
def resend(options: CommandOptions, items: tuple[Item, ...], why: str) -> None:
    """Send studies again from the beginning, for example after XNAT was restored from an old backup.

    XNAT is asked first, file by file, and only what it lacks is sent again. This needs the ZIP.
    """
    _decide(options, items, "resend", why)


def _settle_rejected(options: CommandOptions, items: tuple[Item, ...], why: str) -> tuple[Item, ...]:
    """Settle the rejected deliveries, and return the other items."""
    from xnat_watchd.core.errors import Impossible
    from xnat_watchd.operator.decisions import settle

    others = []
    with options.ledger(options.locations().ledger, read_only=False) as ledger:
        for delivery, number in items:
            if number is not None or not ledger.views.rejected(delivery):
                others.append((delivery, number))
                continue
            try:
                say(f"{delivery} {settle(ledger, delivery, why, options.person, datetime.now(UTC))}")
            except Impossible as error:
                say(f"{delivery}: {error}", err=True)
    return tuple(others)


def _decide(
    options: CommandOptions, items: tuple[Item, ...], decision: str, why: str, *, most: int | None = None
) -> None:
    """Record the decision about each study, and print what will happen, or why the decision is not possible.

    Refuse more than `most` studies. Exit with 1 if a decision was not possible.
    """
    from xnat_watchd.core.errors import Impossible, for_item
    from xnat_watchd.interfaces.cli.execution import tell_elsewhere
    from xnat_watchd.operator.decisions import DECISIONS

    where, decided = options.locations().ledger, list[int]()
    with options.ledger(where, read_only=False) as ledger:
        named = studies(ledger, items)
        if most is not None and len(named) > most:
            raise click.UsageError(f"one study at a time; name one of {', '.join(named)}")
        for name, key in named.items():
            try:
                say(f"{name} {DECISIONS[decision](ledger, key, why, options.person, datetime.now(UTC))}")
                decided.append(key)
            except Impossible as error:
                say(f"{name}: {error}. {for_item(error.advice, name)}", err=True)
        tell_elsewhere(ledger, decided)
        here = len(ledger.existing_sessions.elsewhere(decided)) < len(decided)
        for pause in ledger.pauses.open():
            say(f"paused: {pause.why}. {pause.advice}", err=True)
    if here and not is_served(where):
        say("no service runs here: start it, or type `xnat-watchd run --once`, to have this done", err=True)
    sys.exit(1 if len(decided) < len(named) else 0)
