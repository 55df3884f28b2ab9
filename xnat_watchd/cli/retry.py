"""`retry`: a person says that a held study may go on."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from xnat_watchd.cli.chosen import Chosen
from xnat_watchd.cli.items import ITEM, Item


@click.command(short_help="Let held studies go on.")
@click.argument("items", type=ITEM, nargs=-1, metavar="ITEM...")
@click.option("--all-held", is_flag=True, help="Every held study.")
@click.option("--label", help="The session label to use, for one study.")
@click.option("--subject", help="The subject label to use, for one study.")
@click.pass_obj
def retry(chosen: Chosen, items: tuple[Item, ...], *, all_held: bool, label: str | None, subject: str | None) -> None:
    """Let held studies go on: from where they stopped, and XNAT is asked before anything is repeated."""
    from xnat_watchd.core.labels import is_label

    for name, text in (("--label", label), ("--subject", subject)):
        if text is not None and not is_label(text):
            raise click.BadParameter("XNAT takes letters, digits, - and _ only", param_hint=name)
    if bool(items) == all_held:
        raise click.UsageError("name the items, or say --all-held")
    with chosen.ledger(chosen.places().ledger, read_only=False) as ledger:
        held = ledger.views.held()
        keys = held if all_held else {}
        for delivery, number in items:
            keys |= ledger.views.keys(delivery, number)
        going_on = {name: key for name, key in keys.items() if name in held}
        if (label or subject) and len(going_on) != 1:
            raise click.UsageError("a label or subject is for one held study; name it, as in 12.1")
        for key in going_on.values():
            ledger.studies.release(key, datetime.now(UTC), subject=subject, label=label)
    _tell(going_on, keys, items)


def _tell(going_on: dict[str, int], keys: dict[str, int], items: tuple[Item, ...]) -> None:
    for name in going_on:
        click.echo(f"{name} goes on")
    for name in keys.keys() - going_on.keys():
        click.echo(f"{name} is not held", err=True)
    if items and not keys:
        raise click.ClickException("there is no such item in the ledger")
