"""`python -m tests.stateful`: let thousands of things happen to the service, and ask XNAT and the disk after each."""

from __future__ import annotations

import time

import click

from tests.stateful.machine import run


@click.command()
@click.option("--steps", default=20_000, show_default=True, help="About how many things happen, in each dialect.")
@click.option("--seed", default=1, show_default=True, help="The same seed lets the same things happen.")
@click.option("--dialect", "dialects", type=click.Choice(["1.8", "1.6"]), multiple=True, default=("1.8", "1.6"),
              show_default=True, help="Which XNAT; may be repeated.")  # fmt: skip
def main(*, steps: int, seed: int, dialects: tuple[str, ...]) -> None:
    """Print how many actions were run. A broken promise is shown by the shortest sequence that breaks it."""
    for dialect in dialects:
        began = time.monotonic()
        told, came = run(dialect, steps, seed)
        done, so = (", ".join(f"{count} {name}" for name, count in one.most_common()) for one in (told, came))
        click.echo(f"XNAT {dialect}, seed {seed}: {told.total()} steps in {time.monotonic() - began:.0f} s: {done}")
        click.echo(f"What came of it: {so}")


if __name__ == "__main__":
    main()
