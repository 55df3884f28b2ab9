"""How long ago, as people type it."""

from __future__ import annotations

from datetime import timedelta

import click


class SpanType(click.ParamType[timedelta]):
    """How long ago, as people write it."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read `7d` or `12h`."""
        from xnat_watchd.core.quantities import duration

        try:
            return duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


SPAN = SpanType()
