"""Remove prearchive rows that appear late at our places: after a lost answer, or after XNAT was restarted.

By then the study has been sent again and is done, so such a row is a second copy. Every place that was ever in doubt
is therefore checked for a month: one request every quarter of an hour for each project that has such a place. So is
every place where a ZIP was sent while it was checked, and not to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from xnat_watchd.adapters.ledger.early_places import LeftPlace
from xnat_watchd.core.delivery import Place
from xnat_watchd.core.errors import AuthRefused, NotYet, Stopped, Unavailable, WatchdError
from xnat_watchd.core.ports import Log
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.place_proof import DOUBT_LASTS, clear, clear_left
from xnat_watchd.studies.steps.sending import is_chosen

EVERY = 900.0  #: seconds between two looks


class LateRowCleaner:
    """Removes late copies that hold only our images, and reports the others. Call `sweep` from one thread only."""

    def __init__(self, tools: Tools, log: Log) -> None:
        self._tools, self._log = tools, log
        self._next = tools.clock.monotonic()

    def sweep(self) -> None:
        """Check the places of all studies that are done or skipped, if it is time and XNAT may be asked."""
        now = self._tools.clock.monotonic()
        if now < self._next or not self._tools.gates.is_open():
            return
        self._next = now + EVERY
        ledger, until = self._tools.ledger, self._tools.clock.now()
        places = ledger.places.doubted(until - DOUBT_LASTS)
        left = ledger.early_places.left(until - DOUBT_LASTS, until)
        for project in sorted({place.project for place in (*places, *(one.place for one in left))}):
            try:
                self._look(
                    project,
                    [place for place in places if place.project == project],
                    [one for one in left if one.place.project == project],
                )
            except (Unavailable, AuthRefused) as error:
                self._tools.gates.shut(error)
                return
            except Stopped:
                return
            except WatchdError as error:
                self._log.warning("place.unfinished", project=project, reason=str(error))

    def _look(self, project: str, doubted: Sequence[Place], left: Sequence[LeftPlace]) -> None:
        places = (*doubted, *(one.place for one in left))
        there = self._tools.gateway.rows_with(project, {place.timestamp for place in places})
        for gone in set(doubted).difference(there):
            self._tools.ledger.places.clear_locked(gone)
        for place in there:
            study = self._tools.ledger.places.study_at(project, place.timestamp)
            if study is not None:
                with suppress(NotYet):  # XNAT is at work on it, perhaps for ever: checked again at the next sweep
                    self._clear(study, place)
        for one in left:
            if one.place in there or one.mixed:
                with suppress(NotYet):
                    clear_left(one, self._tools)

    def _clear(self, study: int, place: Place) -> None:
        places, item = self._tools.ledger.places, self._tools.ledger.studies.get(study)
        if is_chosen(place) and not places.knows(study, place):
            return  # the place of another station
        places.add_appeared(study, place, self._tools.clock.now())
        if place not in places.mixed(study):
            self._log.info("place.late", item=item.name, project=item.project)
            clear(item, place, self._tools)
