"""`python -m tests.soak`: let ZIPs flow through kills and faults, and ask XNAT whether everything is there once."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import click

from tests.soak.run import Soak, SoakOptions


class Share(click.ParamType):  # type: ignore[type-arg]
    """A percentage, such as `5%`."""

    name = "percent"

    def convert(self, value: object, _: click.Parameter | None, __: click.Context | None) -> float:
        """Return a percentage as a fraction of one."""
        text = str(value).removesuffix("%")
        try:
            return float(text) / 100
        except ValueError:
            self.fail(f"{value} is no percentage")


@click.command()
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same ZIPs and faults.")
@click.option("--zips", default=1000, show_default=True, help="How many ZIPs are dropped.")
@click.option("--kills", default=200, show_default=True, help="How often the service is killed.")
@click.option("--faults", type=Share(), default="5%", show_default=True, help="How many answers go wrong.")
@click.option("--dialect", "dialects", type=click.Choice(["1.8", "1.6"]), multiple=True, default=("1.8", "1.6"),
              show_default=True, help="Which XNAT; may be repeated.")  # fmt: skip
@click.option("--seconds", type=float, help="Drop nothing more after so long, for each dialect.")
@click.option(
    "--apart", default=2, show_default=True, help="Kills in mid-upload, with no other trouble, that are measured."
)
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep everything in this folder.")
def main(
    *, seed: int, zips: int, kills: int, faults: float, dialects: tuple[str, ...], seconds: float | None,
    apart: int, keep: Path | None,
) -> None:  # fmt: skip
    """Judge by XNAT's store alone. Exits with 1 where anything is wrong."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the service and the practice XNAT must not outlive us
    wrong = False
    for dialect in dialects:
        click.echo(f"== XNAT {dialect}, seed {seed}")
        options = SoakOptions(
            seed=seed, zips=zips, kills=kills, faults=faults, dialect=dialect, seconds=seconds, apart=apart
        )
        with tempfile.TemporaryDirectory(prefix="xnat-watchd-soak-") as passing:
            folder = (keep or Path(passing)) / dialect
            folder.mkdir(parents=True)
            figures = Soak(folder, options, click.echo).run()
        click.echo(figures.told())
        wrong |= bool(figures.wrong)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
