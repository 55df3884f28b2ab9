"""`python -m tests.fleet`: let a thousand simulated stations share one ledger on a real PostgreSQL, and judge."""

from __future__ import annotations

import sys

import click

from tests.fleet.simulation import SimulationOptions, simulate
from tests.postgres.databases import cluster


@click.command()
@click.option("--stations", default=1000, show_default=True, help="How many stations share the ledger.")
@click.option("--seed", default=7, show_default=True, help="The same seed makes the same studies and troubles.")
@click.option("--seconds", default=60.0, show_default=True, help="How long it lasts.")
@click.option("--connections", default=24, show_default=True, help="Connections to the database, of all stations.")
@click.option("--speed", default=1.0, show_default=True, help="Seconds of the stations' time in one of ours.")
def main(*, stations: int, seed: int, seconds: float, connections: int, speed: float) -> None:
    """Print what happened, statements per second and their p99. Exits with 1 where anything is wrong."""
    options = SimulationOptions(stations=stations, seed=seed, seconds=seconds, connections=connections, speed=speed)
    figures = simulate(options, cluster())
    click.echo(figures.told())
    sys.exit(bool(figures.wrong))


if __name__ == "__main__":
    main()
