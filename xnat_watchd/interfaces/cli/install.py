"""`install` and `uninstall`: make the program a service of this machine, or remove the service."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click

NEXT = """
Next: set `server` and `project` in /etc/xnat-watchd/config.toml, then
  xnat-watchd login                              user and password for XNAT
  xnat-watchd check                              is everything as it should be?
  systemctl enable --now xnat-watchd             start it, now and with the machine
  usermod --append --groups xnat-drop NAME       for each person who drops ZIPs into /srv/xnat/drop
  usermod --append --groups xnat-drop,xnat-admin NAME    for each who also sees names and decides"""
RESTART = """
The running service is still the version from before. To start the new one:
  systemctl restart xnat-watchd"""
LEFT = """
Not removed: /etc/xnat-watchd, /var/lib/xnat-watchd, the folders with what is in them, the user xnat-watchd
and the groups xnat-drop and xnat-admin."""

_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
_prefix = click.option(
    "--prefix", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Install below this folder instead of /, to build an image or a package. Nothing is run.",
)  # fmt: skip

EXAMPLES = """\
\b
Examples:
  xnat-watchd install --dry-run                 what would be placed where
  sudo xnat-watchd install                      once, and after each upgrade
"""


@click.command(epilog=EXAMPLES)
@_dry_run
@_prefix
def install(*, dry_run: bool, prefix: Path | None) -> None:
    """Install the service: make its unit, user, folders and a configuration. An edited configuration stays."""
    from xnat_watchd.adapters.systemd import installation

    _check_rights(dry=dry_run, prefix=prefix)
    installation.install(installation.Installer(_reporter(dry=dry_run), prefix, dry_run))
    if prefix is None:
        click.echo(RESTART if installation.is_running() else NEXT)


UNINSTALL = """\
\b
Examples:
  xnat-watchd uninstall --dry-run               what would be removed
  sudo xnat-watchd uninstall
"""


@click.command(epilog=UNINSTALL)
@_dry_run
@_prefix
def uninstall(*, dry_run: bool, prefix: Path | None) -> None:
    """Stop the service and remove what `install` made, but never the configuration, the ledger or a ZIP."""
    from xnat_watchd.adapters.systemd import installation

    _check_rights(dry=dry_run, prefix=prefix)
    installation.uninstall(installation.Installer(_reporter(dry=dry_run), prefix, dry_run))
    click.echo(LEFT)


def _reporter(*, dry: bool) -> Callable[[str], None]:
    """Return what prints each step. Before the first one it says that nothing is done: what is refused has none."""
    heading = iter(["Nothing is done. This would be done:"] if dry else [])

    def report(step: str) -> None:
        for line in (*heading, step):
            click.echo(line)

    return report


def _check_rights(*, dry: bool, prefix: Path | None) -> None:
    """Refuse to write outside `prefix` unless root types it. Below another user's folder, root becomes that user."""
    if prefix is not None:
        from xnat_watchd.adapters.systemd.installation import folders
        from xnat_watchd.interfaces.cli.rights import become_owner

        for folder in folders(prefix):
            become_owner(folder)
    if os.geteuid() != 0 and not dry and prefix is None:
        raise click.UsageError("only root can do this: put `sudo` in front, or try --dry-run")
