"""What a site may set differently: every knob of the practice XNAT, with the gentle value as its default."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

NEVER = timedelta(0)


@dataclass(frozen=True)
class Options:
    """The settings of one practice XNAT. Habits that would disturb a demonstration are off."""

    version: str = ""
    """What it says that it is; else 1.8.10, or 1.6.5 on the older dialect. A 1.6.4 also does what only that did."""

    session_timeout: timedelta = timedelta(minutes=15)
    """Idle time after which a login session dies (F4, F107)."""

    session_limit: int = 1000
    """Login sessions that one user may have at a time; the next login fails like a wrong password (F105)."""

    token_life: timedelta = timedelta(days=2)
    """How long an alias token opens the account (F107, F109); only newer servers tell (F6)."""

    lock_after: int = 20
    """Failed logins that lock an account (F107)."""

    lock_for: timedelta = timedelta(hours=1)
    """How long a locked account stays locked (F107)."""

    default_importer: str = "DICOM-zip"
    """The importer of the newer dialect when a request names none (F134)."""

    rebuild_after: timedelta = timedelta(minutes=5)
    """Idle time after which a row that is still receiving is built by itself (F17, F146)."""

    left_out_series: str = ""
    """A regular expression for series descriptions that the site's filter drops in silence (F140)."""

    archives_anyway: bool = False
    """Whether a project that archives by itself does so although the prearchive was named (F160)."""

    marks_failed_imports: bool = False
    """Whether a streaming import that fails half-way leaves its rows ERROR, as servers of 2026 do (F159)."""

    collides_within: timedelta = NEVER
    """Imports by SI of one user that start so close together fall into one cache folder (F61, F68); real time."""

    confuses_sessions: bool = False
    """Whether 1.6 refuses an import with 403 while another one runs in the same login session (F62)."""

    remaps_uids: bool = False
    """Whether the newer dialect gives every object other UIDs at reception (F174)."""

    anonymises: bool = False
    """Whether names are replaced: at reception on 1.8, on the straight way into the archive on 1.6 (F18, F147)."""

    archiving_takes: timedelta = NEVER
    """How long archiving one session takes, in real time."""

    archive_timeout: timedelta = timedelta(minutes=10)
    """After how long the newer dialect answers 500 while the archiving goes on (F194)."""

    queue_takes: timedelta = NEVER
    """How long queued deletions, moves and builds wait, by the site's clock (F25, F183)."""

    pipelines_take: timedelta = NEVER
    """How long the AutoRun workflow of an archived session stays open, by the site's clock (F29)."""
