"""The command line: one short file for each command. Data goes to stdout, messages to stderr."""

from __future__ import annotations

from importlib import import_module

import click

from xnat_watchd import __version__
from xnat_watchd.core.errors import FAILURES
from xnat_watchd.interfaces.cli.options import (
    CommandOptions,
    config_option,
    drop_option,
    project_option,
    server_options,
)

COMMANDS = {
    "run": ("run:run", "Carry ZIPs into XNAT: the service, or --once."),
    "reload": ("reload:reload", "Have the running service use new settings."),
    "login": ("login:login", "Store user and password for the service."),
    "logout": ("logout:logout", "Remove the stored user and password."),
    "whoami": ("whoami:whoami", "Show your user on XNAT."),
    "check": ("check:check", "Check this machine and the server."),
    "alert": ("alert:alert", "Try how people are told of trouble."),
    "status": ("status:status", "Show what is under way, and what needs attention."),
    "deliveries": ("deliveries:deliveries", "List what was dropped, and where it is."),
    "show": ("show:show", "Show what happened to one delivery or study."),
    "retry": ("retry:retry", "Let held studies go on."),
    "skip": ("decisions:skip", "Give up studies and ZIPs that are not wanted."),
    "accept": ("decisions:accept", "Accept what is wrong with a study, and let it go on."),
    "resend": ("decisions:resend", "Send again what XNAT has lost."),
    "verify": ("verify:verify", "Ask XNAT whether it still has the images of studies."),
    "pause": ("pause:pause", "Send nothing to XNAT until `resume`."),
    "resume": ("pause:resume", "Go on after `pause`."),
    "list": ("listing:list_", "List projects, or the subjects of one."),
    "archive": ("archive:archive", "Archive what others put into the prearchive."),
    "demographics": ("demographics:demographics", "Fill in age, birth date and sex of subjects."),
    "share": ("share:share", "Share subjects with other projects, by a table."),
    "ledger": ("ledger:ledger", "Move the ledger to another place, or forget a station."),
    "web": ("web:web", "Serve the page, or open it in a browser."),
    "install": ("install:install", "Install the service on this machine."),
    "uninstall": ("install:uninstall", "Remove the service, and leave your data."),
    "completion": ("completion:completion", "Let your shell complete what you type."),
    "demo": ("demo:demo", "Try it on this machine, in half a minute."),
}
"""Where each command is, and its line in the help, in that order. Its module is imported only when it is used, so that
`--help` and `status` are quick."""

UNLISTED = {
    "operator-request": ("operator_request:operator_request", "Carry out a command for a user."),
    "items": ("items:items", "List the latest items."),
}
"""Commands that no person types: a unit of systemd runs one, a shell's completion the other."""

EXAMPLES = """\
\b
Examples:
  xnat-watchd demo                              try it on this machine, in half a minute
  xnat-watchd run --once --drop scans --project P --server https://xnat.example.org --user me
  xnat-watchd status                            is everything on XNAT?
  xnat-watchd deliveries mri_17                 did this one arrive?
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
        found = (COMMANDS | UNLISTED).get(cmd_name)
        if cmd_name not in self.commands and found is not None:
            place, line = found
            module, name = place.split(":")
            command = getattr(import_module(f"{__name__}.{module}"), name)
            command.short_help = line  # for the shell's completion
            self.add_command(command)
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is typed. Of a misspelt one name the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0].casefold(), COMMANDS, n=1)
            raise click.UsageError(
                f"{error.message} Did you mean `{near[0]}`?" if near else error.message, ctx
            ) from None

    def invoke(self, ctx: click.Context) -> object:
        """Carry a command out. The advice of its error is for the reader who typed it."""
        try:
            return super().invoke(ctx)
        except FAILURES as error:
            error.advice = ctx.obj.as_typed(error.advice)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands in the help, without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


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
