"""A practice XNAT that notes whether two archivings of one subject were ever under way at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.soak.practice import PASSWORD
from xnat_watchd.sandbox import Options, Sandbox, archive_service

TAKES = timedelta(seconds=0.3)  #: so long an archiving takes: another one has the time to begin


class Witness:
    """The practice XNAT, and what was wrong in how it was asked."""

    def __init__(self, folder: Path, dialect: str) -> None:
        options = Options(archiving_takes=TAKES)
        self.xnat = Sandbox(folder, dialect, users={"tech": PASSWORD}, projects=["P1"], options=options)
        self.archivings = 0
        self.wrong = list[str]()
        self._under_way = defaultdict[tuple[str, str], set[int]](set)

    @contextmanager
    def watching(self) -> Iterator[Sandbox]:
        """Run it, and watch."""
        with ExitStack() as stack:
            for name, seen in (("_begin", self._begun), ("_finish", self._finished)):
                plain = getattr(archive_service, name)
                stack.enter_context(patch.object(archive_service, name, self._around(plain, seen)))
            yield stack.enter_context(self.xnat)

    def _around(self, plain: Any, seen: Any) -> Any:
        """Return a function of the practice XNAT that notes first or last; its lock is held."""

        def call(*given: Any) -> Any:
            result = None
            try:
                result = plain(*given)
                return result
            finally:
                seen(*given, result)

        return call

    def _begun(self, *given: Any) -> None:
        job = given[-1]
        if job is None:  # refused
            return
        self.archivings += 1
        others = self._under_way[job.subject]
        others.add(id(job))
        if len(others) > 1:
            self.wrong.append(f"{len(others)} archivings of one subject at once: {job.row.folder}")

    def _finished(self, _: Any, job: Any, __: Any) -> None:
        self._under_way[job.subject].discard(id(job))
