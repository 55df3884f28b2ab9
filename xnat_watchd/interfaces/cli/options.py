"""The options that commands share. What they lead to is read only when a command asks: `--help` must cost nothing."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from xnat_watchd.core.access import UserAccess
from xnat_watchd.core.errors import NoLedger, NoReadAccess, Occupied, Refusal
from xnat_watchd.interfaces.cli.user_commands import with_sudo

if TYPE_CHECKING:  # their import takes most of the time that `--help` may take
    from xnat_watchd.adapters.credentials import Credential
    from xnat_watchd.adapters.ledger.ledger import Ledger
    from xnat_watchd.adapters.ledger.location import Location
    from xnat_watchd.adapters.ledger.status_parts import StatusParts
    from xnat_watchd.adapters.operator_socket import Requester
    from xnat_watchd.adapters.xnat.gateway import XnatGateway
    from xnat_watchd.interfaces.cli.locations import Locations
    from xnat_watchd.settings import Settings

NO_LOGIN = "Type `xnat-watchd login`, or give the login as the page 'Logins' of the documentation says."
NO_LEDGER_YET = (
    "The first `xnat-watchd run` makes it. For ZIPs that were sent with `run --once --drop DIR`, type `--drop DIR` "
    "behind `xnat-watchd`."
)
NOTHING_SENT = "Nothing was sent from there yet. `xnat-watchd run --once` does it."
NOT_OURS = "Only the service's user and root may see it: put `sudo` in front."
_COMMAND = re.compile(r"`xnat-watchd (?=[a-z])")
STDIN, TERMINAL = "standard input", "the terminal"  #: sources of a password that was just typed


@dataclass(frozen=True)
class CommandOptions:
    """The options that were given to one command. The configuration says the rest."""

    config: Path | None = None
    server: str | None = None
    user: str | None = None
    project: str | None = None
    drop: Path | None = None  #: a folder whose ZIPs are sent once, with a ledger of its own inside
    password_stdin: bool = False
    requester: Requester | None = None  #: the user for whom the service carries the command out; None: who runs it

    @property
    def sees_names(self) -> bool:
        """Whether names of patients and files may be shown: to whoever can open the ledger, and to who may decide."""
        return self.requester is None or self.requester.access >= UserAccess.DECIDE

    @property
    def person(self) -> str:
        """The login name of the person who decides, for the record."""
        from xnat_watchd.interfaces.cli.rights import login_name

        return self.requester.name if self.requester else login_name()

    @property
    def is_for_this_machine(self) -> bool:
        """Whether the service of this machine is meant: no option or variable names another."""
        from xnat_watchd.adapters import config

        return self.config is None and self.drop is None and config.FILE_VARIABLE not in os.environ

    def as_typed(self, text: str) -> str:
        """Return a text whose commands this reader can type as they stand.

        They name the configuration or the folder that the reader named. A user for whom the service carries commands
        out puts `sudo` before the others.
        """
        if self.requester is not None:
            return with_sudo(text)
        given = {"--config": self.config, "--drop": self.drop}
        words = shlex.join(word for name, value in given.items() if value for word in (name, str(value)))
        return _COMMAND.sub(lambda found: f"{found[0]}{words} ", text) if words else text

    def replaced_by(self, **given: Any) -> Self:
        """Return a copy with these options replaced."""
        return replace(self, **given)

    def environ(self) -> Mapping[str, str]:
        """Return the environment, with the given options in it as the variables of their settings."""
        from xnat_watchd.interfaces.cli import one_off

        own = one_off.variables(config=self.config, server=self.server, project=self.project, drop=self.drop)
        return {**os.environ, **own}

    def settings(self) -> Settings:
        """Return the settings, or raise `Refusal`. Root becomes the user who owns the ledger's folder."""
        from xnat_watchd.interfaces.cli.rights import become_owner
        from xnat_watchd.settings import load

        environ = self.environ()
        self._must_name_a_server(environ)
        settings = load(self.config, environ)
        become_owner(settings.ledger.path.parent)
        return settings

    def _must_name_a_server(self, environ: Mapping[str, str]) -> None:
        """Raise `Refusal` for whom nothing is configured, whatever else is typed: the settings would name variables."""
        from xnat_watchd.adapters import config

        ours = any(name.startswith(config.PREFIX) for name in os.environ)
        if (
            not ours
            and config.variable_of(("xnat", "server")) not in environ
            and not config.find_file(self.config, environ)
        ):
            raise config.nothing_configured()

    def locations(self) -> Locations:
        """Return where the ledger is and its server, or raise `Refusal`. Root becomes the owner of its folder."""
        from xnat_watchd.interfaces.cli.locations import find_locations
        from xnat_watchd.interfaces.cli.rights import become_owner

        found = find_locations(self.config, self.environ())
        become_owner(found.ledger.path.parent)
        return found

    def project_of(self, settings: Settings) -> str:
        """Return the project that a command is for. Raise `UsageError` if nothing names one."""
        project = self.project or settings.xnat.project
        if not project:
            raise click.UsageError("name the project with --project")
        return project

    def credential(self, settings: Settings) -> Credential:
        """Return user and password for the server: found, or asked for on a terminal. Else raise `Refusal`."""
        from xnat_watchd.adapters.credentials import Credential, Secret, find

        server = settings.xnat.server
        if self.password_stdin:
            if self.user is None:
                raise click.UsageError("--password-stdin needs --user")
            return Credential(self.user, Secret(_first_line()), STDIN)
        folders = (settings.ledger.path.parent, *self._own_folder())
        found = next((one for folder in folders if (one := find(server, os.environ, folder))), None)
        if found is not None and self.user in (None, found.user):  # never one user with another's password
            return found
        if not sys.stdin.isatty():
            whose = f"password of that user for {server}" if self.user else f"user and password for {server}"
            raise Refusal(f"there is no {whose}", advice=NO_LOGIN)
        user = self.user or click.prompt(f"User on {server}", err=True)
        return Credential(user, Secret(click.prompt("Password", hide_input=True, err=True)), TERMINAL)

    def _own_folder(self) -> list[Path]:
        """Return where this user's login is kept that a folder of ZIPs is sent with; none if nothing is configured."""
        from xnat_watchd.interfaces.cli.locations import find_locations

        if self.drop is None:
            return []
        try:
            return [find_locations(self.config).ledger.path.parent]
        except Refusal:
            return []

    @contextmanager
    def gateway(self) -> Iterator[XnatGateway]:
        """Open a gateway to the server of the settings."""
        settings = self.settings()
        with self.open_gateway(settings, self.credential(settings)) as gateway:
            yield gateway

    @contextmanager
    def open_gateway(self, settings: Settings, credential: Credential) -> Iterator[XnatGateway]:
        """Open a gateway to the server of these settings."""
        from xnat_watchd.adapters.clock import SystemClock
        from xnat_watchd.adapters.xnat.gateway import XnatServer

        server = XnatServer.from_settings(settings.xnat, credential, SystemClock(), Event())
        try:
            yield server.gateway()
        finally:
            server.close()

    @contextmanager
    def ledger(self, where: Location, *, read_only: bool = True) -> Iterator[Ledger]:
        """Open the ledger. Raise `Refusal` if there is none yet."""
        self._must_be_there(where)
        ledger = opened(where, read_only=read_only)
        try:
            yield ledger
        finally:
            ledger.close()

    @contextmanager
    def status_parts(self, where: Location) -> Iterator[StatusParts]:
        """Open what the status shows of the ledger. Raise `Refusal` if there is no ledger yet."""
        from xnat_watchd.adapters.ledger.opening import open_database
        from xnat_watchd.adapters.ledger.status_parts import StatusParts

        self._must_be_there(where)
        parts = StatusParts(open_database(where, read_only=True, upgrade=False))
        try:
            yield parts
        finally:
            parts.close()

    def _must_be_there(self, ledger: Location) -> None:
        if not is_there(ledger):
            raise NoLedger(f"there is no ledger at {ledger} yet", advice=NOTHING_SENT if self.drop else NO_LEDGER_YET)


def opened(where: Location, *, read_only: bool) -> Ledger:
    """Open the ledger. A ledger of an older version is upgraded before it is written to, if no service uses it.

    Raise `Refusal` if a service uses it: that service may be of the older version too, and know only its own ledger.
    Raise it, too, before anything is written to a ledger that was moved away: nobody would carry it out.
    """
    ledger = _upgraded(where, read_only=read_only)
    with ExitStack() as otherwise:
        otherwise.callback(ledger.close)
        if not read_only:
            ledger.moves.must_be_here()
        otherwise.pop_all()
    return ledger


def _upgraded(where: Location, *, read_only: bool) -> Ledger:
    from xnat_watchd.adapters.files.lock import Lock, lock_of
    from xnat_watchd.adapters.ledger.database import OlderSchema
    from xnat_watchd.adapters.ledger.ledger import Ledger
    from xnat_watchd.adapters.ledger.opening import open_database

    try:
        return Ledger(open_database(where, read_only=read_only, upgrade=False))
    except OlderSchema as older:
        if read_only:
            raise
        with ExitStack() as stack:
            try:
                stack.enter_context(Lock(lock_of(where.path)))  # no service begins meanwhile
            except Occupied:
                raise older from None
            return Ledger(open_database(where))


def is_served(ledger: Location) -> bool:
    """Return whether a service, or another command, works on this ledger now."""
    from xnat_watchd.adapters.files.lock import is_held, lock_of

    return is_there(ledger) and is_held(lock_of(ledger.path))


def is_there(ledger: Location) -> bool:
    """Return whether there is a ledger. Raise `NoReadAccess` if this user may not look."""
    try:
        return ledger.exists()
    except PermissionError:
        raise NoReadAccess(f"{ledger}: this user may not see it", advice=NOT_OURS) from None


def _first_line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


# -- the options -------------------------------------------------------------------------------------------

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep an option. It replaces the one that was given before the command's name."""
    options = context.obj if isinstance(context.obj, CommandOptions) else CommandOptions()
    given = value not in (None, False)
    context.obj = options.replaced_by(**{str(parameter.name): value}) if given else options


def _address(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    from xnat_watchd.adapters.config import server_address

    _keep(context, parameter, value if value is None else _checked(server_address, value))


def _project_id(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    from xnat_watchd.adapters.config import simple_name

    _keep(context, parameter, value if value is None else _checked(simple_name, value))


def _checked(read: Callable[[str], str], value: str) -> str:
    try:
        return read(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def config_option(command: _Command) -> _Command:
    """Add `--config`."""
    return click.option(
        "--config", type=click.Path(path_type=Path, dir_okay=False), expose_value=False, callback=_keep,
        help="The settings file. Without it: $XNAT_WATCHD_CONFIG, /etc/xnat-watchd/config.toml, or the one in your "
        "configuration folder.",
    )(command)  # fmt: skip


def project_option(command: _Command) -> _Command:
    """Add `--project`, which may stand before or after the command's name."""
    return click.option(
        "--project", metavar="ID", expose_value=False, callback=_project_id, help="The project."
    )(command)  # fmt: skip


def server_option(command: _Command) -> _Command:
    """Add `--server`, which may stand before or after the command's name."""
    return click.option("--server", metavar="URL", expose_value=False, callback=_address,
                        help="The XNAT server, instead of the one in the configuration.")(command)  # fmt: skip


def server_options(command: _Command) -> _Command:
    """Add `--server`, `--user` and `--password-stdin`, which may stand before or after the command's name."""
    for option in (
        click.option("--password-stdin", is_flag=True, expose_value=False, callback=_keep,
                     help="Read the password from standard input."),
        click.option("--user", metavar="NAME", expose_value=False, callback=_keep,
                     help="Your user there. The password is looked for first, then you are asked."),
        server_option,
    ):  # fmt: skip
        command = option(command)
    return command


def drop_option(command: _Command) -> _Command:
    """Add `--drop`, which may stand before or after the command's name."""
    return click.option(
        "--drop", type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True), metavar="DIR",
        expose_value=False, callback=_keep,
        help="A folder of ZIPs to send once. The ledger, the ZIPs under way and the finished ZIPs are in "
        "DIR/.xnat-watchd.",
    )(command)  # fmt: skip
