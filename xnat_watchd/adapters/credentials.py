"""The login for XNAT: the first source that knows a user and a password for the server.

A source is a function of a `Search`. It returns None if it knows nothing. It raises `Refusal` if it knows only half of
a login, or if other users could read it. Then the next source is not asked, since it might name another user. No error
text holds a user or a password.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from netrc import NetrcParseError, netrc
from pathlib import Path
from urllib.parse import urlsplit

from xnat_watchd.adapters.config import PASSWORD_VARIABLE, USER_VARIABLE
from xnat_watchd.adapters.login_file import LoginFile, folders
from xnat_watchd.adapters.secret import Credential, Secret
from xnat_watchd.core.errors import Refusal

__all__ = ["SOURCES", "Credential", "Search", "Secret", "find"]

USER_FILE, PASSWORD_FILE = "xnat_user", "xnat_password"
"""In $CREDENTIALS_DIRECTORY, from `LoadCredential=xnat_user:...`, or from a folder that is loaded as `xnat`."""

MAIL_USER_FILE, MAIL_PASSWORD_FILE = "mail_user", "mail_password"
"""The same, for the mail server."""

_LONGEST = 4096  #: bytes of a credential file that are read


@dataclass(frozen=True, slots=True)
class Search:
    """The server, and where sources may look: in the environment, and in the folder of the ledger (`beside`)."""

    server: str
    environ: Mapping[str, str]
    beside: Path | None = None

    def credential(self) -> Credential | None:
        """Return the credential of the first source that has one, or None."""
        return next((found for source in SOURCES if (found := source(self))), None)

    def logins(self) -> list[LoginFile]:
        """Return the files that `login` may have written, first the one that it writes now."""
        return [LoginFile(folder) for folder in folders(self.environ, self.beside)]

    def files(self) -> list[Path]:
        """Return the files that people change while the service runs."""
        named = _netrc(self.environ)
        return [*(login.path for login in self.logins()), *([named] if named else [])]


Source = Callable[[Search], Credential | None]


def find(server: str, environ: Mapping[str, str], beside: Path | None = None) -> Credential | None:
    """Return the credential for a server's address, or None if no source knows one. `beside`: the ledger's folder."""
    return Search(server, environ, beside).credential()


def from_login(search: Search) -> Credential | None:
    """Return the login that `xnat-watchd login` stored."""
    return next((found for login in search.logins() if (found := login.find(search.server))), None)


def from_environment(search: Search) -> Credential | None:
    """Return the login of the two variables. They apply to the server of the settings, whichever it is."""
    user, password = search.environ.get(USER_VARIABLE), search.environ.get(PASSWORD_VARIABLE)
    return _both(user, password, f"the variables {USER_VARIABLE} and {PASSWORD_VARIABLE}")


def from_systemd(search: Search) -> Credential | None:
    """Return the login that systemd put into the service's own folder (systemd.exec(5), CREDENTIALS).

    The mode of these files is not checked: it differs between versions, and nobody else can enter the folder.
    """
    if not search.environ.get("CREDENTIALS_DIRECTORY"):
        return None
    return _loaded(Path(search.environ["CREDENTIALS_DIRECTORY"]), USER_FILE, PASSWORD_FILE)


def _loaded(folder: Path, user: str, password: str) -> Credential | None:
    found = _first_line(folder / user), _first_line(folder / password)
    return _both(*found, f"the systemd credentials {user} and {password}")


def from_netrc(search: Search) -> Credential | None:
    """Return the entry of $NETRC or ~/.netrc for `host:port`, else for `host`.

    The entry `default` is ignored: it would send its password to any server that somebody writes into the settings.
    """
    file = _netrc(search.environ)
    if file is None:
        return None
    parts = urlsplit(search.server)
    hosts = _hosts(file)
    entry = hosts.get(parts.netloc) or hosts.get(parts.hostname or "")
    if entry is None:
        return None
    _refuse_what_others_can_read(file)
    return _both(entry[0] or None, entry[2] or None, f"the file {file}")


def mail_login(server: str, environ: Mapping[str, str]) -> Credential | None:
    """Return the login for a mail server, `host:port`, or None: a systemd credential, else an entry of netrc."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    loaded = _loaded(Path(folder), MAIL_USER_FILE, MAIL_PASSWORD_FILE) if folder else None
    return loaded or from_netrc(Search(f"smtp://{server}", environ))


def secret_lines(file: Path) -> tuple[Secret, ...]:
    """Return the lines of a file that only its user may read.

    Lines that are empty or begin with # do not count. Raise `Refusal`, whose text repeats none of them.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(_LONGEST + 1).decode()
    except OSError as error:
        raise Refusal(f"{file}: cannot be read: {error.strerror}", advice=_FOR_THE_SERVICE) from None
    except UnicodeDecodeError:
        raise Refusal(f"{file}: is not a text in UTF-8") from None
    if len(text) > _LONGEST:
        raise Refusal(f"{file}: is too long")
    _refuse_what_others_can_read(file)
    lines = (line.strip() for line in text.splitlines())
    return tuple(Secret(line) for line in lines if line and not line.startswith("#"))


_FOR_THE_SERVICE = "Make it, for the service's user alone: `chown xnat-watchd FILE` and `chmod 600 FILE`."

SOURCES: tuple[Source, ...] = (from_login, from_environment, from_systemd, from_netrc)
"""In order of precedence: what somebody typed last comes before what was set up once."""


def _netrc(environ: Mapping[str, str]) -> Path | None:
    name = environ.get("NETRC") or (environ["HOME"] + "/.netrc" if environ.get("HOME") else "")
    return Path(name) if name else None


def _both(user: str | None, password: str | None, source: str) -> Credential | None:
    if not user and not password:
        return None
    if not user or not password:
        raise Refusal(
            f"{source} give only half of a login: the {'password' if user else 'user'} is missing",
            advice="Set both, or remove both.",
        )
    return Credential(user, Secret(password), source)


def _first_line(file: Path) -> str | None:
    """Return a file's text without the line end that an editor adds, or None if there is no such file."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_LONGEST + 1).decode()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refusal(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refusal(f"{file}: is not a text in UTF-8") from None
    if len(text) > _LONGEST or "\n" in text.rstrip("\r\n"):
        raise Refusal(f"{file}: holds more than one line")
    return text.rstrip("\r\n")


def _hosts(file: Path) -> Mapping[str, tuple[str, str, str]]:
    """Return login, account and password by host."""
    try:
        return netrc(str(file)).hosts
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise Refusal(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refusal(f"{file}: is not a text in UTF-8") from None
    except NetrcParseError as error:
        # The parser's message holds the word that it did not expect, which may be a password.
        raise Refusal(f"{file}: cannot be understood near line {error.lineno}") from None


def _refuse_what_others_can_read(file: Path) -> None:
    seen = file.stat()
    if seen.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Refusal(
            f"{file}: other users of this machine may read or change it, and it holds a password",
            advice=f"Type `chmod 600 {file}`, and change the password if somebody may have seen it.",
        )
    if seen.st_uid not in (0, os.geteuid()):
        raise Refusal(f"{file}: belongs to another user, and it holds a password", advice="Use a file of your own.")
