"""Which files make the program a service, and their content. Nothing here touches the machine.

The shipped files are written for the usual folders and can be installed by hand. A site with other folders gets the
same files with its own folders in them: the service may write nowhere else, so the files have to name them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from xnat_watchd.adapters import login_file
from xnat_watchd.core.errors import Refusal

NAME = "xnat-watchd"
CONFIGURATION = Path("/etc/xnat-watchd/config.toml")
STATE = Path("/var/lib/xnat-watchd")
RUNTIME = Path("/run/xnat-watchd")
ROOT = Path("/srv/xnat")
FOLDERS = ("drop", "shares", "work", "done", "failed")
LOGIN, LOGIN_FILE = login_file.PRIVATE, login_file.NAME
PROGRAM = Path("/opt/xnat-watchd/bin/xnat-watchd")
COMMAND = Path("/usr/local/bin/xnat-watchd")
UNITS, SYSUSERS, TMPFILES = (Path("/usr/local/lib", kind) for kind in ("systemd/system", "sysusers.d", "tmpfiles.d"))
"""Where systemd looks for what was installed without a package (systemd.unit(5)); /etc stays the administrator's."""
UNIT = UNITS / f"{NAME}.service"
OPERATOR = f"{NAME}-operator"
OPERATOR_SOCKET, OPERATOR_UNIT = UNITS / f"{OPERATOR}.socket", UNITS / f"{OPERATOR}@.service"
"""The socket on which users ask the service, and the unit of the process that answers one connection."""
WEB = f"{NAME}-web"
WEB_SOCKET, WEB_UNIT = UNITS / f"{WEB}.socket", UNITS / f"{WEB}.service"
"""The sockets of the page, and the unit of the process that serves it."""
FAILED = f"{NAME}-failed"
FAILED_UNIT = UNITS / f"{FAILED}.service"
"""The unit of the process that tells people that the service has stopped."""
OPERATOR_SLICE = UNITS / "system-xnatwatchd.slice"
"""What all these processes may use together. A dash in the name of a slice stands for its parent."""

DROP_INS = (
    (254, UNIT, "254-restart-slower.conf"),
    (254, UNIT, "254-import-login.conf"),
    (254, UNIT, "254-import-mail.conf"),
    (254, OPERATOR_UNIT, "254-import-login.conf"),
    (254, FAILED_UNIT, "254-import-mail.conf"),
)
"""Drop-ins: the version of systemd that first understands each, and its unit. An older one would log a warning."""

CLOSED = tuple(Path(path) for path in ("/home", "/root", "/run", "/tmp", "/var/tmp", "/proc", "/sys", "/dev"))  # noqa: S108 - refused, not used
"""Folders that the service does not see as others do (ProtectHome=, PrivateTmp=), or that do not outlast a reboot."""

Shipped = Callable[[str], str]
"""Returns the text of a shipped file, given `systemd/...` or `config/...`."""


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """A file that root owns. `theirs`: people edit it once it is installed, so it is never replaced or removed."""

    path: Path
    content: str
    mode: int = 0o644
    theirs: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    path: Path
    target: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What differs between machines."""

    program: Path = PROGRAM
    root: Path = ROOT
    folders: Mapping[str, Path] = field(default_factory=dict)  #: those that are not `root/name`
    ledger: Path = STATE  #: the folder in which it lies
    metrics: Path | None = None  #: the folder of the file with metrics, where that is not one of the service's own

    @classmethod
    def of(cls, settings: Mapping[str, Any], *, program: Path) -> Self:
        """Return where things lie by the tree of the settings file. Raise `Refusal` if the service cannot use it."""
        root = Path(_setting(settings, "folders", "root") or ROOT)
        ledger, metrics = _setting(settings, "ledger", "path"), _setting(settings, "metrics", "file")
        said = {name: _setting(settings, "folders", name) for name in FOLDERS}
        site = cls(
            program=program,
            root=root,
            folders={name: Path(folder) for name, folder in said.items() if folder},
            ledger=Path(ledger).parent if ledger else root,
            metrics=Path(metrics).parent if metrics and not _is_below(Path(metrics), (RUNTIME,)) else None,
        )
        for folder in (site.root, *site.folders.values(), site.ledger, *([site.metrics] if site.metrics else [])):
            _check(folder)
        return site

    def folder(self, name: str) -> Path:
        """Return where one of the five folders lies."""
        return self.folders.get(name, self.root / name)

    @property
    def writable(self) -> tuple[Path, ...]:
        """The folders that the service must be allowed to write, beside its own state; none lies in another."""
        all_ = {self.root, *self.folders.values(), self.ledger, *([self.metrics] if self.metrics else [])}
        return tuple(sorted(one for one in all_ if not _is_below(one, {STATE, *all_} - {one}) and one != STATE))


def plan(site: Machine, shipped: Shipped, systemd: int) -> tuple[ServiceFile | Link, ...]:
    """Return everything to install for this version of systemd. 0 means that the version is not known."""
    newer = [(Path(f"{unit}.d", name), name) for since, unit, name in DROP_INS if since <= systemd]
    return (
        ServiceFile(CONFIGURATION, configuration(shipped(f"config/{NAME}.toml")), theirs=True),
        ServiceFile(SYSUSERS / f"{NAME}.conf", shipped(f"systemd/{NAME}.sysusers")),
        ServiceFile(TMPFILES / f"{NAME}.conf", folders(shipped(f"systemd/{NAME}.tmpfiles"), site)),
        ServiceFile(UNIT, service(shipped(f"systemd/{NAME}.service"), site)),
        ServiceFile(OPERATOR_SOCKET, shipped(f"systemd/{OPERATOR}.socket")),
        ServiceFile(OPERATOR_UNIT, operator(shipped(f"systemd/{OPERATOR}@.service"), site)),
        ServiceFile(OPERATOR_SLICE, shipped(f"systemd/{OPERATOR_SLICE.name}")),
        ServiceFile(WEB_SOCKET, shipped(f"systemd/{WEB}.socket")),
        ServiceFile(WEB_UNIT, web(shipped(f"systemd/{WEB}.service"), site)),
        ServiceFile(FAILED_UNIT, failed(shipped(f"systemd/{FAILED}.service"), site)),
        *(ServiceFile(path, shipped(f"systemd/drop-ins/{name}")) for path, name in newer),
        Link(COMMAND, site.program),
    )


def everything(site: Machine, shipped: Shipped) -> tuple[ServiceFile | Link, ...]:
    """Return everything that any version of systemd may have caused to be installed."""
    return plan(site, shipped, max(since for since, _, _ in DROP_INS))


def configuration(text: str) -> str:
    """Return the settings file of a new site: with the ledger in the service's state folder, and without a server."""
    text = _replaced_once(text, '\nserver = "https://xnat.example.org"\n', '\nserver = ""\n')
    return _replaced_once(text, f'\n#path = "{ROOT}/ledger.sqlite"\n', f'\npath = "{STATE}/ledger.sqlite"\n')


def service(text: str, site: Machine) -> str:
    """Return the unit with the site's program and folders."""
    writable = " ".join(f"-{folder}" for folder in site.writable)
    text = text.replace(f"={PROGRAM} ", f"={site.program} ")
    text = _replaced_once(text, f"\nReadWritePaths=-{ROOT}\n", f"\nReadWritePaths={writable}\n")
    text = _replaced_once(text, f"\nNoExecPaths=-{ROOT} ", f"\nNoExecPaths={writable} ")
    return _replaced_once(text, f"\nRequiresMountsFor={STATE}\n", f"\nRequiresMountsFor={site.ledger}\n")


def operator(text: str, site: Machine) -> str:
    """Return the unit of the process that answers users, with the site's program. Only the ledger's folder is its."""
    text = text.replace(f"={PROGRAM} ", f"={site.program} ")
    text = _replaced_once(text, f"\nReadWritePaths=-{STATE}\n", f"\nReadWritePaths=-{site.ledger}\n")
    return _replaced_once(text, f"\nRequiresMountsFor={STATE}\n", f"\nRequiresMountsFor={site.ledger}\n")


def web(text: str, site: Machine) -> str:
    """Return the unit of the page, with the site's program, ledger and login; it sees none of the site's folders."""
    text = failed(text, site)
    made = " ".join(f"{folder}/{LOGIN}" for folder in _of_logins(site))
    text = _replaced_once(text, f"\nExecStartPre=mkdir -p {STATE}/{LOGIN}\n", f"\nExecStartPre=mkdir -p {made}\n")
    text = _replaced_once(text, f"\nReadWritePaths=-{STATE}\n", f"\nReadWritePaths=-{site.ledger}\n")
    return _replaced_once(text, f"\nRequiresMountsFor={STATE}\n", f"\nRequiresMountsFor={site.ledger}\n")


def failed(text: str, site: Machine) -> str:
    """Return the unit that tells people of a failure, with the site's program; it sees no login and no folder."""
    text = text.replace(f"={PROGRAM} ", f"={site.program} ")
    hidden, theirs = (" ".join(f"-{one.folder(name)}" for name in FOLDERS) for one in (Machine(), site))
    text = _replaced_once(text, f"\nInaccessiblePaths={hidden}\n", f"\nInaccessiblePaths={theirs}\n")
    logins = " ".join(f"-{folder}/{name}" for folder in _of_logins(site) for name in (LOGIN, LOGIN_FILE))
    usual = f"-{STATE}/{LOGIN} -{STATE}/{LOGIN_FILE}"
    return _replaced_once(text, f"\nInaccessiblePaths={usual}\n", f"\nInaccessiblePaths={logins}\n")


def _of_logins(site: Machine) -> tuple[Path, ...]:
    """Return the folders in which a login may be kept: the service's state folder, and that of the ledger."""
    return tuple(dict.fromkeys((STATE, site.ledger)))


def folders(text: str, site: Machine) -> str:
    """Return the list of folders to make: the site's root and those below it. Others are made by the administrator."""
    return "".join(_folder_line(line, site) for line in text.splitlines(keepends=True))


def _folder_line(line: str, site: Machine) -> str:
    found = re.fullmatch(rf"(\S+ +){ROOT}(?:/(\w+))?( .*\n)", line)
    if not found:
        return line
    folder = site.folder(found[2]) if found[2] else site.root
    return f"{found[1]}{folder}{found[3]}" if folder.is_relative_to(site.root) else ""


def is_seen_by_the_service(path: Path) -> bool:
    """Return whether a path means the same for the service as for others."""
    return not _is_below(path, CLOSED)


def _setting(settings: Mapping[str, Any], section: str, key: str) -> str:
    """Return a value of the settings file if it is a text. The service itself refuses any other value."""
    written = settings.get(section)
    value = written.get(key) if isinstance(written, dict) else None
    return value if isinstance(value, str) else ""


def _replaced_once(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"a shipped file no longer has just one {old.strip()!r}")
    return text.replace(old, new)


def _check(folder: Path) -> None:
    """Raise `Refusal` if the unit cannot name the folder or the service would not see it."""
    if not re.fullmatch(r"(/[\w.,:@+-]+)+", str(folder)) or ".." in folder.parts:
        raise Refusal(
            f"{folder}: the service cannot have its files there",
            advice="Give the full path of a folder. Use only letters, digits and . , : @ + - in it.",
        )
    if not is_seen_by_the_service(folder):
        raise Refusal(
            f"{folder}: the service cannot have its files there, since it does not see this place as others do",
            advice=f"Choose another folder in {CONFIGURATION}, such as one below /srv or /data.",
        )


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
