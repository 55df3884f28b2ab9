"""The command line: one short file for each command. Data goes to stdout, messages to stderr."""

from __future__ import annotations

from importlib import import_module

import click

from xnat_watchd import __version__
from xnat_watchd.cli.options import CommandOptions, config_option, drop_option, project_option, server_options

COMMANDS = {
    "run": "run:run",
    "reload": "reload:reload",
    "login": "login:login",
    "logout": "logout:logout",
    "whoami": "whoami:whoami",
    "check": "check:check",
    "status": "status:status",
    "show": "show:show",
    "retry": "retry:retry",
    "skip": "decisions:skip",
    "accept": "decisions:accept",
    "resend": "decisions:resend",
    "verify": "verify:verify",
    "pause": "pause:pause",
    "resume": "pause:resume",
    "list": "listing:list_",
    "archive": "archive:archive",
    "demographics": "demographics:demographics",
    "share": "share:share",
    "install": "install:install",
    "uninstall": "install:uninstall",
    "completion": "completion:completion",
    "demo": "demo:demo",
}
"""The commands in the order of the help. A module is imported only when its command is used: `status` must be quick."""

EXAMPLES = """\
\b
Examples:
  xnat-watchd demo                              try it on this machine, in half a minute
  xnat-watchd run --once --drop scans --project P --server https://xnat.example.org --user me
  xnat-watchd status                            is everything on XNAT?
  xnat-watchd show 12.1                         what happened to one study
  xnat-watchd list --project P --csv            the subjects of a project

Exit codes: 0 fine, 1 something is held or failed, 2 usage, 69 server unavailable, 70 a fault of the program,
75 something still waits, 77 login refused, 78 configuration.
"""


class _Commands(click.Group):
    """A group that imports each command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, or None."""
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            module, name = COMMANDS[cmd_name].split(":")
            self.add_command(getattr(import_module(f"{__name__}.{module}"), name))
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@config_option
@project_option
@server_options
@drop_option
@click.pass_context
def commands(context: click.Context) -> None:
    """Carry ZIPs of DICOM from a folder into XNAT, and prove that they arrived."""
    context.obj = context.obj or CommandOptions()
