"""Which files make a service of the program, and what stands in them. Nothing here touches the machine.

The shipped files are written for the usual folders and can be put in place by hand. A site that has its folders
elsewhere gets the same files with its own: the service may write nowhere else, so they have to be named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from xnat_watchd.core.errors import Refusal

NAME = "xnat-watchd"
CONFIGURATION = Path("/etc/xnat-watchd/config.toml")
STATE = Path("/var/lib/xnat-watchd")
ROOT = Path("/srv/xnat")
PROGRAM = Path("/opt/xnat-watchd/bin/xnat-watchd")
COMMAND = Path("/usr/local/bin/xnat-watchd")
UNITS, USERS, FOLDERS = (Path("/usr/local/lib", kind) for kind in ("systemd/system", "sysusers.d", "tmpfiles.d"))
"""Where systemd looks for what was installed without a package (systemd.unit(5)); /etc stays the administrator's."""

DROP_INS = {254: "254-restart-slower.conf"}
"""What newer versions of systemd can do in addition. An older one would complain."""

CLOSED = tuple(Path(path) for path in ("/home", "/root", "/run", "/tmp", "/var/tmp", "/proc", "/sys", "/dev"))  # noqa: S108 - refused, not used
"""What the service does not see as others do (ProtectHome=, PrivateTmp=), or what does not last."""

Shipped = Callable[[str], str]
"""Gives the text of a shipped file, by `systemd/...` or `config/...`."""


@dataclass(frozen=True, slots=True)
class File:
    """A file, root's. `theirs`: a person's from the moment it is there, so it is never replaced or removed."""

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
class Site:
    """What differs between machines."""

    program: Path = PROGRAM
    root: Path = ROOT
    elsewhere: tuple[Path, ...] = ()  #: folders that the settings put outside of the root: made by the site itself
    ledger: Path = STATE  #: the folder in which it lies
    systemd: int = 0  #: its version, 0 where it is not known

    @classmethod
    def of(cls, settings: Mapping[str, Any], *, program: Path, systemd: int) -> Self:
        """Read from the settings file's tree where the folders are; `Refusal` where the service cannot have them."""
        folders, ledger = settings.get("folders", {}), settings.get("ledger", {}).get("path")
        root = Path(folders.get("root") or ROOT)
        given = {Path(folders[name]) for name in _OWN_PLACE if folders.get(name)}
        site = cls(
            program=program,
            root=root,
            elsewhere=tuple(sorted(folder for folder in given if not folder.is_relative_to(root))),
            ledger=Path(ledger).parent if ledger else root,
            systemd=systemd,
        )
        for folder in (site.root, *site.elsewhere, site.ledger):
            _check(folder)
        return site

    @property
    def writable(self) -> tuple[Path, ...]:
        """Give what the service must be let write into, beside its own state: no folder twice, none in another."""
        others = {self.root, *self.elsewhere, self.ledger}
        return tuple(sorted(one for one in others if not _is_below(one, {STATE, *others} - {one}) and one != STATE))


_OWN_PLACE = ("drop", "shares", "work", "done", "failed")


def plan(site: Site, shipped: Shipped) -> tuple[File | Link, ...]:
    """Give everything that is to be placed, what others need first."""
    unit = UNITS / f"{NAME}.service"
    newer = [name for since, name in DROP_INS.items() if since <= site.systemd]
    return (
        File(CONFIGURATION, configuration(shipped(f"config/{NAME}.toml")), theirs=True),
        File(USERS / f"{NAME}.conf", shipped(f"systemd/{NAME}.sysusers")),
        File(FOLDERS / f"{NAME}.conf", folders(shipped(f"systemd/{NAME}.tmpfiles"), site)),
        File(unit, service(shipped(f"systemd/{NAME}.service"), site)),
        *(File(Path(f"{unit}.d", name), shipped(f"systemd/drop-ins/{name}")) for name in newer),
        Link(COMMAND, site.program),
    )


def everything(site: Site, shipped: Shipped) -> tuple[File | Link, ...]:
    """Give everything that was ever placed here, whatever the version of systemd is or was."""
    return plan(replace(site, systemd=max(DROP_INS)), shipped)


def configuration(text: str) -> str:
    """Give the settings as a new site finds them: with the ledger among the service's state, and without a server."""
    text = _exchanged(text, '\nserver = "https://xnat.example.org"\n', '\nserver = ""\n')
    return _exchanged(text, f'\n#path = "{ROOT}/ledger.sqlite"\n', f'\npath = "{STATE}/ledger.sqlite"\n')


def service(text: str, site: Site) -> str:
    """Give the unit with the site's program and folders."""
    writable = " ".join(f"-{folder}" for folder in site.writable)
    text = text.replace(f"={PROGRAM} ", f"={site.program} ")
    text = _exchanged(text, f"\nReadWritePaths=-{ROOT}\n", f"\nReadWritePaths={writable}\n")
    text = _exchanged(text, f"\nNoExecPaths=-{ROOT} ", f"\nNoExecPaths={writable} ")
    return _exchanged(text, f"\nRequiresMountsFor={STATE}\n", f"\nRequiresMountsFor={site.ledger}\n")


def folders(text: str, site: Site) -> str:
    """Give the folders to make, below the site's root."""
    return re.sub(rf"{ROOT}\b", str(site.root), text)


def _exchanged(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"a shipped file no longer has just one {old.strip()!r}")
    return text.replace(old, new)


def _check(folder: Path) -> None:
    """Refuse a folder that the unit cannot name or that the service would not see."""
    if not re.fullmatch(r"(/[\w.,:@+-]+)+", str(folder)) or ".." in folder.parts:
        raise Refusal(
            f"{folder}: the service cannot have its files there",
            advice="Name a folder by its full path, of letters, digits and . , : @ + - only.",
        )
    if _is_below(folder, CLOSED):
        raise Refusal(
            f"{folder}: the service cannot have its files there, since it does not see this place as others do",
            advice=f"Choose another folder in {CONFIGURATION}, such as one below /srv or /data.",
        )


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
