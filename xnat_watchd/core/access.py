"""What a user of this machine may do with its service, decided by two groups that `install` makes."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum

DROP_GROUP = "xnat-drop"  #: may put ZIPs into the drop folder, and look
ADMIN_GROUP = "xnat-admin"  #: may decide too
WHO_DECIDES = (
    f"Decisions and names are for the group `{ADMIN_GROUP}`: ask somebody of it, or put `sudo` in front if you may."
)
HOW_TO_JOIN = (
    f"Ask root to put you into the group `{DROP_GROUP}`, and into `{ADMIN_GROUP}` too if you are to decide. "
    "Then log in again."
)


class UserAccess(IntEnum):
    """What somebody may do. Each includes the ones before it."""

    NONE = 0
    LOOK = 1  #: see the status and items, without names of patients and files
    DECIDE = 2  #: see names, and have studies retried, accepted, skipped and sent again


def access_of(uid: int, groups: Collection[str]) -> UserAccess:
    """Return what a user may do who is in these groups."""
    if uid == 0 or ADMIN_GROUP in groups:
        return UserAccess.DECIDE
    return UserAccess.LOOK if DROP_GROUP in groups else UserAccess.NONE


def signed(why: str | None, person: str) -> str:
    """Return the reason of a decision for people, after the login name of the person who took it."""
    return f"by {person}: {why}" if why else f"by {person}"
