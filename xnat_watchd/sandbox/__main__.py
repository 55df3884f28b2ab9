"""`python -m xnat_watchd.sandbox`: run a practice XNAT in the foreground, until Ctrl-C."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import click

from .options import Options
from .sandbox import ROLES, Sandbox
from .site import DIALECTS, NEW

OPTION_HELP = {  # the help of each of `Options` on the command line; durations are in seconds
    "version": "Version that it reports; by default 1.8.10 or 1.6.5. With 1.6.4 it also behaves as a 1.6.4 does.",
    "session_timeout": "Idle time after which a login session ends.",
    "session_limit": "Login sessions that an account may have open; the next login is refused.",
    "token_life": "How long an alias token is valid.",
    "lock_after": "Number of wrong passwords that locks an account.",
    "lock_for": "How long an account stays locked.",
    "default_importer": "Importer of a request that names none, on 1.8.",
    "rebuild_after": "Idle time after which a row that is still RECEIVING is built.",
    "left_out_series": "Drop series whose description matches this regular expression.",
    "archives_anyway": "Let --auto-archive win over a destination in the prearchive.",
    "marks_failed_imports": "Set the row of a failed upload to ERROR, as the newest servers do.",
    "collides_within": "Mix imports of the importer SI that start within this time.",
    "confuses_sessions": "Refuse the second of two imports in one login session with 403, on 1.6.",
    "remaps_uids": "Replace the UIDs of every object, on 1.8.",
    "anonymises": "Replace names, as the anonymisation script of a site does.",
    "archiving_takes": "How long archiving takes.",
    "archive_timeout": "Time after which an archive request is answered 500 while the work goes on, on 1.8.",
    "queue_takes": "How long queued moves, builds and deletions wait.",
    "pipelines_take": "How long the workflow of an archived session stays open.",
}


def _accounts(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Split `NAME:PASSWORD`."""
    accounts = {}
    for one in given:
        name, colon, password = one.partition(":")
        if not (name and colon and password):
            raise click.BadParameter("a user is given as NAME:PASSWORD")
        accounts[name] = password
    return accounts


def _pattern(_: click.Context, __: click.Parameter, given: str) -> str:
    """Return the pattern, or refuse it where it is not a regular expression."""
    try:
        re.compile(given)
    except re.error as error:
        raise click.BadParameter(f"no regular expression: {error}") from error
    return given


CHECKS: dict[str, dict[str, Any]] = {
    "left_out_series": {"callback": _pattern, "metavar": "PATTERN"},
    "default_importer": {"type": click.Choice(("DICOM-zip", "SI"))},
}


def _with_site_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add a command-line option for each of `Options`."""
    for one in reversed(fields(Options)):
        more: dict[str, Any] = {"default": one.default, "show_default": bool(one.default)}
        if isinstance(one.default, bool):
            more = {"is_flag": True}
        elif isinstance(one.default, timedelta):
            more |= {"default": one.default.total_seconds(), "type": click.FloatRange(min=0), "metavar": "SECONDS"}
        more |= CHECKS.get(one.name, {})
        flag = "--xnat-version" if one.name == "version" else f"--{one.name.replace('_', '-')}"
        command = click.option(flag, one.name, help=OPTION_HELP[one.name], **more)(command)
    return command


@click.command()
@click.option("--port", default=8080, show_default=True, help="Port on loopback; 0 takes a free one.")
@click.option("--dialect", type=click.Choice(DIALECTS), default=NEW, show_default=True, help="XNAT version to act as.")
@click.option("--user", "users", multiple=True, default=("tech:secret",), callback=_accounts, metavar="NAME:PASSWORD",
              show_default=True, help="An account; may be repeated.")  # fmt: skip
@click.option("--role", type=click.Choice(ROLES), default="member", show_default=True,
              help="Role of each account in every project.")  # fmt: skip
@click.option("--admin", "admins", multiple=True, callback=_accounts, metavar="NAME:PASSWORD",
              help="An account that may do everything; may be repeated.")  # fmt: skip
@click.option("--project", "projects", multiple=True, default=("P1",), show_default=True, metavar="ID",
              help="A project; may be repeated.")  # fmt: skip
@click.option("--auto-archive", type=click.Choice(("0", "4", "5")), default="0", show_default=True,
              help="Policy of every project: 0 leaves uploads in the prearchive, 4 archives them, 5 archives them "
              "and overwrites.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Folder for the files; by default "
              "one that is removed at the end.")  # fmt: skip
@click.option("--control", type=int, help="Port on loopback at which faults can be planned; 0 takes a free one.")
@_with_site_options
def main(data: Path | None, control: int | None, **given: Any) -> None:
    """Run a practice XNAT on this machine, to try scripts against. It is not secure and keeps nothing.

    By default it is well-behaved. The options from --xnat-version on give it the limits and faults of real servers.
    Faults of single requests are planned at the control address.
    """
    with _errors_in_one_line(), ExitStack() as stack:
        folder = data or Path(stack.enter_context(TemporaryDirectory(prefix="sandbox-xnat-")))
        ended = threading.Event()
        _end_on_signals(ended)
        xnat = stack.enter_context(_build_sandbox(folder, given))
        click.echo(f"A practice XNAT {given['dialect']} listens at {xnat.url}")
        click.echo(f"users:    {', '.join(map(':'.join, (given['users'] | given['admins']).items()))}")
        click.echo(f"projects: {', '.join(given['projects'])}")
        click.echo(f"data:     {folder}")
        if control is not None:
            click.echo(f"control:  {xnat.listen_for_faults(control)}")
        click.echo("Ctrl-C ends it.")
        ended.wait()


def _build_sandbox(folder: Path, given: Mapping[str, Any]) -> Sandbox:
    """Return the practice XNAT that the options describe."""
    xnat = Sandbox(folder, given["dialect"], port=given["port"], options=_options(given))
    for project in given["projects"]:
        xnat.add_project(project, int(given["auto_archive"]))
    for name, password in (given["users"] | given["admins"]).items():
        xnat.add_user(name, password, admin=name in given["admins"])
        for project in given["projects"]:
            xnat.grant(name, project, given["role"])
    return xnat


def _options(given: Mapping[str, Any]) -> Options:
    options: dict[str, Any] = {}
    for one in fields(Options):
        value = given[one.name]
        options[one.name] = timedelta(seconds=value) if isinstance(one.default, timedelta) else value
    return Options(**options)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Report in one line, with exit code 1, that a port is taken or that a planned fault never happened."""
    try:
        yield
    except (AssertionError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _end_on_signals(ended: threading.Event) -> None:
    def end(_: int, __: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


if __name__ == "__main__":
    main()
