"""`status`: is everything on XNAT? One screen."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import click

from xnat_watchd.cli.chosen import Chosen

Snapshot = dict[str, Any]

NOT_FOR_YOU = "Ask to be put into the group that may drop files (`xnat-drop`), or put `sudo` in front."


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.option("--watch", is_flag=True, help="Show it anew every second until Ctrl-C.")
@click.pass_obj
def status(chosen: Chosen, *, as_json: bool, watch: bool) -> None:
    """Show what is under way, what is done, and what needs somebody."""
    from xnat_watchd.status import verdict

    picture = _picture(chosen)
    if as_json:
        json.dump(picture, sys.stdout, indent=2, ensure_ascii=False)
        click.echo()
    elif watch:
        _watch(chosen)
    else:
        click.echo(screen(picture))
    sys.exit(verdict(picture, resting=False))


def screen(picture: Snapshot) -> str:
    """Give the status as text."""
    lines = [
        _head(picture),
        *_paused(picture),
        *_gate(picture),
        *_counts(picture),
        *_under_way(picture),
        *_attention(picture),
    ]
    return "\n".join(lines)


def _picture(chosen: Chosen) -> Snapshot:
    """Give what a running service has published; else what the ledger says, where we may look into it."""
    from xnat_watchd.core.errors import Refusal

    said = published(chosen)
    if said is not None and said["daemon"]["running"]:
        return said
    try:
        return _of_ledger(chosen)
    except Refusal:
        if said is None:
            raise
    except PermissionError:
        if said is None:
            raise Refusal("how it stands is not shown to this user", advice=NOT_FOR_YOU) from None
    return said


def published(chosen: Chosen) -> Snapshot | None:
    """Give the service's own word, with its age. The service of this machine comes first, unless another is named."""
    from xnat_watchd.adapters import config
    from xnat_watchd.adapters.publication import NAME, RUNTIME, age, place, read
    from xnat_watchd.core.errors import Refusal
    from xnat_watchd.status import SILENCE, worry

    of_this_machine = chosen.config is None and chosen.drop is None and config.FILE_VARIABLE not in os.environ
    said = read(RUNTIME / NAME) if of_this_machine else None
    if said is None:
        try:
            said = read(place(chosen.places().ledger, os.environ))
        except Refusal:
            return None
    if said is not None:
        said["age"] = round(age(said).total_seconds())
        if said["daemon"]["running"] and said["age"] > SILENCE:
            silent = f"the service has not said anything for {said['age']} seconds"
            said["attention"].insert(0, worry("service", silent, "Look at `journalctl --unit xnat-watchd`."))
    return said


def _of_ledger(chosen: Chosen) -> Snapshot:
    from datetime import UTC, datetime

    from xnat_watchd.adapters.folders import lock_of
    from xnat_watchd.adapters.lock import is_held
    from xnat_watchd.status import snapshot

    here = chosen.places()
    running = is_held(lock_of(here.ledger))
    with chosen.ledger(here.ledger) as ledger:
        picture = snapshot(
            ledger, here.server, datetime.now(UTC), running=running, daemon={"settling": 0, "uploads": []}
        )
    return {**picture, "age": 0}


def _watch(chosen: Chosen) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(refresh_per_second=4, screen=True) as live:
        try:
            while True:
                live.update(Text(screen(_picture(chosen))))
                time.sleep(1)
        except KeyboardInterrupt:
            return


def _head(picture: Snapshot) -> str:
    running = "running" if picture["daemon"]["running"] else "NOT RUNNING"
    at, age = picture["at"][:19].replace("T", " "), picture["age"]
    ago = f" ({age} seconds ago)" if age else ""
    return f"xnat-watchd is {running}, for {picture['xnat']['server']}, as of {at} UTC{ago}"


def _gate(picture: Snapshot) -> list[str]:
    shut = [] if picture["gate"]["open"] else [("XNAT", picture["gate"])]
    shut += [(f"project {name}", gate) for name, gate in picture["projects_shut"].items()]
    return [f"  waiting for {what}: {gate['why']}. {gate['advice']}" for what, gate in shut]


def _paused(picture: Snapshot) -> list[str]:
    return [
        f"  PAUSED: {one['of']}, since {one['since'].replace('T', ' ')} UTC: {one['why']}. {one['advice']}"
        for one in picture.get("paused", ())
    ]


def _counts(picture: Snapshot) -> list[str]:
    standings: dict[str, int] = {}
    for counts in picture["studies"].values():
        for standing, n in counts.items():
            standings[standing] = standings.get(standing, 0) + n
    told = ", ".join(f"{n} {state}" for state, n in sorted(picture["deliveries"].items())) or "none yet"
    studies = ", ".join(f"{n} {standing}" for standing, n in sorted(standings.items())) or "none yet"
    ignored = len(picture["ignored"])
    settling = picture["daemon"].get("settling", 0)
    return [
        f"  ZIPs:    {told}" + (f"; {settling} still arriving" if settling else ""),
        f"  studies: {studies}",
        *([f"  ignored: {ignored} files in the drop folder that are no whole ZIP"] if ignored else []),
    ]


def _under_way(picture: Snapshot) -> list[str]:
    rows = picture["under_way"]
    lines = [
        f"  {row['item']:<8} {row['project']:<16} {row['progress']:<9} {row['standing']:<8} {row['why'] or ''}".rstrip()
        for row in rows[:MOST]
    ]
    sending = [
        f"  sending  {one['sent'] / 1e6:8.1f} of {one['size'] / 1e6:.1f} MB" for one in picture["daemon"]["uploads"]
    ]
    more = [f"  … and {len(rows) - MOST} more"] if len(rows) > MOST else []
    return ["", "Under way", *lines, *sending, *more] if rows else []


def _attention(picture: Snapshot) -> list[str]:
    rows = picture["attention"]
    if not rows:
        return ["", "Nothing needs attention."] if picture["gate"]["open"] else []
    lines = [
        line for row in rows[:MOST] for line in (f"  {row['item']:<8} {row['why']}", f"           {row['advice']}")
    ]
    return ["", "Needs attention", *lines, *([f"  … and {len(rows) - MOST} more"] if len(rows) > MOST else [])]


MOST = 20  #: rows of a list that fit on a screen
