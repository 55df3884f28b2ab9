"""The manual pages and the completion files, made of what `--help` and `completion` print. They lie in `share`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from release.tools import REPOSITORY
from xnat_watchd.adapters.systemd.service_files import CONFIGURATION, NAME
from xnat_watchd.interfaces.cli import COMMANDS, commands

PROGRAM = click.Context(commands, info_name=NAME, **commands.context_settings)
COMPLETIONS = {
    "bash": f"bash-completion/completions/{NAME}",
    "zsh": f"zsh/site-functions/_{NAME}",
    "fish": f"fish/vendor_completions.d/{NAME}.fish",
}
"""Where each shell looks below `share`."""


def write(into: Path = REPOSITORY / "share") -> list[Path]:
    """Write all of these files anew."""
    shutil.rmtree(into, ignore_errors=True)
    for name, text in every().items():
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return sorted(path for path in into.rglob("*") if path.is_file())


def every() -> dict[str, str]:
    """Return the text of each file by its path below `share`."""
    pages = {f"{NAME}-{name}": _command_page(name) for name in COMMANDS}
    return {
        f"man/man1/{NAME}.1": "\n".join(_program_page()) + "\n",
        **{f"man/man1/{name}.1": text for name, text in pages.items()},
        **{path: _completion(shell) for shell, path in COMPLETIONS.items()},
    }


def _program_page() -> Iterator[str]:
    line = (commands.help or "").split(", ")[0]
    yield from _top(NAME, line[:1].lower() + line[1:], PROGRAM, NAME)
    yield from (".SH COMMANDS",)
    for name, (_, told) in COMMANDS.items():
        yield from (".TP", rf".BR {_text(f'{NAME}-{name}')} (1)", _text(told))
    yield from _epilog(commands)
    yield from (".SH FILES", ".TP", rf".I {_text(str(CONFIGURATION))}", _text("The settings of the service."))
    yield from (".SH SEE ALSO", r".BR systemctl (1),", r".BR journalctl (1)")


def _command_page(name: str) -> str:
    command = commands.get_command(PROGRAM, name)
    assert command is not None  # noqa: S101 - its name is in the list of commands
    context = click.Context(command, info_name=name, parent=PROGRAM)
    top = _top(f"{NAME}-{name}", COMMANDS[name][1].rstrip("."), context, f"{NAME} {name}")
    end = (".SH SEE ALSO", rf".BR {_text(NAME)} (1)")
    return "\n".join([*top, *_epilog(command), *end]) + "\n"


def _top(page: str, summary: str, context: click.Context, typed: str) -> Iterator[str]:
    """Yield the sections that every page begins with."""
    yield rf'.TH {_text(page.upper())} 1 "" {_text(NAME)} "User Commands"'
    yield from (".SH NAME", rf"{_text(page)} \- {_text(summary)}")
    usage = " ".join(context.command.collect_usage_pieces(context))
    yield from (".SH SYNOPSIS", f".B {_text(typed)}", _text(usage))
    yield ".SH DESCRIPTION"
    for number, paragraph in enumerate((context.command.help or "").split("\n\n")):
        yield from [".PP"] if number else []
        yield _text(" ".join(paragraph.split()))
    yield ".SH OPTIONS"
    options = [one for one in context.command.params if isinstance(one, click.Option)]
    told = [record for one in options if (record := one.get_help_record(context)) is not None]
    # Not the option itself: click keeps it with the names of whichever context asked first.
    for names, line in [*told, (", ".join(context.help_option_names), "Show this message and exit.")]:
        yield from (".TP", rf"\fB{_text(names)}\fR", _text(" ".join(line.split())))


def _epilog(command: click.Command) -> Iterator[str]:
    """Yield what follows the options: lines that stand as they are after the one that introduces them, and prose."""
    for block in (command.epilog or "").strip().split("\n\n"):
        lines = block.removeprefix("\b\n").splitlines()
        title = re.match("(Examples|Exit codes?): *", lines[0]) if lines else None
        if title:
            yield f".SH {'EXAMPLES' if title[1] == 'Examples' else 'EXIT STATUS'}"
            lines[0] = lines[0][title.end() :]
        if block.startswith("\b"):
            yield from [_text(lines[0])] if lines[0] else []
            yield from (".EX", *(_text(line) for line in lines[1:]), ".EE")
        elif lines:
            yield from [] if title else [".PP"]
            yield _text(" ".join(lines))


def _text(plain: str) -> str:
    """Return a text for roff: a dash is one that can be pasted, and no line begins with a command."""
    escaped = plain.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    return re.sub(r"(?m)^(?=\.)", r"\\&", escaped)


def _completion(shell: str) -> str:
    """Return what `completion` prints for a shell, without asking which version of it is installed here."""
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click knows these three
    asked = made(commands, {}, NAME, f"_{NAME.upper().replace('-', '_')}_COMPLETE")
    return asked.source_template % asked.source_vars() + "\n"
