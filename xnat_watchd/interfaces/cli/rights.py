"""Drop root's rights where a command works in another user's folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from xnat_watchd.core.errors import Refusal

LINKS = 40  #: how many links in a row are followed, as the kernel does (path_resolution(7))


def become_owner(folder: Path) -> str:
    """Drop root's rights for those of the user to whom a folder belongs, and return the user's name.

    On the way from `/` to the folder, the first one that is not root's decides. Its owner could lead root elsewhere by
    a link, and could not use files that root made there. If the folder does not exist, the way ends at the last one
    that does. Raise `Refusal` if root would work in a folder whose content others may exchange, or if that user cannot
    read the program: Python imports its modules only where they are used.
    """
    if os.geteuid() == 0:
        for path, seen in _folders_on_the_way(folder.absolute(), LINKS):
            if seen.st_uid != 0:
                _become(seen.st_uid, seen.st_gid)
                break
            if _is_open(seen):
                raise Refusal(
                    f"{path}: others may exchange what lies there, so nothing is done there as root",
                    advice="Type it without `sudo`, or as the service's user: `sudo -u NAME xnat-watchd ...`.",
                )
    return _name(os.geteuid())


def login_name() -> str:
    """Return the name of the person who types the command: with `sudo` their own name, not root's.

    The variable that `sudo` sets counts only if it is the name of a user: it stands in the record.
    """
    uid, said = os.getuid(), os.environ.get("SUDO_USER", "")
    return said if uid == 0 and _is_user(said) else _name(uid)


def _folders_on_the_way(path: Path, links: int) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every folder and link on the way to a path, from the root on, with what the links lead to."""
    for one in [*reversed(path.parents), path]:
        try:
            seen = one.lstat()
        except OSError:  # not there yet, or no folder
            return
        yield one, seen
        if stat.S_ISLNK(seen.st_mode) and links:
            yield from _folders_on_the_way(Path(os.path.normpath(one.parent / one.readlink())), links - 1)


def _is_open(seen: os.stat_result) -> bool:
    shared = seen.st_mode & stat.S_IWOTH or (seen.st_mode & stat.S_IWGRP and seen.st_gid != 0)
    return stat.S_ISDIR(seen.st_mode) and bool(shared) and not seen.st_mode & stat.S_ISVTX


def _become(uid: int, gid: int) -> None:
    import pwd

    try:
        owner = pwd.getpwuid(uid)
    except KeyError:  # a user without a name
        os.setgroups([])
    else:
        gid = owner.pw_gid
        os.initgroups(owner.pw_name, gid)
        os.environ["HOME"] = owner.pw_dir
    os.setgid(gid)
    _must_read_the_program(uid)
    os.setuid(uid)


def _must_read_the_program(uid: int) -> None:
    os.seteuid(uid)  # and back: what says the sentence may be a module that this user cannot read
    can = os.access(__file__, os.R_OK, effective_ids=True)
    os.seteuid(0)
    if not can:
        raise Refusal(
            f"{_name(uid)}, to whom the folder of the ledger belongs, cannot read this program",
            advice="Install it where every user can read it, for example below /opt.",
        )


def _is_user(name: str) -> bool:
    import pwd

    try:
        return pwd.getpwnam(name).pw_name == name
    except KeyError:
        return False


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"
