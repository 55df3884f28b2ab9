"""Puts the service's files into their places, or takes them away, and has systemd act upon it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from xnat_watchd.adapters.config import read_file
from xnat_watchd.core.errors import Refusal
from xnat_watchd.service.plan import CLOSED, CONFIGURATION, FOLDERS, NAME, USERS, File, Link, Site, everything, plan

Say = Callable[[str], None]
Command = Sequence[str]

AT_INSTALL: tuple[Command, ...] = (
    ("systemd-sysusers", str(USERS / f"{NAME}.conf")),
    ("systemd-tmpfiles", "--create", str(FOLDERS / f"{NAME}.conf")),
    ("systemctl", "daemon-reload"),
)
BEFORE_UNINSTALL: tuple[Command, ...] = (("systemctl", "disable", "--now", "--quiet", NAME),)
AFTER_UNINSTALL: tuple[Command, ...] = (
    ("systemctl", "daemon-reload"),
    ("systemctl", "clean", "--what=runtime", NAME),
)


@dataclass(frozen=True, slots=True)
class Hand:
    """What does the work: below `prefix` or, without one, on this machine; `dry` only says what it would do."""

    say: Say
    prefix: Path | None = None
    dry: bool = False

    def place(self, one: File | Link) -> None:
        """Put one thing where it belongs, unless it is there."""
        path, there = self.at(one.path), self._lies(one)
        if there and isinstance(one, File) and one.theirs:
            self.say(f"kept      {path}")
        elif there and self._is_right(one):
            self.say(f"unchanged {path}")
        else:
            self.say(f"{'replaced ' if there else 'placed   '} {path}")
            if not self.dry:
                _write(path, one)

    def remove(self, one: File | Link) -> None:
        """Take one thing away, and its folder where that was made for it alone."""
        path = self.at(one.path)
        if isinstance(one, Link) and not self._is_right(one):
            return  # somebody else's command of this name
        if self._lies(one) and not (isinstance(one, File) and one.theirs):
            self.say(f"removed   {path}")
            if not self.dry:
                path.unlink()
                _remove_if_empty(path.parent)

    def run(self, commands: Iterable[Command]) -> None:
        """Have systemd act. Below a prefix there is none."""
        for command in commands if self.prefix is None else ():
            self.say(f"ran       {' '.join(command)}")
            if not self.dry:
                _run(command)

    def at(self, path: Path) -> Path:
        """Give where a path lies for us."""
        return self.prefix / path.relative_to("/") if self.prefix else path

    def _lies(self, one: File | Link) -> bool:
        return os.path.lexists(self.at(one.path))

    def _is_right(self, one: File | Link) -> bool:
        path = self.at(one.path)
        if isinstance(one, Link):
            return path.is_symlink() and path.readlink() == one.target
        same_kind = path.is_file() and not path.is_symlink()
        return same_kind and path.stat().st_mode & 0o7777 == one.mode and path.read_text("utf-8") == one.content


def install(hand: Hand) -> None:
    """Make the program a service of this machine. Doing it again changes nothing that is right already."""
    program = program_here()
    if hand.prefix is None:
        _check_program(program)
    for one in plan(_site(hand, program), shipped):
        hand.place(one)
    hand.run(AT_INSTALL)


def uninstall(hand: Hand) -> None:
    """Undo `install`, but leave what is the site's: settings, ledger, credentials, folders, user and group."""
    files = everything(Site(program=program_here()), shipped)
    if hand.at(files[-2].path.parent).exists():
        hand.run(BEFORE_UNINSTALL)
    for one in files:
        hand.remove(one)
    hand.run(AFTER_UNINSTALL)


def is_running() -> bool:
    """Say whether the service runs here and now."""
    found = shutil.which("systemctl")
    return found is not None and subprocess.run([found, "is-active", "--quiet", NAME], check=False).returncode == 0  # noqa: S603 - a constant


def shipped(name: str) -> str:
    """Give the text of a shipped file: from within the package, or in a checkout from beside it."""
    return _shipped_folder(name.partition("/")[0]).joinpath(*name.split("/")[1:]).read_text("utf-8")


def _shipped_folder(kind: str) -> Traversable:
    inside = resources.files(__package__) / kind
    return inside if inside.is_dir() else Path(__file__).parents[2] / kind
