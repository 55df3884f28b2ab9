"""The events of a delivery as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from xnat_watchd.interfaces.cli.terminal import local, paragraph, width
from xnat_watchd.operator.story import Event, is_told, item_of, sentence


def lines(delivery: int, events: list[Event]) -> Iterator[str]:
    """Yield a heading for each day, and a sentence for each event with its time and item."""
    day = ""
    items = {item_of(delivery, event) for event in events}
    gap = max(map(len, items), default=0)
    for event in events:
        if not is_told(event):
            continue
        date, time = local(event["at"], "%Y-%m-%d, %Z|%H:%M:%S").split("|")
        if date != day:
            day = date
            yield f"  {day}"
        lead = f"    {time}  {item_of(delivery, event):<{gap}}  "
        yield from paragraph(sentence(event), first=lead, rest=" " * width(lead))
