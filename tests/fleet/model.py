"""An XNAT in memory for a thousand stations: what it holds, and what was wrong in how it was asked."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class ModelXnat:
    """Every effect begins with a request and ends some time after it, whatever becomes of who has asked."""

    uploads: dict[str, float] = field(default_factory=dict)  #: study -> when it lies in the prearchive
    archived: dict[str, float] = field(default_factory=dict)  #: study -> when it lies in the archive
    begun: int = 0  #: archivings
    wrong: list[str] = field(default_factory=list)
    _under_way: dict[str, list[tuple[str, float]]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def upload(self, study: str, ends: float) -> None:
        """Take a study, which lies there once `ends` has come."""
        with self._lock:
            if study in self.uploads:
                self.wrong.append(f"sent twice: {study}")
            self.uploads[study] = ends

    def has_uploaded(self, study: str, now: float) -> bool:
        """Return whether a study lies in the prearchive by now."""
        with self._lock:
            return self.uploads.get(study, now + 1) <= now

    def archive(self, study: str, subject: str, now: float, ends: float) -> None:
        """Archive a study for a subject, which is done once `ends` has come."""
        with self._lock:
            self.begun += 1
            if self.uploads.get(study, now + 1) > now:
                self.wrong.append(f"archived before it was there: {study}")
            if study in self.archived:
                self.wrong.append(f"archived twice: {study}")
            others = [(other, until) for other, until in self._under_way[subject] if until > now]
            if others:
                self.wrong.append(f"two archivings of one subject at once: {study} beside {others[0][0]}")
            self._under_way[subject] = [*others, (study, ends)]
            self.archived[study] = ends

    def has_archived(self, study: str, now: float) -> bool:
        """Return whether a study lies in the archive by now."""
        with self._lock:
            return self.archived.get(study, now + 1) <= now
