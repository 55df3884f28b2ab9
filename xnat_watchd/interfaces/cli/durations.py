"""The option type for a length of time, as people type it."""

from __future__ import annotations

from datetime import timedelta

import click


class SpanType(click.ParamType[timedelta]):
    """A length of time, such as `7d` or `12h`."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the time that `7d` or `12h` means."""
        from xnat_watchd.core.quantities import duration

        try:
            return duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


SPAN = SpanType()
