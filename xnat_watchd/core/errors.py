"""Everything that can go wrong, named by what the one who catches it must do.

The message is for the journal: it names items and projects, never a patient, a label, a file or a text of the
server. These stand in `detail`, which goes into the ledger and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar


class Scope(StrEnum):
    """How far an error may reach, as far as the code that raises it can tell: others of this scope may meet it too."""

    STUDY = "study"  #: or one row of a share table: the cause is in what is sent; other studies do not matter
    PROJECT = "project"  #: perhaps a right, a quota or a full disk of the project: many studies in a row will show it
    SERVER = "server"
    MACHINE = "machine"  #: this one


class WatchdError(Exception):
    """Base of every error that this program raises on purpose."""

    default_advice: ClassVar[str] = "Look at `xnat-watchd show ITEM` for what happened."
    default_scope: ClassVar[Scope] = Scope.STUDY
    spoke = True  #: XNAT may have acted on our request; False only if it is known that it has not

    def __init__(self, message: str, *, detail: str = "", advice: str = "", scope: Scope | None = None) -> None:
        super().__init__(message)
        self.detail = detail
        self.advice = advice or self.default_advice
        self.scope = scope or self.default_scope


class Transient(WatchdError):
    """This study's request may succeed later: wait, with growing delays; hold it after the last attempt."""

    default_advice = "Nothing to do: it is tried again by itself."
    spoke = False


class InDoubt(Transient):
    """The connection or the server failed after the request went out: XNAT may have acted. Ask before repeating."""

    default_advice = "Nothing to do: XNAT is asked first whether it has the study."
    spoke = True


class AlreadyImported(InDoubt):
    """XNAT refused an import because it has these files at that place already: an earlier import did succeed."""


class ServerFailure(InDoubt):
    """The server failed at this study and may fail at any other: if many in a row fail, it is the project's trouble."""

    default_scope = Scope.PROJECT
    default_advice = "Ask the XNAT administrator to look at the server's disk and log; it is tried again by itself."


class NotYet(Transient):
    """XNAT is still receiving, building or archiving: look again soon. Not the study's fault, not charged."""

    default_advice = "Nothing to do: XNAT is still at work on it."
    spoke = True


class NotSeenYet(NotYet):
    """The result is not there, and may still appear until a known time: look less and less often, and once after it."""

    default_advice = "Nothing to do: the service looks for it as long as it may still appear, and then asks again."

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class NotListedYet(NotYet, InDoubt):
    """XNAT says that it has done it and does not list it for a moment (seen on 1.6.4): look again soon, in doubt."""


class WaitUntil(Transient):
    """Only one automatic upload is left: wait with it until somebody may have found out why the others failed."""

    default_advice = (
        "Ask the XNAT administrator to look at the server's disk and log. The study is sent once more by itself. "
        "`xnat-watchd retry ITEM` sends it at once."
    )

    def __init__(self, message: str, due: datetime) -> None:
        super().__init__(message)
        self.due = due  #: when it may be sent


class RepeatOnce(Transient):
    """A refusal that may pass or be final: repeat the request once, alone, and then believe it (F61, F62, F69)."""

    # Its scope counts once the refusal is believed.

    default_advice = (
        "Open the ZIP with a DICOM viewer. If its images are good, ask the XNAT administrator why XNAT refuses them: "
        "perhaps the server's disk is full. Then type `xnat-watchd retry ITEM`."
    )

    def __init__(
        self, message: str, *, detail: str = "", advice: str = "", scope: Scope | None = None, refusal: str = ""
    ) -> None:
        super().__init__(message, detail=detail, advice=advice, scope=scope)
        self.refusal = refusal or message  #: what was refused and how, to compare: the same refusal twice is believed


class Unavailable(WatchdError):
    """The server's trouble, not the study's: shut the gate, and probe the server from time to time."""

    default_scope = Scope.SERVER
    default_advice = (
        "Check that the XNAT server is up and can be reached from this machine. Work then goes on by itself."
    )

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
        self.spoke = spoke  #: part of a request that changes something went out, so its outcome is in doubt
        self.after = after  #: what the server asked for in `Retry-After`


class AuthRefused(WatchdError):
    """XNAT refused the credentials: shut the gate and try rarely, since XNAT locks accounts."""

    default_scope = Scope.SERVER
    default_advice = "Type `xnat-watchd login`. Once user and password are right, work goes on by itself."

    def __init__(self, message: str, *, detail: str = "", advice: str = "", spoke: bool = False) -> None:
        super().__init__(message, detail=detail, advice=advice)
        self.spoke = spoke


class Stopped(WatchdError):
    """The service is stopped in the middle of a request: return the study, in doubt, without counting the attempt."""

    default_scope = Scope.MACHINE
    default_advice = "Nothing to do: it goes on when the service runs again."


class BrokenOff(WatchdError):
    """What is being sent is not to be sent to its end: what XNAT has of it is removed."""

    default_advice = "Nothing to do: it is sent again once its ZIP is checked."


class Conflict(WatchdError):
    """XNAT has something else under this name: hold the study, since a person must compare."""

    default_advice = (
        "Compare the study with the session in XNAT. Then type `xnat-watchd retry ITEM`. For another label, add "
        "`--label LABEL`."
    )


class Misplaced(Conflict):
    """XNAT put an upload elsewhere than into our place: record where, then hold the study."""

    default_advice = (
        "`xnat-watchd show ITEM` names a place in XNAT. Archive or delete there what lies in it. "
        "Then type `xnat-watchd retry ITEM`."
    )

    def __init__(self, message: str, paths: Sequence[str], *, detail: str = "", advice: str = "") -> None:
        super().__init__(message, detail=detail, advice=advice)
        self.paths = tuple(paths)  #: as XNAT wrote them


class Permanent(WatchdError):
    """Waiting does not help: hold. Many studies in a row that meet what may be the project's trouble wait instead."""

    default_advice = "Correct what the reason names. Then type `xnat-watchd retry ITEM`."


def unwritable(project: str, near: str | None = None) -> Permanent:
    """Return the error for a project that XNAT does not list as writable for us. `near`: one that may be meant."""
    meant = f"If you meant {near}, type `xnat-watchd retry ITEM --project {near}`. Else check" if near else "Check"
    return Permanent(
        "XNAT lists no such project that this account may write to",
        detail=f"project {project}",  # the name of a folder, perhaps a patient's
        advice=f"{meant} the project's ID, and that the account is a member or owner of it; then "
        "`xnat-watchd retry ITEM`.",
        scope=Scope.PROJECT,
    )


class Undecided(WatchdError):
    """Only a person knows what is right: hold the study before anything is sent."""

    default_advice = "Decide. Then type `xnat-watchd retry ITEM`."


class ZipChanged(WatchdError):
    """The ZIP has changed since it was opened: send nothing of it, and open it again."""

    default_advice = "Nothing to do: the ZIP is opened again."


class Taken(WatchdError):
    """Another has it already, in this program or at another station: leave it alone, and look for something else."""

    default_advice = "Nothing to do: it is looked at again by itself."
    spoke = False


class NoRoom(WatchdError):
    """A disk of this machine is full: take nothing, send nothing, keep what is there, and look again soon."""

    default_scope = Scope.MACHINE
    default_advice = "Free some space on the disk of the ledger and the work folder. Work then goes on by itself."


class Unusable(WatchdError):
    """No study can be read from this ZIP: move it to `failed`, with the reason beside it."""

    default_advice = "Export the study again and drop the new ZIP."


class Impossible(WatchdError):
    """A person's request cannot be carried out now: tell why, and change nothing."""


class Outdated(Impossible):
    """A person decides by what is no longer so: tell that, and change nothing."""

    default_advice = "Look again, then decide."


class NotSent(WatchdError):
    """A message to people could not be sent: try again later."""

    default_advice = "Nothing is lost: it is tried again. `xnat-watchd alert --test` tries every way at once."


class PartlySent(NotSent):
    """A message has reached some of those it was for, and the way refuses the others: tell that, and send no more.

    Who has it must not get it again.
    """

    default_advice = "Correct the addresses in [alerts], then type `xnat-watchd alert --test`."


class Refusal(WatchdError):
    """The program cannot start: a wrong configuration, ledger or folder. Tell why and stop."""

    default_advice = "Correct what is named, then start again."


class Occupied(Refusal):
    """Another program holds what we need, or a disk is full: this passes, so a later start may succeed."""


class WrongSettings(Refusal):
    """The settings have problems: tell all of them, each on a line of its own."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class NoReadAccess(Refusal):
    """This user may not read the ledger: tell what can be known without it."""


class NoLedger(Refusal):
    """There is no ledger yet, since nothing was ever carried here."""


class LedgerUnusable(Exception):
    """The ledger cannot be read or written in the middle of the work: end at once, since nothing is certain any more.

    This is no `WatchdError`, so that no handler takes it for a study's trouble. The next start finds the studies that
    were busy and asks XNAT about them.
    """

    def __init__(self, message: str, *, advice: str, passes: bool) -> None:
        super().__init__(message)
        self.advice = advice
        self.passes = passes  #: it may pass soon without anybody's help


class OtherHistory(LedgerUnusable):
    """The ledger lacks what it had confirmed: write nothing more to it, end, and begin anew."""

    def __init__(self) -> None:
        super().__init__(
            "the ledger's database has failed over or was restored",
            advice="Nothing to do: the service begins anew, and puts in order what it finds.",
            passes=False,
        )


class TakenOver(Exception):
    """Another station was given the study meanwhile: drop it, and write nothing about it but a line in the log.

    This is no `WatchdError`, so that no handler takes it for the study's trouble.
    """


class AlreadyRecorded(Exception):
    """What became of a study stands in the ledger already: the answer to that change was lost. Go on from there.

    Only who was given a study under its fence changes what it is busy with. This is no `WatchdError` either.
    """


FAILURES = (WatchdError, LedgerUnusable)  #: what a command tells in a sentence; any other error is a fault of ours


def for_item(advice: str, item: str) -> str:
    """Return an advice with the item put in, ready to copy. A file's name never becomes part of a command."""
    return re.sub(r"\bITEM\b", item, advice) if re.fullmatch(r"[0-9.]+", item) else advice
