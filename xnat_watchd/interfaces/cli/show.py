"""`show`: show what happened to one delivery or study."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from xnat_watchd.core.access import WHO_DECIDES
from xnat_watchd.core.place_names import is_place_name
from xnat_watchd.core.printable import plain
from xnat_watchd.interfaces.cli.items import ITEM_OR_NAME, Item
from xnat_watchd.interfaces.cli.options import CommandOptions, is_served
from xnat_watchd.interfaces.cli.share_table import table_lines
from xnat_watchd.interfaces.cli.story import lines as events
from xnat_watchd.interfaces.cli.terminal import as_json, as_typed, local, paragraph, say
from xnat_watchd.operator.item_facts import delivery_facts, finding_facts, study_facts, study_heading

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger.ledger import Ledger
    from xnat_watchd.interfaces.cli.locations import Locations

EXAMPLES = """\
\b
Examples:
  xnat-watchd show 12                           a delivery, all of its studies
  xnat-watchd show 12.1                         one study of it
  xnat-watchd show mri_17.zip                   the delivery of this file
  xnat-watchd show watchd-12-1-k3m9x2q7pa       the delivery of this session in XNAT's prearchive
  xnat-watchd show table.csv                    a share table, row by row
  xnat-watchd --drop scans show 1               of a folder that was sent with `run --once --drop`

Names of patients and files are shown to root, the service's user and the group xnat-admin.
"""


@click.command(epilog=EXAMPLES)
@click.argument("item", metavar="ITEM|NAME", type=ITEM_OR_NAME)
@click.option("--json", "for_programs", is_flag=True, help="As JSON.")
@click.pass_obj
def show(options: CommandOptions, item: Item | str, *, for_programs: bool) -> None:
    """Show what happened to a delivery (12) or one study of it (12.1): every event with its time.

    Instead of the number, give the file's name or a part of it, or the session's name in XNAT's prearchive. The name of
    a share table, or a part of it, shows its rows.
    """
    from xnat_watchd.operator.nameless import story_without_names
    from xnat_watchd.operator.program_story import story_for_programs

    here = options.locations()
    with options.ledger(here.ledger) as ledger:
        table = _table(ledger, item) if isinstance(item, str) else None
        if table is not None:
            as_json(table) if for_programs else click.echo("\n".join(table_lines(table)))
            return
        delivery, number = (_named_delivery(ledger, item, here), None) if isinstance(item, str) else item
        found = ledger.views.delivery(delivery)
        same = ledger.listing.same_as(delivery)
        if found is not None and not options.sees_names:
            found = story_without_names(found, {*ledger.views.confirmed_projects()}.__contains__)
    if found is None or (number is not None and not any(s["number"] == number for s in found["studies"])):
        raise click.BadParameter(f"there is no {delivery}{f'.{number}' if number else ''} in the ledger")
    story = {**_only(found, number), "same_as": same}
    if for_programs:
        as_json(story_for_programs(story))
        return
    _tell(story)
    if not options.sees_names and any(one["advice"] for one in (story, *story["studies"])):
        say(WHO_DECIDES)


def _table(ledger: Ledger, name: str) -> dict[str, Any] | None:
    """Return the share table of this name; or the one with this in its name, if no delivery has it too."""
    from xnat_watchd.adapters.ledger.listing import DeliveryQuery

    exact = ledger.shares.table(name)
    if exact is not None or ledger.listing.rows(DeliveryQuery(words=(name,)), 1):
        return exact
    found = ledger.shares.tables_named(name)
    if len(found) > 1:
        raise click.BadParameter(plain(f"{len(found)} share tables have {name!r} in their names: {', '.join(found)}"))
    return ledger.shares.table(found[0]) if found else None


def _named_delivery(ledger: Ledger, name: str, here: Locations) -> int:
    """Return the delivery with this in its file's name or a label. If there are several, print them and exit."""
    from xnat_watchd.adapters.ledger.listing import DeliveryQuery
    from xnat_watchd.interfaces.cli.deliveries import MOST, print_rows
    from xnat_watchd.operator.arriving import arriving
    from xnat_watchd.operator.deliveries import nearest_names

    query = DeliveryQuery(words=(name,))
    rows: list[dict[str, Any]] = [{**one} for one in ledger.listing.rows(query, MOST)]
    if not rows and here.drop:
        rows = arriving(ledger, here.drop, query, datetime.now(UTC), served=is_served(here.ledger))
    if not rows and is_place_name(name):
        raise click.BadParameter("nothing was sent there from here: another xnat-watchd chose this name")
    if not rows:
        what = f"no delivery and no share table has {name!r} in its name"
        meant = nearest_names(ledger, query, names=True) or [
            "`xnat-watchd deliveries` and `xnat-watchd status` list them"
        ]
        raise click.BadParameter(as_typed(plain("; ".join([what, *meant]))))
    if not any(row["item"] for row in rows):  # it still lies in the drop folder: its line says why
        print_rows(rows, "table")
        sys.exit(1)
    exact = [row for row in rows if row["name"] == name]
    if len(rows) > 1 and len(exact) != 1:
        print_rows(rows, "table")
        raise click.BadParameter(f"{len(rows)} deliveries have {name!r} in their names: give the number of one")
    return int((exact or rows)[0]["item"])


def _only(delivery: dict[str, Any], number: int | None) -> dict[str, Any]:
    if number is None:
        return delivery
    return {
        **delivery,
        "studies": [s for s in delivery["studies"] if s["number"] == number],
        "events": [e for e in delivery["events"] if e["number"] in (None, number)],
    }


def _tell(story: dict[str, Any]) -> None:
    lines = [*_delivery(story), *(line for one in story["studies"] for line in _study(story["id"], one))]
    click.echo("\n".join([*lines, "", "What happened", *events(story["id"], story["events"])]))


def _delivery(story: dict[str, Any]) -> list[str]:
    name = f": {story['name']}" if story["name"] else ""
    return [*paragraph(f"Delivery {story['id']}{name}"), *_facts(delivery_facts(story, local))]


def _study(delivery: int, study: dict[str, Any]) -> list[str]:
    findings = [line for one in study["findings"] for line in _facts(finding_facts(one, local))]
    return ["", study_heading(delivery, study), *_facts(study_facts(study)), *findings]


LEAD = "  {:<13}"  #: before a fact, with its name


def _facts(facts: Mapping[str, str]) -> list[str]:
    return [line for name, fact in facts.items() for line in paragraph(fact, first=LEAD.format(name))]
