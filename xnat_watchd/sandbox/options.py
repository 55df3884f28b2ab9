"""What a site may set differently: every knob of the practice XNAT, with the gentle value as its default."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Options:
    """The settings of one practice XNAT. Habits that would disturb a demonstration are off."""

    version: str = "1.8.10"
    """What buildInfo names on the newer dialect; the older one always says 1.6.5."""

    session_timeout: timedelta = timedelta(minutes=15)
    """Idle time after which a login session dies (C8 1, F4)."""

    lock_after: int = 20
    """Failed logins that lock an account (C8 1)."""

    lock_for: timedelta = timedelta(hours=1)
    """How long a locked account stays locked (C8 1)."""

    default_importer: str = "DICOM-zip"
    """The importer of the newer dialect when a request names none (C8 3.2)."""

    rebuild_after: timedelta = timedelta(minutes=5)
    """Idle time after which a row that is still receiving is built by itself (F17, C8 3.7)."""

    pipelines_run: bool = False
    """Whether archiving leaves an open AutoRun workflow behind, which blocks a second archive (F29)."""
