"""Everything that can go wrong, named by what the one who catches it must do.

The message is for the journal: it names items and projects, never a patient, a label, a file or the
server's own words. Those stand in `detail`, which goes into the ledger and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar


class Scope(StrEnum):
    """Whose trouble an error is, as far as the one who raises it can tell: others of this scope may meet it too."""

    STUDY = "study"  #: or the row of a share table: a property of what is sent, whatever became of others
    PROJECT = "project"  #: it may be the project's: a right, a quota, a full disk. Many studies in a row show it
    SERVER = "server"
    MACHINE = "machine"  #: this one


class WatchdError(Exception):
    """Base of every error that this program raises on purpose."""

    default_advice: ClassVar[str] = "Look at `xnat-watchd show ITEM` for what happened."
    default_scope: ClassVar[Scope] = Scope.STUDY
    spoke = True  #: XNAT may have acted upon what we asked; False only where it is known that it has not

    def __init__(self, message: str, *, detail: str = "", advice: str = "", scope: Scope | None = None) -> None:
        super().__init__(message)
        self.detail = detail
        self.advice = advice or self.default_advice
        self.scope = scope or self.default_scope


class Transient(WatchdError):
    """This study's request may succeed later: wait, with growing delays; hold when patience is spent."""

    default_advice = "Nothing to do: it is tried again by itself."
    spoke = False


class InDoubt(Transient):
    """The line died or the server failed after we spoke: XNAT may have acted. Ask before repeating."""

    default_advice = "Nothing to do: XNAT is asked first whether it has the study."
    spoke = True


class AlreadyImported(InDoubt):
    """XNAT refused an import since it has these files at that place already: an earlier one came through after all."""


class ServerFailure(InDoubt):
    """The server failed at it, and may at every other: many studies in a row that meet it are the project's trouble."""

    default_scope = Scope.PROJECT
    default_advice = "Ask the XNAT administrator to look at the server's disk and log; it is tried again by itself."


class NotYet(Transient):
    """XNAT is still receiving, building or archiving: look again soon. Not the study's fault, not charged."""

    default_advice = "Nothing to do: XNAT is still at work on it."
    spoke = True


class NotSeenYet(NotYet):
    """What was asked for is not there, and may still come until a moment: look ever more rarely, and then."""

    default_advice = "Nothing to do: it is looked for until it can come no more, and asked for again then."

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class WaitUntil(Transient):
    """It is sent for the last time when somebody may have found out why it came to nothing: wait until then."""

    default_advice = (
        "Ask the XNAT administrator to look at the server's disk and log. It is sent once more by itself; "
        "`xnat-watchd retry ITEM` sends it at once."
    )

    def __init__(self, message: str, due: datetime) -> None:
        super().__init__(message)
        self.due = due  #: when it may be sent


class RepeatOnce(Transient):
    """The noise of a moment or a refusal for ever: ask once more, alone, then believe it (F61, F62, F69)."""

    # Its scope is whose trouble it is once it is believed.

    default_advice = (
        "Open the ZIP with a DICOM viewer; if it is sound, ask the XNAT administrator why it is refused: a full disk "
        "of the server looks the same. Then `xnat-watchd retry ITEM`."
    )

    def __init__(
        self, message: str, *, detail: str = "", advice: str = "", scope: Scope | None = None, refusal: str = ""
    ) -> None:
        super().__init__(message, detail=detail, advice=advice, scope=scope)
        self.refusal = refusal or message  #: what was refused and how, for a program: the same once more is believed


class Unavailable(WatchdError):
    """The server's trouble, not the study's: shut the gate, ask something cheap from time to time."""

    default_scope = Scope.SERVER
    default_advice = "Check that the XNAT server is up and reachable from this machine; work goes on by itself."

    def __init__(
        self,
        message: str,
        *,
        detail: str = "",
        advice: str = "",
        spoke: bool = False,
        after: timedelta | None = None,
    ) -> None:
        super().__init__(message, detail=detail, advice=advice)
        self.spoke = spoke  #: part of a request that acts had been sent, so the outcome is in doubt
        self.after = after  #: what the server asked for in `Retry-After`


class AuthRefused(WatchdError):
    """The credentials are refused: shut the gate and ask rarely, since accounts lock."""

    default_scope = Scope.SERVER
    default_advice = "Type `xnat-watchd login`; once the user and password are right, work goes on by itself."

    def __init__(self, message: str, *, detail: str = "", advice: str = "", spoke: bool = False) -> None:
        super().__init__(message, detail=detail, advice=advice)
        self.spoke = spoke


class Stopped(WatchdError):
    """We are asked to stop in the middle of a request: give the study back, uncharged and in doubt."""

    default_scope = Scope.MACHINE
    default_advice = "Nothing to do: it goes on when the service runs again."


class Conflict(WatchdError):
    """XNAT holds something else under this name: a person must compare, so hold the study."""

    default_advice = (
        "Compare with the session in XNAT, then `xnat-watchd retry ITEM`, with `--label` for another label."
    )


class Misplaced(Conflict):
    """XNAT put an upload where nobody asked it to: write down where before the study is held."""

    default_advice = (
        "Archive or delete in XNAT what lies at the place that `xnat-watchd show ITEM` names; "
        "then `xnat-watchd retry ITEM`."
    )

    def __init__(self, message: str, paths: Sequence[str], *, detail: str = "", advice: str = "") -> None:
        super().__init__(message, detail=detail, advice=advice)
        self.paths = tuple(paths)  #: as XNAT says them


class Permanent(WatchdError):
    """Wrong today and tomorrow: hold. Where many studies in a row meet what may be the project's trouble, it waits."""

    default_advice = "Correct what the reason names, then `xnat-watchd retry ITEM`."


def unwritable(project: str, near: str | None = None) -> Permanent:
    """Return what is told of a project that XNAT does not list as writable for us. `near`: one that may be meant."""
    meant = f"If you meant {near}, type `xnat-watchd retry ITEM --project {near}`. Else check" if near else "Check"
    return Permanent(
        "XNAT lists no such project that this account may write to",
        detail=f"project {project}",  # the name of a folder, perhaps a patient's
        advice=f"{meant} the project's ID, and that the account is a member or owner of it; then "
        "`xnat-watchd retry ITEM`.",
        scope=Scope.PROJECT,
    )


class Undecided(WatchdError):
    """Only a person can know what is right: hold the study before anything is sent."""

    default_advice = "Decide, then `xnat-watchd retry ITEM`."


class ZipChanged(WatchdError):
    """The ZIP is not the one that was judged: send nothing of it, and have it judged anew."""

    default_advice = "Nothing to do: it is looked at anew."


class NoRoom(WatchdError):
    """This machine's disk is full: take nothing, send nothing, keep what is held, and look again soon."""

    default_scope = Scope.MACHINE
    default_advice = "Free some space on the disk of the ledger and the work folder; work goes on by itself."


class Unusable(WatchdError):
    """No study can come of this ZIP: put it aside with the reason beside it."""

    default_advice = "Export the study again and drop the new ZIP."


class Impossible(WatchdError):
    """What a person asks for cannot be done as things stand: say why, and change nothing."""


class Refusal(WatchdError):
    """The program will not start like this: wrong configuration, ledger or folder. Say why and stop."""

    default_advice = "Correct what is named, then start again."


class Occupied(Refusal):
    """Another program has what we need, or its disk is full: this passes, so a later start may do."""


class NoReadAccess(Refusal):
    """This user may not look: tell what can be known without."""


class LedgerUnusable(Exception):
    """The ledger cannot be read or written in the middle of the work: end at once, since nothing can be believed.

    No `WatchdError`: nobody must take it for a study's trouble. The next start finds what was busy, and asks XNAT.
    """

    def __init__(self, message: str, *, advice: str, passes: bool) -> None:
        super().__init__(message)
        self.advice = advice
        self.passes = passes  #: it may be better soon, without anybody's help


def for_item(advice: str, item: str) -> str:
    """Return an advice about an item as it is to be typed. A file's name is never made part of a command."""
    return re.sub(r"\bITEM\b", item, advice) if re.fullmatch(r"[0-9.]+", item) else advice
