"""The settings of the practice XNAT; the defaults are those of a well-behaved server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

NEVER = timedelta(0)


@dataclass(frozen=True)
class Options:
    """The settings of one practice XNAT. By default, nothing that would disturb a demonstration is on."""

    version: str = ""
    """The version that it reports; by default 1.8.10, or 1.6.5. With 1.6.4 it also behaves as a 1.6.4 does."""

    session_timeout: timedelta = timedelta(minutes=15)
    """Idle time after which a login session ends (F4, F107)."""

    session_limit: int = 1000
    """Login sessions that one user may have at a time; the next login is refused as a wrong password is (F105)."""

    token_life: timedelta = timedelta(days=2)
    """How long an alias token is valid (F107, F109); only newer servers tell the client (F6)."""

    lock_after: int = 20
    """Number of failed logins in a row that locks an account (F107)."""

    lock_for: timedelta = timedelta(hours=1)
    """How long a locked account stays locked (F107)."""

    default_importer: str = "DICOM-zip"
    """The importer of a request that names none, on the newer dialect (F134)."""

    rebuild_after: timedelta = timedelta(minutes=5)
    """Idle time after which the site builds a row that is still RECEIVING (F17, F146)."""

    left_out_series: str = ""
    """Regular expression; the site drops series with a matching description in silence (F140)."""

    archives_anyway: bool = False
    """Whether a project that archives by itself does so although the request names the prearchive (F160)."""

    marks_failed_imports: bool = False
    """Whether a streaming import that fails half-way sets its rows to ERROR, as servers of 2026 do (F159)."""

    collides_within: timedelta = NEVER
    """Imports by SI of one user that start within this time share a cache folder (F61, F68); in real time."""

    confuses_sessions: bool = False
    """Whether 1.6 refuses an import with 403 while another one runs in the same login session (F62)."""

    remaps_uids: bool = False
    """Whether the newer dialect replaces the UIDs of every object when it is received (F174)."""

    anonymises: bool = False
    """Whether names are replaced: on 1.8 at reception, on 1.6 if archived without the prearchive (F18, F147)."""

    archiving_takes: timedelta = NEVER
    """How long archiving one session takes, in real time."""

    archive_timeout: timedelta = timedelta(minutes=10)
    """Time after which the newer dialect answers 500 while the archiving goes on (F194); in real time."""

    queue_takes: timedelta = NEVER
    """How long queued deletions, moves and builds wait, by the site's clock (F25, F183)."""

    pipelines_take: timedelta = NEVER
    """How long the AutoRun workflow of an archived session stays open, by the site's clock (F29)."""
