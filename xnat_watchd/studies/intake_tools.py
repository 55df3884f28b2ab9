"""What the parts of the intake work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xnat_watchd.adapters.files.disk import Disk
from xnat_watchd.adapters.files.folder_marks import FolderMarks
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.ports import Clock, Log


@dataclass(slots=True, kw_only=True)
class IntakeTools:
    """They are the same for all parts. A reload may replace the clock between two sweeps."""

    ledger: Ledger
    disk: Disk
    folders: Folders
    marks: FolderMarks
    clock: Clock
    log: Log
    report: Callable[[str, OSError], None]  #: is told which file the system refused, and why
