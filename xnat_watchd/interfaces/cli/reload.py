"""`reload`: have the running service read its settings again, and wait until it uses them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xnat_watchd.interfaces.cli.options import CommandOptions

if TYPE_CHECKING:
    from xnat_watchd.settings import Settings

PATIENCE = 60.0  #: seconds to wait; reading a large ledger may take some of them
LOOK = 0.1  #: seconds between two looks at the published status
CORRECT = "Correct what is named, then type `xnat-watchd reload` again. Until then the service uses its old settings."
NO_SERVICE, START = "no service runs here", "Start it: `systemctl start xnat-watchd`, or `xnat-watchd run`."

EXAMPLES = """\
\b
Examples:
  xnat-watchd reload                            after the configuration was edited
  systemctl reload xnat-watchd                  the same, under systemd
"""


@click.command(epilog=EXAMPLES)
@click.pass_obj
def reload(options: CommandOptions) -> None:
    """Have the running service use changed settings. If they are wrong, it goes on with the old ones."""
    from xnat_watchd.core.errors import Refusal

    settings = _settings(options)
    before = _said(options)
    _signal(int(before["pid"]), settings.ledger.path)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        said = _said(options)
        if said["reloads"] != before["reloads"]:
            if said["refused"]:
                raise Refusal(str(said["refused"]), advice=str(said["advice"]))
            click.echo("The new settings are in force.")
            return
        time.sleep(LOOK)
    raise Refusal(
        f"the service has not answered within {PATIENCE:.0f} seconds",
        advice="`xnat-watchd status` shows whether it is well.",
    )


def _settings(options: CommandOptions) -> Settings:
    """Return the settings. Wrong ones are refused here already, with all their problems."""
    from xnat_watchd.core.errors import WrongSettings

    try:
        return options.settings()
    except WrongSettings as error:
        error.advice = CORRECT
        raise


def _said(options: CommandOptions) -> dict[str, Any]:
    """Return what a running service has published about itself."""
    from xnat_watchd.core.errors import Refusal
    from xnat_watchd.interfaces.cli.status import published

    snapshot = published(options)
    if snapshot is None or not snapshot["daemon"]["running"]:
        raise Refusal(NO_SERVICE, advice=START)
    said: dict[str, Any] = snapshot["daemon"]
    return said


def _signal(pid: int, ledger: Path) -> None:
    """Signal the service and no other process: the published number may be old, and belong to another by now."""
    from xnat_watchd.adapters.files.lock import is_held, lock_of
    from xnat_watchd.core.errors import Refusal

    try:
        if not is_held(lock_of(ledger)) or Path(f"/proc/{pid}").stat().st_uid != ledger.stat().st_uid:
            raise Refusal(NO_SERVICE, advice=START)
        os.kill(pid, signal.SIGHUP)
    except (FileNotFoundError, ProcessLookupError):
        raise Refusal(NO_SERVICE, advice=START) from None
    except PermissionError:
        raise Refusal("the service belongs to another user", advice="Put `sudo` in front.") from None
