"""`show`: the story of one delivery or study."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from xnat_watchd.cli.chosen import Chosen
from xnat_watchd.cli.items import ITEM, Item


@click.command(short_help="Tell the story of one delivery or study.")
@click.argument("item", type=ITEM)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def show(chosen: Chosen, item: Item, *, as_json: bool) -> None:
    """Tell the story of ITEM: a delivery (12) or one study of it (12.1), every event with its time."""
    delivery, number = item
    with chosen.ledger(chosen.places().ledger) as ledger:
        found = ledger.views.delivery(delivery)
    if found is None or (number is not None and not any(s["number"] == number for s in found["studies"])):
        raise click.BadParameter(f"there is no {delivery}{f'.{number}' if number else ''} in the ledger")
    story = _only(found, number)
    if as_json:
        json.dump(story, sys.stdout, indent=2, ensure_ascii=False)
        click.echo()
    else:
        _tell(story)


def _only(delivery: dict[str, Any], number: int | None) -> dict[str, Any]:
    if number is None:
        return delivery
    return {
        **delivery,
        "studies": [s for s in delivery["studies"] if s["number"] == number],
        "events": [e for e in delivery["events"] if e["number"] in (None, number)],
    }


def _tell(story: dict[str, Any]) -> None:
    came = {"prearchive": ", found in XNAT's prearchive", "archive": ", a subject found in XNAT's archive"}
    click.echo(
        f"Delivery {story['id']}: {story['name']} for project {story['project']}"
        f"{came.get(story['kind'], '')}, {story['state']}"
    )
    for key in ("why", "detail", "advice", "resting", "deleted"):
        if story[key]:
            click.echo(f"  {key}: {story[key]}")
    for study in story["studies"]:
        _tell_study(story["id"], study)
    click.echo("\nEvents (UTC)")
    for event in story["events"]:
        item = f"{story['id']}.{event['number']}" if event["number"] else str(story["id"])
        words = [event["at"][:19].replace("T", " "), f"{item:<8}", f"{event['event']:<10}", event["progress"] or ""]
        said = "; ".join(text for text in (event["why"], event["detail"]) if text)
        click.echo("  " + " ".join([*words, said]).rstrip())


def _tell_study(delivery: int, study: dict[str, Any]) -> None:
    click.echo(f"\nStudy {delivery}.{study['number']}: {study['progress']}, {study['standing']}")
    click.echo(
        f"  subject {study['subject'] or '-'}, session {study['label'] or '-'} ({study['session'] or 'none yet'})"
    )
    click.echo(f"  {study['instances']} images, study UID {study['study_uid']}")
    for series in study["series"]:
        left_out = ", left out by the server" if series["left_out"] else ""
        left_out += ", as a person has accepted" if series["accepted"] else ""
        click.echo(f"    series {series['number']:>5} {series['modality']:<8} {series['instances']:>6}{left_out}")
    for place in study["places"]:
        state = (
            "given up, mixed with another import's files" if place["mixed"] else "given up" if place["ended"] else ""
        )
        click.echo(f"  place {place['timestamp']}/{place['folder']} {state}".rstrip())
    for key in ("why", "detail", "advice"):
        if study[key] and study["standing"] != "done":
            click.echo(f"  {key}: {study[key]}")
