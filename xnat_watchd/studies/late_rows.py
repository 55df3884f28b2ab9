"""What XNAT shows late at places of ours: of an import whose answer was lost, or after it was started anew.

The study has long been sent again and is done; what comes now is a second copy. So the places of which anything was
ever in doubt are looked after for a month: one request for each project that has any, every quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from xnat_watchd.core.delivery import Place
from xnat_watchd.core.errors import AuthRefused, NotYet, Stopped, Unavailable, WatchdError
from xnat_watchd.core.ports import Log
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.place_proof import DOUBT_LASTS, clear
from xnat_watchd.studies.steps.sending import is_chosen

EVERY = 900.0  #: seconds between two looks


class LateRowCleaner:
    """Removes such copies where nothing in them is another's, else has them told. `sweep` is for one thread only."""

    def __init__(self, tools: Tools, log: Log) -> None:
        self._tools, self._log = tools, log
        self._next = tools.clock.monotonic()

    def sweep(self) -> None:
        """Look at the places of all studies that are done or skipped, if it is time to and XNAT may be asked."""
        now = self._tools.clock.monotonic()
        if now < self._next or not self._tools.gates.is_open():
            return
        self._next = now + EVERY
        places = self._tools.ledger.places.doubted(self._tools.clock.now() - DOUBT_LASTS)
        for project in sorted({place.project for place in places}):
            try:
                self._look(project, [place for place in places if place.project == project])
            except (Unavailable, AuthRefused) as error:
                self._tools.gates.shut(error)
                return
            except Stopped:
                return
            except WatchdError as error:
                self._log.warning("place.unfinished", project=project, reason=str(error))

    def _look(self, project: str, doubted: Sequence[Place]) -> None:
        there = self._tools.gateway.rows_with(project, {place.timestamp for place in doubted})
        for gone in set(doubted).difference(there):
            self._tools.ledger.places.clear_locked(gone)
        for place in there:
            study = self._tools.ledger.places.study_at(project, place.timestamp)
            if study is not None:
                with suppress(NotYet):  # XNAT is at work on it, or never gets done: at the next look
                    self._clear(study, place)

    def _clear(self, study: int, place: Place) -> None:
        places, item = self._tools.ledger.places, self._tools.ledger.studies.get(study)
        if is_chosen(place) and not places.knows(study, place):
            return  # another station's
        places.add_appeared(study, place, self._tools.clock.now())
        if place not in places.mixed(study):
            self._log.info("place.late", item=item.name, project=item.project)
            clear(item, place, self._tools)
