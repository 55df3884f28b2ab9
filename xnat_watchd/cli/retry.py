"""`retry`: a person says that a held study may go on."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from xnat_watchd.cli.chosen import Chosen, is_served, server_options
from xnat_watchd.cli.items import ITEM, Item

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger import Ledger

EXAMPLES = """\
\b
Examples:
  xnat-watchd retry 12.1                        from where it stopped
  xnat-watchd retry 12.1 --label VISIT_1        under a label of your choice
  xnat-watchd retry --all-held
  xnat-watchd retry 12 --later                  all of delivery 12, and do not wait for it
  xnat-watchd --drop scans retry 1.1            of a folder that was sent with `run --once --drop`

While the service runs, it does the work and you watch; else it is done here.
"""


@click.command(epilog=EXAMPLES, short_help="Let held studies go on.")
@click.argument("items", type=ITEM, nargs=-1, metavar="ITEM...")
@click.option("--all-held", is_flag=True, help="Every held study.")
@click.option("--label", help="The session label to use, for one study.")
@click.option("--subject", help="The subject label to use, for one study.")
@click.option("--later", is_flag=True, help="Do not wait: the service does it, or the next `run`.")
@server_options
@click.pass_obj
def retry(
    chosen: Chosen, items: tuple[Item, ...], *, all_held: bool, label: str | None, subject: str | None, later: bool
) -> None:
    """Let held studies go on: from where they stopped, and XNAT is asked before anything is repeated."""
    _check(label, subject)
    if bool(items) == all_held:
        raise click.UsageError("name the items, or say --all-held")
    path = chosen.places().ledger
    with chosen.ledger(path) as ledger:
        going_on, named = _asked_for(ledger, items, all_held=all_held)
    if (label or subject) and len(going_on) != 1:
        raise click.UsageError("a label or subject is for one held study; name it, as in 12.1")
    _tell_of_others(going_on, named, items)
    if going_on:
        _let_go_on(chosen, going_on, subject=subject, label=label, later=later)


def _check(label: str | None, subject: str | None) -> None:
    from xnat_watchd.core.labels import is_label

    for name, text in (("--label", label), ("--subject", subject)):
        if text is not None and not is_label(text):
            raise click.BadParameter("XNAT takes letters, digits, - and _ only", param_hint=name)


def _asked_for(ledger: Ledger, items: Sequence[Item], *, all_held: bool) -> tuple[dict[str, int], dict[str, int]]:
    """Give the held studies that are meant, and all that were named: name -> key."""
    held = ledger.views.held()
    named = held if all_held else {}
    for delivery, number in items:
        named |= ledger.views.keys(delivery, number)
    return {name: key for name, key in named.items() if name in held}, named


def _tell_of_others(going_on: Collection[str], named: Mapping[str, int], items: Sequence[Item]) -> None:
    if items and not named:
        raise click.ClickException("there is no such study; `xnat-watchd status` names those that need somebody")
    for name in named.keys() - set(going_on):
        click.echo(f"{name} is not held", err=True)
    if not going_on and not items:
        click.echo("nothing is held", err=True)


def _let_go_on(
    chosen: Chosen, studies: Mapping[str, int], *, subject: str | None, label: str | None, later: bool
) -> None:
    """Release them and see them through. What they need to be carried here is looked for before anything changes."""
    from xnat_watchd.cli import working
    from xnat_watchd.cli.progress import Part

    path = chosen.places().ledger
    ours = None if later or is_served(path) else working.ourselves(chosen)
    with chosen.ledger(path, read_only=False) as ledger:
        part = Part(studies.values(), ledger.courses.now())
        for key in studies.values():
            ledger.studies.release(key, datetime.now(UTC), subject=subject, label=label)
        for name in studies:
            click.echo(f"{name} goes on")
        if not later:
            sys.exit(working.see_through(chosen, ledger, path, part, ours))
