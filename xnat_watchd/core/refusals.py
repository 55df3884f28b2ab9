"""Why a file in the drop folder is not taken, as `status` shows it, and what people can do about it."""

from __future__ import annotations

import errno

from xnat_watchd.core.disk_errors import FULL, is_failing

SETTLE = "Then `xnat-watchd skip ITEM --why TEXT`."  #: after the advice about a ZIP of which no study came
Reason = tuple[str, str]  #: why it is not taken, and what to do (empty: nothing)

STILL_WRITTEN = ("still being written to", "")
NOT_COMPLETE = ("not complete yet: its list of files is missing", "")
IN_USE = ("in use by another program", "")
BEING_TAKEN = ("the same file is being taken already", "")
WAITED_FOR = frozenset({STILL_WRITTEN, NOT_COMPLETE, IN_USE, BEING_TAKEN})  #: the ZIP may be taken later
NO_PROJECT = ("no project", "Move it into a folder that is named after its XNAT project.")


def refusal(error: OSError, *, of_work: bool = False) -> Reason:
    """Return why the system did not let us read or move a file, and what to do.

    `of_work`: the error is about the work folder, and not about the file to move.
    """
    if of_work and is_failing(error) and error.errno not in FULL:
        kind = errno.errorcode.get(error.errno or 0, "unknown fault")
        return f"the disk of the work folder fails ({kind})", "Look at the disk of the work folder."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "may not be read or moved by the service", "Give the service's group the right to write there."
    if error.errno in (errno.EBUSY, errno.ETXTBSY):
        return IN_USE
    if error.errno in FULL:
        return "no space left to take it", "Free some space on the disk of the work folder."
    return f"cannot be taken ({errno.errorcode.get(error.errno or 0, 'unknown fault')})", "Look at the disk."
