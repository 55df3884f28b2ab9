"""Send a ZIP while it is checked, never further than the check has come. `EarlySending` tells how far that is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from xnat_watchd.core.delivery import Item
from xnat_watchd.core.errors import AuthRefused, LedgerUnusable, NoRoom, Stopped, TakenOver, Unavailable, WatchdError
from xnat_watchd.core.ports import UPLOAD_PIECE, Log
from xnat_watchd.studies.early_sending import EarlySending, EarlySendings
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.projects import refusal
from xnat_watchd.studies.steps.sending import UploadRecord, new_place, outcome_recorded


class EarlySender:
    """Sends, for one worker, the ZIP that is offered."""

    def __init__(self, sendings: EarlySendings, tools: Tools, log: Log) -> None:
        self._sendings, self._tools, self._log = sendings, tools, log
        self._current: EarlySending | None = None

    @property
    def is_offered(self) -> bool:
        """Whether there is a ZIP that no worker has claimed."""
        return self._sendings.is_offered

    @property
    def held(self) -> Item | None:
        """The study that was given to this worker while it sends. Any thread may ask."""
        current = self._current
        return current.item if current else None

    def forget(self) -> None:
        """Hold the study no longer that was sent last: it was given back."""
        self._current = None

    def send(self) -> Item | None:
        """Send the ZIP that is offered. Return its study, which is this worker's now; None if it does not go on here.

        Whatever XNAT has answered, it is asked what it has of the study, as after a lost answer. Without a study,
        something of the ZIP may lie at its place, as the ledger knows.
        """
        self._current = early = self._sendings.claim()
        if early is None:
            return None
        try:
            self._send(early)
        except (Unavailable, AuthRefused) as error:
            self._tools.gates.shut(error)
        except (NoRoom, LedgerUnusable, TakenOver):
            if early.item is None:
                raise  # else the study's own step meets it, and gives the study back
        except WatchdError as error:
            self._log.info("delivery.broken_off", item=str(early.zip.delivery), reason=str(error))
        finally:
            early.give_up()  # whatever happened here: nobody must wait for us
        return early.item and replace(early.item, in_doubt=True)

    def _send(self, early: EarlySending) -> None:
        content, ledger, clock = early.zip, self._tools.ledger, self._tools.clock
        if not self._is_new(early):
            return
        place = new_place(content.project, f"{content.delivery}-1", self._tools)
        if not early.begin(
            lambda: ledger.early_places.begin(content.delivery, place, early.study_uid, content.members)
        ):
            return
        following = _FollowingTheCheck(early, self._tools)
        try:
            self._tools.gateway.upload(place, str(content.path), following, alone=False)
        except WatchdError:
            if (item := early.give_up()) is None:
                raise
            with suppress(WatchdError), outcome_recorded(item, following.record_of(item), self._tools):
                raise
        finally:
            if early.give_up() is None:
                ledger.early_places.end(content.delivery, clock.now())

    def _is_new(self, early: EarlySending) -> bool:
        """Return whether the ZIP would go to XNAT as it is, and would not be archived there before we say so.

        On 1.6 no ZIP goes as it is. In a project that archives by itself, XNAT might archive what has come when the
        sending is broken off: it is not certain that it does not (F160).
        """
        gateway, project, uid = self._tools.gateway, early.zip.project, early.study_uid
        return (
            not gateway.collides()
            and self._tools.ledger.early_places.may_begin(project, uid)
            and refusal(project, gateway) is None
            and not gateway.archives_by_itself(project)
            and not gateway.sessions(project, [uid])
        )


class _FollowingTheCheck:
    """Is called before each piece: waits until the check has come as far. From the release on it records the upload."""

    def __init__(self, early: EarlySending, tools: Tools) -> None:
        self._early, self._tools = early, tools
        self._epoch = tools.ledger.stations.me.epoch
        self._record: UploadRecord | None = None

    def __call__(self, sent: int, size: int) -> None:
        self._early.wait_until_sound(min(sent + UPLOAD_PIECE, size), lambda: self._tools.progressed(sent, size))
        if self._early.item is None:
            self._tools.progressed(sent, size)
        else:
            self.record_of(self._early.item)(sent, size)
        if self._tools.ledger.stations.me.epoch != self._epoch:
            raise Stopped("this station was taken for gone, and another may send the ZIP")

    def record_of(self, item: Item) -> UploadRecord:
        """Return the record of a study's upload. The ledger holds since the release that all of it is sent."""
        if self._record is None:
            self._record = UploadRecord(item, self._early.zip.stamp, self._tools)
            self._record.go_on()
        return self._record
