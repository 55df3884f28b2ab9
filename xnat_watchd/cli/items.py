"""Items as people type them: 12 is a delivery, 12.1 a study of it."""

from __future__ import annotations

import re

import click

Item = tuple[int, int | None]


class ItemType(click.ParamType[Item]):
    """A delivery's number, with a study's number behind a dot or without."""

    name = "item"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Item:
        """Read `12` as (12, None) and `12.1` as (12, 1)."""
        found = re.fullmatch(r"(\d{1,15})(?:\.(\d{1,9}))?", str(value))
        if found is None:
            self.fail(f"{value!r} is no item: a delivery is 12, a study of it 12.1", param, ctx)
        return int(found[1]), int(found[2]) if found[2] else None


ITEM = ItemType()
