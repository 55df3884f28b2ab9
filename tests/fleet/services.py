"""`python -m tests.fleet.services`: let real services share one ledger through every trouble, and ask XNAT."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import click

from tests.fleet.daemons import TROUBLES, Fleet, FleetOptions

MOST = tuple(name for name in TROUBLES if name != "fail over")


@click.command()
@click.option("--stations", default=8, show_default=True, help="How many services share the ledger.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same ZIPs and troubles.")
@click.option("--zips", default=80, show_default=True, help="How many ZIPs are dropped.")
@click.option("--dialect", type=click.Choice(["1.8", "1.6"]), default="1.6", show_default=True, help="Which XNAT.")
@click.option("--shared", is_flag=True, help="All of them on one share; else each on a root of its own.")
@click.option("--trouble", "troubles", type=click.Choice([*TROUBLES]), multiple=True, default=MOST, show_default=True,
              help="What happens; may be repeated.")  # fmt: skip
@click.option("--least", default=12, show_default=True, help="Troubles that come before all is dropped.")
@click.option("--most", default=300.0, show_default=True, help="Seconds after which nothing more is dropped.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep everything in this folder.")
def main(
    *, stations: int, seed: int, zips: int, dialect: str, shared: bool, troubles: tuple[str, ...], least: int,
    most: float, keep: Path | None,
) -> None:  # fmt: skip
    """Judge by XNAT's store and the folders alone. Exits with 1 where anything is wrong."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no service and no server must outlive us
    options = FleetOptions(
        seed=seed, stations=stations, zips=zips, dialect=dialect, shared=shared, troubles=troubles, least=least,
        most=most,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="xnat-watchd-fleet-") as passing:
        folder = keep or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        figures = Fleet(folder, options, click.echo).run()
    click.echo(figures.told())
    sys.exit(bool(figures.wrong))


if __name__ == "__main__":
    main()
