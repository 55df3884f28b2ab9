"""What a folder answers when it is asked for a file: nothing is concluded from a folder that may be another one."""

from __future__ import annotations

from enum import StrEnum


class Presence(StrEnum):
    """Whether a file lies where it is to lie."""

    PRESENT = "present"
    ABSENT = "absent"  #: the folder is the one that we know, and the file does not lie in it
    UNKNOWN = "unknown"  #: the folder cannot be read, or is another one: an empty mount point, another disk
