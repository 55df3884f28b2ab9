"""Installs the files of the service or removes them, and has systemd apply the change."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from xnat_watchd.adapters.config import PREFIX, read_file
from xnat_watchd.adapters.files.new_files import create_new
from xnat_watchd.adapters.systemd.service_files import (
    CONFIGURATION,
    FAILED_UNIT,
    NAME,
    OPERATOR_SOCKET,
    PROGRAM,
    RUNTIME,
    SYSUSERS,
    TMPFILES,
    UNIT,
    WEB_SOCKET,
    WEB_UNIT,
    Link,
    Machine,
    ServiceFile,
    everything,
    is_seen_by_the_service,
    plan,
)
from xnat_watchd.core.errors import Refusal

Command = Sequence[str]
CORRECT_AND_REPEAT = "Correct what is named. Then install again: what is already right stays as it is."

AT_INSTALL: tuple[Command, ...] = (
    ("systemd-sysusers", str(SYSUSERS / f"{NAME}.conf")),
    ("systemd-tmpfiles", "--create", str(TMPFILES / f"{NAME}.conf")),
    ("systemctl", "daemon-reload"),
    ("systemctl", "enable", "--quiet", OPERATOR_SOCKET.name),
    ("systemctl", "restart", OPERATOR_SOCKET.name),  # so that a changed one counts
    ("systemctl", "enable", "--quiet", WEB_SOCKET.name),
    ("systemctl", "stop", WEB_UNIT.name),  # its socket cannot be made anew while it runs
    ("systemctl", "restart", WEB_SOCKET.name),
)
AFTER_UNINSTALL: tuple[Command, ...] = (("systemctl", "daemon-reload"),)


@dataclass(frozen=True, slots=True)
class Installer:
    """Installs on this machine, or below `prefix`. A `dry` installer only reports what it would do."""

    report: Callable[[str], None]
    prefix: Path | None = None
    dry: bool = False

    def place(self, one: ServiceFile | Link) -> None:
        """Install one file or link unless it is already right."""
        path, there = self.at(one.path), self.exists(one.path)
        if there and isinstance(one, ServiceFile) and one.theirs:
            self.report(f"kept      {path}")
        elif there and self._is_right(one):
            self.report(f"unchanged {path}")
        else:
            self.report(f"{'replaced ' if there else 'placed   '} {path}")
            if not self.dry:
                _write(path, one)

    def remove(self, one: ServiceFile | Link) -> None:
        """Remove one file or link, and its folder if that is then empty."""
        path = self.at(one.path)
        belongs_to_others = not self._is_right(one) if isinstance(one, Link) else one.theirs
        if self.exists(one.path) and not belongs_to_others:
            self.report(f"removed   {path}")
            if not self.dry:
                path.unlink()
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()

    def remove_folder(self, folder: Path) -> None:
        """Remove a folder with its content."""
        if self.exists(folder):
            self.report(f"removed   {self.at(folder)}")
            if not self.dry:
                shutil.rmtree(self.at(folder))

    def run(self, commands: Iterable[Command]) -> None:
        """Run commands of systemd, on this machine only. Raise `Refusal` if one fails."""
        for command in commands if self.prefix is None else ():
            self.report(f"ran       {' '.join(command)}")
            if not self.dry:
                _run(command)

    def at(self, path: Path) -> Path:
        """Return where a path lies, below the prefix if there is one."""
        return self.prefix / path.relative_to("/") if self.prefix else path

    def exists(self, path: Path) -> bool:
        """Return whether there is anything at a path."""
        return os.path.lexists(self.at(path))

    def _is_right(self, one: ServiceFile | Link) -> bool:
        path = self.at(one.path)
        if isinstance(one, Link):
            return path.is_symlink() and path.readlink() == one.target
        plain = path.is_file() and not path.is_symlink()
        return plain and stat.S_IMODE(path.stat().st_mode) == one.mode and path.read_text("utf-8") == one.content


def install(installer: Installer) -> None:
    """Make the program a service of this machine. A second call changes nothing that is already right."""
    program = _program(installer.prefix)
    if installer.prefix is None:
        _check(program)
    settings = read_file(installer.at(CONFIGURATION)) if installer.exists(CONFIGURATION) else None
    site = Machine(program=program) if settings is None else Machine.of(settings, program=program)
    for one in plan(site, shipped, systemd=_version() if installer.prefix is None else 0):
        installer.place(one)
    installer.run(AT_INSTALL)


def uninstall(installer: Installer) -> None:
    """Undo `install`, but leave what belongs to the site: settings, ledger, credentials, folders, user and group."""
    for unit in (OPERATOR_SOCKET, WEB_SOCKET, WEB_UNIT, UNIT, FAILED_UNIT):
        if installer.exists(unit):
            installer.run([("systemctl", "disable", "--now", "--quiet", unit.name)])
    for one in everything(Machine(program=_program(installer.prefix)), shipped):
        installer.remove(one)
    installer.remove_folder(RUNTIME)
    installer.run(AFTER_UNINSTALL)


def folders(prefix: Path) -> list[Path]:
    """Return the folders below a prefix into which files are installed."""
    placed = {one.path.parent for one in everything(Machine(program=_program(prefix)), shipped)}
    return sorted(prefix / folder.relative_to("/") for folder in placed)


def is_running() -> bool:
    """Return whether the service runs on this machine now."""
    systemctl = shutil.which("systemctl")
    return systemctl is not None and _completed((systemctl, "is-active", "--quiet", NAME)).returncode == 0


def shipped(name: str) -> str:
    """Return the text of a shipped file, `systemd/...` or `config/...`, from the package or from a checkout."""
    kind, _, rest = name.partition("/")
    inside: Traversable = resources.files("xnat_watchd.adapters.systemd") / "shipped" / kind
    folder = inside if inside.is_dir() else Path(__file__).parents[3] / kind
    return folder.joinpath(*rest.split("/")).read_text("utf-8")


def _program(prefix: Path | None) -> Path:
    """Return the path of the command in this interpreter's environment, as the machine to be installed will see it.

    What lies outside the prefix is the builder's: then it is the path that the documentation names.
    """
    here = Path(sys.executable).parent / NAME
    if prefix is None:
        return here
    below = prefix.absolute()
    return Path("/", here.relative_to(below)) if here.is_relative_to(below) else PROGRAM


def _check(program: Path) -> None:
    """Raise `Refusal` if the service's user could not start the program."""
    for file in (program, program.resolve(), Path(sys.executable).resolve()):
        if not is_seen_by_the_service(file):
            raise Refusal(
                f"{file}: the service could not see the program there",
                advice="Install it into /opt/xnat-watchd: `python3 -m venv /opt/xnat-watchd`, then pip from there.",
            )
        closed = [str(one) for one in (file, *file.parents) if not one.stat().st_mode & stat.S_IXOTH]
        if closed:
            raise Refusal(
                f"{closed[-1]}: other users may not enter it, and the service runs as another user",
                advice=f"Type `chmod -R go+rX {closed[-1]}`.",
            )


def _version() -> int:
    """Return the version of this machine's systemd."""
    systemctl = shutil.which("systemctl")
    found = systemctl and re.match(r"systemd (\d+)", _completed((systemctl, "--version")).stdout)
    if not found:
        raise Refusal(
            "this machine has no systemd",
            advice="Have `xnat-watchd run` started by the program that starts services here.",
        )
    return int(found[1])


def _run(command: Command) -> None:
    try:
        done = _completed(command)
    except FileNotFoundError:
        raise Refusal(f"this machine has no {command[0]}", advice=CORRECT_AND_REPEAT) from None
    if done.returncode != 0:
        raise Refusal(f"{' '.join(command)} failed: {done.stderr.strip()}", advice=CORRECT_AND_REPEAT)


def _completed(command: Command) -> subprocess.CompletedProcess[str]:
    """Run a command without our own environment variables: one of them may hold a password."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - constants of this module


def _write(path: Path, one: ServiceFile | Link) -> None:
    """Write a file or link beside its path and move it there, so that nobody ever sees half of it."""
    _make_folder(path.parent)
    part = path.with_name(f".{path.name}.part")
    if isinstance(one, Link):
        part.unlink(missing_ok=True)
        part.symlink_to(one.target)
    else:
        with os.fdopen(create_new(part, one.mode), "w", encoding="utf-8") as file:
            file.write(one.content)
            os.fchmod(file.fileno(), one.mode)
    part.replace(path)


def _make_folder(folder: Path) -> None:
    """Make a folder that everybody may read, regardless of the umask."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)
