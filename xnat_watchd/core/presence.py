"""Whether a file is in a folder. From a folder that may be the wrong one nothing is concluded."""

from __future__ import annotations

from enum import StrEnum


class Presence(StrEnum):
    """Whether a file lies where it should."""

    PRESENT = "present"
    ABSENT = "absent"  #: the folder is the one that we know, and the file does not lie in it
    UNKNOWN = "unknown"  #: the folder cannot be read, or is another one: an empty mount point, another disk
