"""`show`: show what happened to one delivery or study."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from xnat_watchd.core.access import WHO_DECIDES
from xnat_watchd.interfaces.cli.items import ITEM_OR_NAME, Item
from xnat_watchd.interfaces.cli.options import CommandOptions
from xnat_watchd.interfaces.cli.share_table import table_lines
from xnat_watchd.interfaces.cli.status_screen import ZIPS
from xnat_watchd.interfaces.cli.story import lines as events
from xnat_watchd.interfaces.cli.terminal import as_json, local, paragraph, say

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger.ledger import Ledger

MEMBERS = 20  #: how many members of a finding the screen names; `--json` has them all
EXAMPLES = """\
\b
Examples:
  xnat-watchd show 12                           a delivery, all of its studies
  xnat-watchd show 12.1                         one study of it
  xnat-watchd show mri_17.zip                   the delivery of this file
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

    Instead of the number, give the file's name or a part of it. The name of a share table shows its rows.
    """
    from xnat_watchd.operator.nameless import story_without_names

    with options.ledger(options.locations().ledger) as ledger:
        table = ledger.shares.table(item) if isinstance(item, str) else None
        if table is not None:
            as_json(table) if for_programs else click.echo("\n".join(table_lines(table)))
            return
        delivery, number = (_named_delivery(ledger, item), None) if isinstance(item, str) else item
        found = ledger.views.delivery(delivery)
        same = ledger.listing.same_as(delivery)
        if found is not None and not options.sees_names:
            found = story_without_names(found, {*ledger.views.confirmed_projects()}.__contains__)
    if found is None or (number is not None and not any(s["number"] == number for s in found["studies"])):
        raise click.BadParameter(f"there is no {delivery}{f'.{number}' if number else ''} in the ledger")
    story = {**_only(found, number), "same_as": same}
    if for_programs:
        as_json(story)
        return
    _tell(story)
    if not options.sees_names and any(one["advice"] for one in (story, *story["studies"])):
        say(WHO_DECIDES)


def _named_delivery(ledger: Ledger, name: str) -> int:
    """Return the delivery with this in its file's name or a label. If there are several, print them and exit."""
    from xnat_watchd.adapters.ledger.listing import DeliveryQuery
    from xnat_watchd.interfaces.cli.deliveries import MOST, print_rows

    rows = ledger.listing.rows(DeliveryQuery(words=(name,)), MOST)
    if not rows:
        what = f"no delivery and no share table has {name!r} in its name"
        raise click.BadParameter(f"{what}; `xnat-watchd deliveries` and `xnat-watchd status` list them")
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
    came = {"prearchive": "in XNAT's prearchive", "archive": "a subject in XNAT's archive"}
    facts = {
        "project": story["project"],
        "found": came.get(story["kind"]),
        "state": _state(story),
        "same as": f"delivery {story['same_as']}" if story["same_as"] else None,
        "why": story["why"],
        "details": story["detail"],
        "what to do": _next_step(story),
        "clutter": counted(story["clutter"]),
        "lies in": None if story["deleted"] else story["resting"],
        "deleted": local(story["deleted"]) if story["deleted"] else None,
    }
    name = f": {story['name']}" if story["name"] else ""
    return [*paragraph(f"Delivery {story['id']}{name}"), *_facts(facts)]


def _state(story: dict[str, Any]) -> str:
    """Return where a delivery is, by the word that `deliveries` has for it."""
    is_held = any(study["standing"] == "held" for study in story["studies"])
    return ZIPS["held"] if is_held else ZIPS.get(story["state"], story["state"])


def _next_step(story: dict[str, Any]) -> str | None:
    """Return what to do about a delivery; of one that was rejected, also how it leaves the list."""
    from xnat_watchd.core.errors import for_item
    from xnat_watchd.core.refusals import SETTLE

    if story["state"] != "rejected" or story["settled"]:
        return story["advice"] or None
    return f"{story['advice']} {for_item(SETTLE, str(story['id']))}"


def counted(clutter: Mapping[str, int]) -> str:
    """Return how many members of a ZIP are clutter, by kind."""
    return ", ".join(f"{count} {kind}" for kind, count in clutter.items())


def _study(delivery: int, study: dict[str, Any]) -> list[str]:
    name, is_done = f"{delivery}.{study['number']}", study["standing"] == "done"
    facts = {
        "subject": study["subject"],
        "session": study["label"],
        "XNAT's ID": study["session"],
        "study UID": study["study_uid"],
        "images": _images(study),
        "series": ", ".join(map(_series, study["series"])),
        "places": "; ".join(map(_place, study["places"])),
        "why": None if is_done else study["why"],
        "details": None if is_done or study["detail"] == study["why"] else study["detail"],
        "what to do": None if is_done else study["advice"],
    }
    standing = "" if is_done else f", {study['standing']}"
    findings = [line for one in study["findings"] for line in _finding(one)]
    return ["", f"Study {name}: {study['progress']}{standing}", *_facts(facts), *findings]


def _images(study: dict[str, Any]) -> str:
    """Return how many images a study has, and how many of them stay in the ZIP."""
    images, behind = study["images"], study["left_behind"]
    return f"{images - behind} of {images}; {behind} left behind in the ZIP" if behind else str(images)


def _finding(finding: dict[str, Any]) -> list[str]:
    """Return the lines for one finding: what was found, who has settled it, and its members."""
    reason = f": {finding['reason']}" if finding["reason"] else ""
    facts = {
        "found": finding["why"],
        "settled": finding["settled"] and f"{local(finding['settled'])} by {finding['by']}{reason}",
        "about": _named(finding["members"]),
    }
    return _facts(facts)


def _named(members: list[str]) -> str:
    more = [f"and {len(members) - MEMBERS} more"] if len(members) > MEMBERS else []
    return ", ".join([*members[:MEMBERS], *more])


LEAD = "  {:<13}"  #: before a fact, with its name


def _facts(facts: Mapping[str, object]) -> list[str]:
    """Return a line for each fact that is known."""
    return [line for name, fact in facts.items() if fact for line in paragraph(fact, first=LEAD.format(name))]


def _series(series: dict[str, Any]) -> str:
    accepted = ", as a person has accepted" if series["accepted"] else ""
    left_out = f" (left out by the server{accepted})" if series["left_out"] else ""
    return f"{series['number']} {series['modality']} {series['instances']}{left_out}"


def _place(place: dict[str, Any]) -> str:
    ended = (
        "given up, since what lies there is not proved to be ours"
        if place["mixed"]
        else "given up"
        if place["ended"]
        else ""
    )
    return f"{place['timestamp']}/{place['folder']}{f', {ended}' if ended else ''}"
