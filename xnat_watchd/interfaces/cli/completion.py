"""`completion`: print the script with which a shell completes commands, options and items."""

from __future__ import annotations

import click

EXAMPLES = """\
\b
Put one of these lines into the start file of your shell:
  eval "$(xnat-watchd completion bash)"         ~/.bashrc
  eval "$(xnat-watchd completion zsh)"          ~/.zshrc
  xnat-watchd completion fish | source          ~/.config/fish/config.fish
"""


@click.command(epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which a SHELL completes the commands of xnat-watchd."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - the choices are those that click knows
    click.echo(found(context.find_root().command, {}, "xnat-watchd", "_XNAT_WATCHD_COMPLETE").source())
