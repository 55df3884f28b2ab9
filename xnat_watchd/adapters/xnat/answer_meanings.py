"""What an answer of XNAT means and whose fault it may be, in one table. The status alone is not reliable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from xnat_watchd.adapters.xnat.answers import Answer, date_of
from xnat_watchd.core.errors import (
    AlreadyImported,
    AuthRefused,
    Conflict,
    InDoubt,
    NotYet,
    Permanent,
    RepeatOnce,
    Scope,
    ServerFailure,
    Transient,
    Unavailable,
    WatchdError,
)

LONGEST_AFTER = timedelta(hours=1)  #: the longest `Retry-After` of a server that we obey


class Purpose(Enum):
    """What a request is for. The value is the wording in messages."""

    READ = "a question"
    WRITE = "writing a subject"
    IMPORT = "the upload"
    ARCHIVE = "archiving"
    BUILD = "building the session"
    DISCARD = "removing our prearchive row"
    SHARE = "sharing"
    GRANT = "giving a role"

    @property
    def changes_xnat(self) -> bool:
        """Whether XNAT may have changed something even if its answer was lost."""
        return self is not Purpose.READ


FORBIDDEN = 403
TOO_MANY = 429
OTHER_MODALITY = "modification of session modality"
ANOTHER_ID = "id cannot be modified"

READ, WRITE, IMPORT, ARCHIVE, BUILD, DISCARD, SHARE, GRANT = ({purpose} for purpose in Purpose)
ANY = set(Purpose)
ACTS = ANY - READ
ROW = BUILD | DISCARD

TOO_LARGE = (
    "The proxy before XNAT refuses uploads of this size. Ask its administrator to allow larger ones. "
    "Then `xnat-watchd retry ITEM`."
)
NO_IMPORTER = "Ask the XNAT administrator for the DICOM-zip importer, then `xnat-watchd retry ITEM`."
NO_PROJECT = "Correct the project in the settings or create it in XNAT, then `xnat-watchd retry ITEM`."
NO_RIGHT = (
    "Ask the XNAT administrator why XNAT refuses this, and whether this account is still a member or owner of the "
    "project. Then `xnat-watchd retry ITEM`."
)
NO_VALUE = "`xnat-watchd show ITEM` tells what XNAT refuses. Correct that in XNAT. Then `xnat-watchd retry ITEM`."
LOOK_THERE = "The destination has another entry with this label. Rename that entry, or use another label in the table."
MERGE = (
    "XNAT cannot change the kind of a session, for example from CT to MR. Ask its administrator to merge by hand: "
    "the upload is in the prearchive."
)
NO_SHARE = (
    "Ask an owner of the destination to make this account a member. Ask an owner of the source whether its data may be "
    "shared."
)
NO_GRANT = "Ask an owner of the project to grant the role."
NOT_KNOWN = (
    "A proxy before XNAT may forbid PUT and DELETE: ask its administrator. If it does not, this version of XNAT does "
    "not know the request: tell the authors of xnat-watchd which version it is."
)
A_PAGE = (
    "Log in to XNAT with a browser as the user of this program. Perhaps the password has expired, the server is not "
    "set up, or its address in the settings is wrong (http instead of https)."
)


@dataclass(frozen=True, slots=True)
class MeaningRule:
    """One row of the table: it applies to a status or a range, to words in the answer, and to purposes.

    `scope` is set where the whole project may be affected. That is also true of every 403 that was repeated, whatever
    was asked: the account may have lost a right. A 400 or 413 concerns the uploaded bytes, so it is the study's fault.
    """

    status: range
    words: str
    purposes: set[Purpose]
    kind: type[WatchdError]
    advice: str = ""
    scope: Scope | None = None


def _row(
    status: int | range,
    words: str,
    purposes: set[Purpose],
    kind: type[WatchdError],
    advice: str = "",
    *,
    scope: Scope | None = None,
) -> MeaningRule:
    return MeaningRule(
        status if isinstance(status, range) else range(status, status + 1), words, purposes, kind, advice, scope
    )


MEANINGS: tuple[MeaningRule, ...] = (
    # The fault of the server, or of a proxy before it.
    _row(range(300, 400), "", ANY, Unavailable, A_PAGE),  # expired password, not set up (F108)
    _row(403, "security token has expired", ANY, AuthRefused),  # an alias token that was revoked (F6)
    _row(404, "http status 404", ANY, Unavailable),  # Tomcat's own page: XNAT is still starting (F270)
    _row(405, "", ANY, Permanent, NOT_KNOWN),  # a proxy that forbids PUT, or a path that this version lacks (F93)
    _row(407, "", ANY, Unavailable),  # a proxy on the way asks who we are (RFC 9110)
    _row(408, "", ACTS, InDoubt),  # a slow connection: XNAT received an incomplete body (F272)
    _row(TOO_MANY, "", ANY, Unavailable),  # a proxy: come back later (RFC 6585)
    _row(range(502, 505), "", ANY, Unavailable),  # a proxy: XNAT is down, or still busy with the request (F273)
    # Import.
    _row(401, "", IMPORT, Transient),  # refused before XNAT read it: the login was lost meanwhile (F274)
    _row(413, "", IMPORT, Permanent, TOO_LARGE),  # the proxy's limit (F271)
    _row(404, "unknown importer", IMPORT, Permanent, NO_IMPORTER, scope=Scope.PROJECT),  # F15, F134
    _row(404, "", IMPORT, Transient),  # the login was valid a moment ago
    _row(409, "with matching files", IMPORT, AlreadyImported),  # an earlier upload, by its file names (F66, F82)
    _row(409, "", IMPORT, InDoubt),  # our place is not empty: perhaps an earlier upload whose answer was lost (F66)
    _row(423, "", IMPORT, InDoubt),  # our place is locked (F178)
    _row(500, "no project named", IMPORT, Permanent, NO_PROJECT, scope=Scope.PROJECT),  # F15
    _row(500, "premature end of file", IMPORT, RepeatOnce),  # a collision (F61), or no readable DICOM (F76)
    _row(500, "transfer syntax", IMPORT, RepeatOnce),  # DICOM without a meta header (F76)
    _row(500, ".xml", IMPORT, RepeatOnce),  # the session XML is missing: a collision (F61)
    _row(range(500, 508), "", IMPORT, ServerFailure),  # a full disk on 1.6 (F154); perhaps after the work was done
    _row(range(400, 500), "no space left", IMPORT, ServerFailure),  # what Java says of a full disk, passed on in a 400
    _row(range(400, 500), "", IMPORT, RepeatOnce),  # 400, 403: a passing failure or a permanent one (F61, F62, F69)
    # Archive.
    _row(403, "in progress", ARCHIVE, InDoubt),  # the row is locked, perhaps by our own request (F197)
    _row(404, "", ARCHIVE, InDoubt),  # the row is gone, perhaps it is archived (F28, F197)
    _row(409, "may already be in progress", ARCHIVE, NotYet),  # an unfinished AutoRun (F29)
    _row(409, "concurrent modification", ARCHIVE, NotYet),  # the same on newer servers (F29)
    _row(409, OTHER_MODALITY, ARCHIVE, Conflict, MERGE),  # an MR into a CT session (F32)
    _row(409, "", ARCHIVE, Conflict),  # another session has the label, or the files are there (F30 to F32, F73)
    _row(423, "", ARCHIVE, InDoubt),  # "Duplicate archive attempt": perhaps the first was ours (F38)
    _row(range(400, 500), "", ARCHIVE, RepeatOnce),  # no right (F28), no label (F75): ask one more time
    # Our row.
    _row(404, "", ROW, InDoubt),  # the row is gone (F180)
    _row(409, "", ROW, NotYet),  # the row is locked (F180)
    _row(423, "", ROW, NotYet),  # the same, by its other name
    _row(range(400, 500), "", ROW, RepeatOnce),  # no right (F28), or a passing failure (F62)
    # Subject.
    _row(409, "", WRITE, Conflict),  # the label belongs to another project (F218)
    _row(400, ANOTHER_ID, WRITE, Conflict),  # the accession ID of this subject is another's label (F218)
    _row(400, " must ", WRITE, Permanent),  # a value that XNAT does not accept (F43)
    _row(range(400, 500), "", WRITE, RepeatOnce, NO_VALUE),  # no right (F218), no project (F44), or it passes (F62)
    # Shares and roles.
    _row(409, "", SHARE, Conflict, LOOK_THERE),  # it is shared already, or the label is in use (F46, F47)
    _row(range(400, 500), "", SHARE, RepeatOnce, NO_SHARE),  # no right, or not found: 403, 404, 417 (F46, F47)
    _row(range(400, 500), "", GRANT, Permanent, NO_GRANT),  # we are no owner; no such group or user (F49, F245)
    # Questions.
    _row(403, "", READ, RepeatOnce),  # no right (F176), or a passing failure (F62)
    # Not seen yet: take the careful meaning.
    _row(range(400, 500), "", ANY, Transient),
    _row(range(1000), "", ACTS, InDoubt),  # above all a 5xx, which may come after the work was done
    _row(range(1000), "", ANY, Transient),
)


def error_for(answer: Answer, purpose: Purpose, project: str, now: datetime) -> WatchdError:
    """Return the error that an unsuccessful answer to a request means."""
    words = answer.words
    row = next(
        row for row in MEANINGS if answer.status in row.status and purpose in row.purposes and row.words in words
    )
    message = f"XNAT answered {answer.status} to {purpose.value}{f' in project {project}' if project else ''}"
    if row.kind is Unavailable:
        after = retry_after(answer.headers.get("retry-after", ""), now)
        spoke = purpose.changes_xnat and answer.status != TOO_MANY
        return Unavailable(message, detail=answer.reason, advice=row.advice, spoke=spoke, after=after)
    error = row.kind(message, detail=answer.reason, advice=row.advice)
    if isinstance(error, RepeatOnce):
        error.refusal = f"{answer.status} {purpose.name}"
    if row.kind is RepeatOnce and answer.status == FORBIDDEN:
        error.scope, error.advice = Scope.PROJECT, row.advice or NO_RIGHT
    error.scope = row.scope or error.scope
    if row.kind is AuthRefused or (row.kind is Permanent and purpose is Purpose.IMPORT):
        error.spoke = False  # refused before XNAT stored anything
    return error


def retry_after(value: str, now: datetime) -> timedelta | None:
    """Return the wait that `Retry-After` asks for, in seconds or as a date (RFC 9110 10.2.3). None if unusable."""
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) <= len("99999999"):
        return min(timedelta(seconds=int(text)), LONGEST_AFTER)
    date = date_of(text)
    return None if date is None else min(max(date - now, timedelta(0)), LONGEST_AFTER)
