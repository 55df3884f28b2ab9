"""How settings are written: one TOML file, environment variables, and the forms of values.

A key path leads to a setting, `("labels", "subject")`. In a known path, `*` stands for any project. No error text
repeats a value, so none can show a secret that was written in the wrong place.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from ipaddress import ip_address
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
    """Return the settings file to read, or None: the one asked for, else the system's, else the user's own."""
    if path is not None:
        return path
    if environ.get(FILE_VARIABLE):
        return Path(environ[FILE_VARIABLE])
    return next((file for file in (system_file, own_file(environ)) if file and _exists(file)), None)


def own_file(environ: Mapping[str, str]) -> Path | None:
    """Return where the user's own settings file is, or would be; None without a home."""
    home = environ.get("XDG_CONFIG_HOME") or environ.get("HOME", "") + "/.config"
    # The XDG Base Directory Specification requires that a relative $XDG_CONFIG_HOME is ignored.
    return Path(home, "xnat-watchd", "config.toml") if home.startswith("/") else None


def nothing_configured() -> Refusal:
    """Return the error for a command that was typed before anything was configured."""
    return Refusal(
        "there is no configuration yet",
        advice="For yourself: type `xnat-watchd login --server https://your.xnat.org`. For a service of this machine: "
        f"`sudo xnat-watchd install`, then write the server into {SYSTEM_FILE}.",
    )


def read_file(file: Path) -> dict[str, Any]:
    """Return the content of the file. Raise `Refusal` if it cannot be read or is not TOML."""
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))  # editors on Windows begin a file with a BOM
    except OSError as error:
        raise Refusal(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refusal(f"{file}: is not a text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        # The parser's message may hold a part of the line. Its position is enough.
        place = re.search(r"\(at (line [0-9]+, column [0-9]+|end of document)\)", str(error))
        raise Refusal(f"{file}: is not valid TOML" + (f" at {place[1]}" if place else "")) from None


def _exists(file: Path) -> bool:
    try:
        file.stat()
    except PermissionError:
        return True  # it may exist: reading it will show that, while ignoring it would surprise people
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class SettingNames:
    """The settings that exist, and error texts for those that do not."""

    known: Collection[KeyPath]

    def path(self, variable: str) -> KeyPath | None:
        """Return the setting of a variable, or None. Its letters are capitals, except those of a project's name."""
        parts = variable.removeprefix(PREFIX).split("__")
        path = tuple(part.lower() for part in parts)
        if path[0] == "projects" and len(path) > len(("projects", "P", "section")):
            path = ("projects", "__".join(parts[1:-2]), *path[-2:])
        known = any_project(path) in self.known and variable == variable_of(path)
        return path if known else None

    def unknown_variables(self, environ: Iterable[str]) -> list[str]:
        """Return an error text for each variable that begins like ours and does not exist."""
        reserved = (FILE_VARIABLE, USER_VARIABLE, PASSWORD_VARIABLE)
        ours = [name for name in environ if name.upper().startswith(PREFIX)]
        unknown = [name for name in ours if name not in reserved and not self.path(name)]
        right = [*reserved, *(variable_of(path) for path in self.known)]
        return [
            f"{name}: there is no such variable; the nearest is {_close(name.upper(), right)[0]}"
            for name in sorted(unknown)
            if not name.startswith(LIVE_PREFIX)
        ]

    def unknown_key(self, path: KeyPath) -> str:
        """Return the error text for an unknown key or section. It names the nearest one, here or elsewhere."""
        if _LOGIN_KEY.search(path[-1]):
            return NO_LOGIN_HERE
        right = {*self.known, *(known[:size] for known in self.known for size in range(1, len(known)))}
        of_projects = path[0] == "projects"
        elsewhere = {known[-1]: named(known) for known in sorted(right) if of_projects or known[0] != "projects"}
        here = {known[-1]: named(known) for known in right if known[:-1] == any_project(path)[:-1]}
        tries = ((here, 0.6), (elsewhere, 0.6), (here or elsewhere, 0))
        near = (near[0] for names, cutoff in tries if (near := _close(path[-1], names, cutoff)))
        nearest = (elsewhere | here)[next(near)]
        return f"there is no such setting; the nearest is {nearest.replace('*', path[1] if path[1:] else 'P')}"


@dataclass(frozen=True, slots=True)
class WrittenSettings:
    """The settings as they were written, and where each was written."""

    file: Path | None
    tree: Mapping[str, Any]
    variables: Mapping[KeyPath, str]  #: the variable of each setting that a variable sets
    names: SettingNames

    def has(self, path: KeyPath) -> bool:
        """Return whether a setting was written, and does not follow from another."""
        section = self.tree.get(path[0])
        return path in self.variables or (isinstance(section, dict) and path[-1] in section)

    def unknown(self, environ: Iterable[str]) -> list[str]:
        """Return an error text for each section and each variable that does not exist."""
        sections = {known[0] for known in self.names.known}
        unknown = [self.sentence((key,), "extra_forbidden", "") for key in self.tree if key not in sections]
        return unknown + self.names.unknown_variables(environ)

    def sentence(self, path: KeyPath, kind: str, message: str) -> str:
        """Return an error text with the fault of a setting and its place. `kind` and `message` come from pydantic."""
        path = tuple(part for part in path if part != "[key]")
        setting = path[: 4 if path[0] == "projects" else 2]
        if kind == "missing":
            file = self.file or "a configuration file (there is none)"
            return f"{named(setting)} is not set, in {file} or as {variable_of(setting)}"
        said = next((name for given, name in self.variables.items() if given[: len(setting)] == setting), None)
        where = said or f"{self.file}: {named(setting)}"
        if kind == "extra_forbidden":
            return f"{where}: {self.names.unknown_key(path)}"
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
    """Return what the settings file and the environment say, or raise `Refusal`."""
    file = find_file(path, environ, system_file)
    names = SettingNames(known)
    variables = {found: name for name in environ if (found := names.path(name))}
    return WrittenSettings(file, read_file(file) if file else {}, variables, names)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return one tree with another laid over it, key by key."""
    both = {
        key: merged(under[key], value) if isinstance(under.get(key), dict) and isinstance(value, dict) else value
        for key, value in over.items()
    }
    return {**under, **both}


def any_project(path: KeyPath) -> KeyPath:
    """Return the path with `*` for a project's name."""
    return (path[0], "*", *path[2:]) if path[0] == "projects" and len(path) > 1 else path


def variable_of(path: KeyPath) -> str:
    """Return the variable that sets a setting."""
    parts = [part.upper() for part in path]
    if path[0] == "projects" and len(path) > 1:
        parts[1] = path[1].replace("*", "PROJECT")
    return PREFIX + "__".join(parts)


def named(path: KeyPath) -> str:
    """Return a path as it is written in the file: `[labels] subject`."""
    section = ".".join(path[:-1])
    return f"[{section}] {path[-1]}" if section else path[-1]


def _close(name: str, right: Collection[str], cutoff: float = 0) -> list[str]:
    return get_close_matches(name, right, n=1, cutoff=cutoff)


# -- how values are written --------------------------------------------------------------------------------


def duration(value: object) -> timedelta:
    """Return the duration written as `10s` or `1h30m`. `10` is refused, since it has no unit."""
    span = value if isinstance(value, timedelta) else quantities.duration(value if isinstance(value, str) else "")
    if not span:
        raise ValueError("a duration must be longer than nothing")
    return span


def size(value: object) -> int:
    """Return the bytes of a size written as `2GiB`."""
    return quantities.size(value if isinstance(value, str) else "")


def or_none(value: object) -> object:
    """Return None for an empty text, else the value."""
    return None if value == "" else value


def absolute(path: Path | None) -> Path | None:
    """Return the path. Raise `ValueError` if it depends on where the program was started."""
    if path is not None and (not path.is_absolute() or ".." in path.parts):
        raise ValueError("a path must be absolute: it begins with / and has no .. in it")
    return path


def simple_name(name: str) -> str:
    """Return the name. Raise `ValueError` if XNAT takes no such project ID or name of a custom variable."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise ValueError("such a name has only letters, digits, - and _, at most 64")
    return name


def server_address(url: str) -> str:
    """Return the server's address without a slash at its end. Raise `ValueError` if it has a login or a query."""
    try:
        parts = urlsplit(url.strip())
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number, or an IPv6 address without its closing bracket
        raise ValueError(_LIKE_THIS) from None
    if "@" in parts.netloc:
        raise ValueError(NO_LOGIN_HERE)
    if not good or parts.query or parts.fragment or re.search(r"\s", url.strip()):
        raise ValueError(_LIKE_THIS)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def safe_address(url: str) -> str:
    """Return an address to post to. Raise `ValueError` if it has a login, or no TLS beyond this machine."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # as in `server_address`
        raise ValueError(_HOOK) from None
    if not good or parts.fragment or not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError(_HOOK)
    if "@" in parts.netloc:
        raise ValueError("a user or password in an address is not sent: use one that holds a token in its path")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("it must begin with https:, except on this machine")
    return url


_HOOK = "an address looks like https://hooks.example.org/x"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its name or address: what is sent there crosses no network."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


_LIKE_THIS = "a server's address looks like https://xnat.example.org or http://host:8080/xnat"
