"""How settings are written: one TOML file, variables of the environment, and the forms that values have.

A path is the way to a setting, `("labels", "subject")`; in a known path `*` stands for any project. No
sentence repeats a value, so none can show a secret that was written in the wrong place.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from xnat_watchd.core import quantities
from xnat_watchd.core.errors import Refusal

SYSTEM_FILE = Path("/etc/xnat-watchd/config.toml")
PREFIX = "XNAT_WATCHD_"
FILE_VARIABLE = "XNAT_WATCHD_CONFIG"
USER_VARIABLE, PASSWORD_VARIABLE = "XNAT_WATCHD_XNAT__USER", "XNAT_WATCHD_XNAT__PASSWORD"
LIVE_PREFIX = "XNAT_WATCHD_LIVE_"  #: a real server, for the tests

NO_LOGIN_HERE = (
    f"a login never stands here: set {USER_VARIABLE} and {PASSWORD_VARIABLE}, or use a systemd credential or netrc"
)
_LOGIN_KEY = re.compile("user|login|pas|pwd|secret|token|credential", re.IGNORECASE)

KeyPath = tuple[str, ...]


def find_file(path: Path | None, environ: Mapping[str, str], system_file: Path = SYSTEM_FILE) -> Path | None:
    """Return the file that counts, or None: the one asked for, else the system's, else the user's own."""
    if path is not None:
        return path
    if environ.get(FILE_VARIABLE):
        return Path(environ[FILE_VARIABLE])
    home = environ.get("XDG_CONFIG_HOME") or environ.get("HOME", "") + "/.config"
    # A relative $XDG_CONFIG_HOME is to be ignored, says the XDG Base Directory Specification.
    own = [Path(home, "xnat-watchd", "config.toml")] if home.startswith("/") else []
    return next((file for file in (system_file, *own) if _exists(file)), None)


def read_file(file: Path) -> dict[str, Any]:
    """Return what the file says. `Refusal` if it cannot be read or is not TOML."""
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise Refusal(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refusal(f"{file}: is not a text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        # The parser's own words may hold a piece of the line; the place of it is enough.
        place = re.search(r"\(at (line [0-9]+, column [0-9]+|end of document)\)", str(error))
        raise Refusal(f"{file}: is not valid TOML" + (f" at {place[1]}" if place else "")) from None


def _exists(file: Path) -> bool:
    try:
        file.stat()
    except PermissionError:
        return True  # it may be there: reading it will say so, where passing over it would surprise
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class SettingNames:
    """The settings that there are, and what to say of those that there are not."""

    known: Collection[KeyPath]

    def path(self, variable: str) -> KeyPath | None:
        """Return what a variable sets, or None. A project's letters stand in it as they are, others are capitals."""
        parts = variable.removeprefix(PREFIX).split("__")
        path = tuple(part.lower() for part in parts)
        if path[0] == "projects" and len(path) > len(("projects", "P", "section")):
            path = ("projects", "__".join(parts[1:-2]), *path[-2:])
        known = any_project(path) in self.known and variable == variable_of(path)
        return path if known else None

    def strange_variables(self, environ: Iterable[str]) -> list[str]:
        """Return a sentence for each variable that begins like ours and is none."""
        reserved = (FILE_VARIABLE, USER_VARIABLE, PASSWORD_VARIABLE)
        ours = [name for name in environ if name.upper().startswith(PREFIX)]
        strange = [name for name in ours if name not in reserved and not self.path(name)]
        right = [*reserved, *(variable_of(path) for path in self.known)]
        return [
            f"{name}: there is no such variable; the nearest is {_close(name.upper(), right)[0]}"
            for name in sorted(strange)
            if not name.startswith(LIVE_PREFIX)
        ]

    def strange_key(self, path: KeyPath) -> str:
        """Return that there is no such key or section, and which one is nearest, here or elsewhere."""
        if _LOGIN_KEY.search(path[-1]):
            return NO_LOGIN_HERE
        right = {*self.known, *(known[:size] for known in self.known for size in range(1, len(known)))}
        elsewhere = {known[-1]: named(known) for known in sorted(right)}
        here = {known[-1]: named(known) for known in right if known[:-1] == any_project(path)[:-1]}
        tries = ((here, 0.6), (elsewhere, 0.6), (here or elsewhere, 0))
        near = (near[0] for names, cutoff in tries if (near := _close(path[-1], names, cutoff)))
        nearest = (elsewhere | here)[next(near)]
        return f"there is no such setting; the nearest is {nearest.replace('*', path[1] if path[1:] else 'P')}"


@dataclass(frozen=True, slots=True)
class WrittenSettings:
    """What was written, and where."""

    file: Path | None
    tree: Mapping[str, Any]
    variables: Mapping[KeyPath, str]  #: which variable sets what
    names: SettingNames

    def strange(self, environ: Iterable[str]) -> list[str]:
        """Return a sentence for each section and each variable that does not exist."""
        sections = {known[0] for known in self.names.known}
        strange = [self.sentence((key,), "extra_forbidden", "") for key in self.tree if key not in sections]
        return strange + self.names.strange_variables(environ)

    def sentence(self, path: KeyPath, kind: str, message: str) -> str:
        """Return what is wrong with a setting and where it was written. `kind` and `message` are pydantic's."""
        path = tuple(part for part in path if part != "[key]")
        setting = path[: 4 if path[0] == "projects" else 2]
        if kind == "missing":
            file = self.file or "a configuration file (there is none)"
            return f"{named(setting)} is not set, in {file} or as {variable_of(setting)}"
        said = next((name for given, name in self.variables.items() if given[: len(setting)] == setting), None)
        where = said or f"{self.file}: {named(setting)}"
        if kind == "extra_forbidden":
            return f"{where}: {self.names.strange_key(path)}"
        plain = _PLAIN.get(kind) or message.removeprefix("Value error, ").replace("Input should", "it should")
        return f"{where}: {plain}"


_PLAIN = {
    "tuple_type": "it should be a list",
    "dict_type": "it should be a table",
    "model_type": "it should be a table",
}


def read(
    path: Path | None, environ: Mapping[str, str], system_file: Path, known: Collection[KeyPath]
) -> WrittenSettings:
    """Return what is written in the file that counts and in the environment, or raise `Refusal`."""
    file = find_file(path, environ, system_file)
    names = SettingNames(known)
    variables = {found: name for name in environ if (found := names.path(name))}
    return WrittenSettings(file, read_file(file) if file else {}, variables, names)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one tree over another, key by key."""
    both = {
        key: merged(under[key], value) if isinstance(under.get(key), dict) and isinstance(value, dict) else value
        for key, value in over.items()
    }
    return {**under, **both}


def any_project(path: KeyPath) -> KeyPath:
    """Return the path with `*` for a project's name."""
    return (path[0], "*", *path[2:]) if path[0] == "projects" and len(path) > 1 else path


def variable_of(path: KeyPath) -> str:
    """Return the variable that sets this."""
    parts = [part.upper() for part in path]
    if path[0] == "projects" and len(path) > 1:
        parts[1] = path[1].replace("*", "PROJECT")
    return PREFIX + "__".join(parts)


def named(path: KeyPath) -> str:
    """Return a path as one finds it in the file: `[labels] subject`."""
    section = ".".join(path[:-1])
    return f"[{section}] {path[-1]}" if section else path[-1]


def _close(name: str, right: Collection[str], cutoff: float = 0) -> list[str]:
    return get_close_matches(name, right, n=1, cutoff=cutoff)


# -- how values are written --------------------------------------------------------------------------------


def duration(value: object) -> timedelta:
    """Read `10s` or `1h30m`; not `10`, which says no unit."""
    span = value if isinstance(value, timedelta) else quantities.duration(value if isinstance(value, str) else "")
    if not span:
        raise ValueError("a duration must be longer than nothing")
    return span


def size(value: object) -> int:
    """Read `2GiB` in bytes."""
    return quantities.size(value if isinstance(value, str) else "")


def or_none(value: object) -> object:
    """Read an empty text as "none"."""
    return None if value == "" else value


def absolute(path: Path | None) -> Path | None:
    """Refuse a path that depends on where the program was started."""
    if path is not None and (not path.is_absolute() or ".." in path.parts):
        raise ValueError("a path must be absolute: it begins with / and has no .. in it")
    return path


def simple_name(name: str) -> str:
    """Refuse what cannot be a project's ID or a custom variable's name in XNAT."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise ValueError("such a name has only letters, digits, - and _, at most 64")
    return name


def server_address(url: str) -> str:
    """Return the server's address without a slash at its end. No login, no query."""
    try:
        parts = urlsplit(url.strip())
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, an IPv6 address without its end
        raise ValueError(_LIKE_THIS) from None
    if "@" in parts.netloc:
        raise ValueError(NO_LOGIN_HERE)
    if not good or parts.query or parts.fragment or re.search(r"\s", url.strip()):
        raise ValueError(_LIKE_THIS)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


_LIKE_THIS = "a server's address looks like https://xnat.example.org or http://host:8080/xnat"
