"""Items as people type them: 12 is a delivery, 12.1 is a study of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from xnat_watchd.interfaces.cli.options import CommandOptions

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger.ledger import Ledger

Item = tuple[int, int | None]

ITEMS, STUCK = "items", "--stuck"  #: the command that lists items for a shell
LATEST = 50  #: the number of deliveries whose studies a shell offers


class ItemType(click.ParamType[Item]):
    """The number of a delivery, or the numbers of a delivery and a study with a dot between them."""

    name = "item"

    def __init__(self, *, stuck: bool = False) -> None:
        self._stuck = stuck  #: a shell offers those that are held or wait, instead of the latest

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Item:
        """Return (12, None) for `12` and (12, 1) for `12.1`."""
        found = re.fullmatch(r"(\d{1,15})(?:\.(\d{1,9}))?", str(value))
        if found is None:
            self.fail(f"{value!r} is no item: a delivery is 12, a study of it 12.1", param, ctx)
        return int(found[1]), int(found[2]) if found[2] else None

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the items that begin like this, or nothing if neither ledger nor service tells them."""
        from xnat_watchd.core.errors import LedgerUnusable, Refusal
        from xnat_watchd.interfaces.cli.passing_on import output_of

        del param
        options = ctx.obj if isinstance(ctx.obj, CommandOptions) else CommandOptions()
        try:
            told = output_of([ITEMS, *([STUCK] if self._stuck else [])]) if options.is_for_this_machine else None
            names = told.stdout.split() if told else _offered(options, stuck=self._stuck)
        except (Refusal, OSError, LedgerUnusable):
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class ItemOrNameType(click.ParamType[Item | str]):
    """An item, or else the name of a file or a part of it."""

    name = "item or name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Item | str:
        """Return the item that the text is, else the text."""
        text = str(value)
        return ITEM.convert(text, param, ctx) if re.fullmatch(r"[0-9.]+", text) else text

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the latest items that begin like this."""
        return ITEM.shell_complete(ctx, param, incomplete)


ITEM = ItemType()
STUCK_ITEM = ItemType(stuck=True)
ITEM_OR_NAME = ItemOrNameType()


@click.command(ITEMS, hidden=True)
@click.option(STUCK, "stuck", is_flag=True, help="Those that `retry` moves.")
@click.pass_obj
def items(options: CommandOptions, *, stuck: bool) -> None:
    """List the latest items, for a shell that completes them."""
    click.echo("\n".join(_offered(options, stuck=stuck)))


def _offered(options: CommandOptions, *, stuck: bool) -> list[str]:
    with options.ledger(options.locations().ledger) as ledger:
        if stuck:
            return [*ledger.views.stuck()]
        latest = ledger.views.latest(LATEST)
    return [f"{one['id']}.{study['number']}" for one in latest[::-1] for study in one["studies"]]


def studies(ledger: Ledger, items: Iterable[Item]) -> dict[str, int]:
    """Return the studies of these items: name -> key in the ledger. Raise `BadParameter` if an item has none."""
    keys: dict[str, int] = {}
    for delivery, number in items:
        found = ledger.views.keys(delivery, number)
        if not found:
            raise click.BadParameter(f"there is no {delivery}{f'.{number}' if number else ''} in the ledger")
        keys |= found
    return keys
