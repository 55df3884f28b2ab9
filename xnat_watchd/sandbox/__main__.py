"""`python -m xnat_watchd.sandbox`: a practice XNAT in the foreground, until Ctrl-C."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import click

from .sandbox import Sandbox
from .site import DIALECTS, NEW


def _account(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Split `NAME:PASSWORD`."""
    accounts = {}
    for one in given:
        name, colon, password = one.partition(":")
        if not (name and colon and password):
            raise click.BadParameter("a user is given as NAME:PASSWORD")
        accounts[name] = password
    return accounts


@click.command()
@click.option("--port", default=8080, show_default=True, help="Port on loopback; 0 takes a free one.")
@click.option("--dialect", type=click.Choice(DIALECTS), default=NEW, show_default=True, help="Which XNAT to be.")
@click.option("--user", "users", multiple=True, default=("tech:secret",), callback=_account, metavar="NAME:PASSWORD",
              show_default=True, help="An account, a member of every project; may be repeated.")  # fmt: skip
@click.option("--project", "projects", multiple=True, default=("P1",), show_default=True, metavar="ID",
              help="A project; may be repeated.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Where files go; else a folder that "
              "is removed at the end.")  # fmt: skip
@click.option("--control", type=int, help="Port on loopback at which faults can be planned; 0 takes a free one.")
def main(
    port: int, dialect: str, users: dict[str, str], projects: tuple[str, ...], data: Path | None, control: int | None
) -> None:
    """Run a practice XNAT on this machine. It is for trying things out: nothing in it is safe or lasts."""
    with ExitStack() as stack:
        folder = data or Path(stack.enter_context(TemporaryDirectory(prefix="sandbox-xnat-")))
        ended = threading.Event()
        _end_on_signals(ended)
        xnat = stack.enter_context(Sandbox(folder, dialect, users=users, projects=projects, port=port))
        click.echo(f"A practice XNAT {dialect} listens at {xnat.url}")
        click.echo(f"users:    {', '.join(f'{name}:{password}' for name, password in users.items())}")
        click.echo(f"projects: {', '.join(projects)}")
        click.echo(f"data:     {folder}")
        if control is not None:
            click.echo(f"control:  {xnat.listen_for_faults(control)}")
        click.echo("Ctrl-C ends it.")
        ended.wait()


def _end_on_signals(ended: threading.Event) -> None:
    def end(_: int, __: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


if __name__ == "__main__":
    main()
