"""Whose rights a command works with."""

from __future__ import annotations

import os
from pathlib import Path


def become_owner(folder: Path) -> str:
    """Leave root's rights, where this folder is another user's: what root made there, he could not work with.

    Gives our name. Stays as it is where there is no such folder yet.
    """
    import pwd

    uid = os.geteuid()
    try:
        owner = pwd.getpwuid(folder.stat().st_uid)
    except (OSError, KeyError):  # no such folder yet, or a user without a name
        return f"number {uid}"
    if uid == 0 and owner.pw_uid != 0:
        os.initgroups(owner.pw_name, owner.pw_gid)
        os.setgid(owner.pw_gid)
        os.setuid(owner.pw_uid)
        os.environ["HOME"] = owner.pw_dir
        return owner.pw_name
    return owner.pw_name if owner.pw_uid == uid else f"number {uid}"
