"""A ZIP that is sent while it is checked: what the intake, which checks it, and the worker that sends it share.

The sending follows the check: no byte leaves before the member that it belongs to was found sound, and all before it.
So XNAT never gets more than the beginning of one study of one person. The end of the ZIP waits for the verdict: it is
sent once the ledger holds the study with its place, so that no import can end, and nothing be archived, before all of
it was checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from pathlib import Path
from threading import Condition

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.delivery import Item
from xnat_watchd.core.errors import BrokenOff

Adopt = Callable[[Ledger, datetime], None]

SMALLEST = 256 * 1024**2  #: bytes of a ZIP that is worth it: a smaller one is checked within a second
BEAT_EVERY = 1.0  #: seconds


@dataclass(frozen=True, slots=True)
class ZipToSend:
    """A ZIP in the work folder that is about to be checked."""

    delivery: int
    project: str
    path: Path
    stamp: str
    members: int


class _Stage(Enum):
    OFFERED = auto()  #: no worker has it
    CLAIMED = auto()  #: a worker asks XNAT whether it may be sent
    SENDING = auto()  #: its place is in the ledger, and bytes may be on their way there
    RELEASED = auto()  #: all is checked and in the ledger: it may be sent to its end
    CLOSED = auto()  #: nothing more of it may be sent


class EarlySending:
    """The sending of one ZIP. It is the `CheckObserver` of the check; `found_sound` is called once, when it may begin.

    Only `claim`, `begin`, `wait_until_sound` and `give_up` are the worker's.
    """

    def __init__(self, content: ZipToSend, found_sound: Callable[[], None]) -> None:
        self.zip = content
        self.study_uid = ""
        self.item: Item | None = None  #: the study, busy by the worker, once it is released
        self._found_sound = found_sound
        self._sound = 0
        self._stage = _Stage.OFFERED
        self._changed = Condition()

    # The intake's.

    def sound(self, end: int, study_uid: str) -> None:
        """Let the ZIP be sent up to this offset."""
        with self._changed:
            is_first, self._sound, self.study_uid = not self._sound, end, study_uid
            self._changed.notify_all()
        if is_first:
            self._found_sound()

    def unsound(self) -> None:
        """Break the sending off."""
        self.close()

    @contextmanager
    def decided(self) -> Iterator[Adopt]:
        """Have what was found entered into the ledger in the block. Then release the sending, or break it off.

        What is yielded has the study go on where it is being sent, if it is. It is called in the same transaction.
        """
        with self._changed:
            adopted: list[Item] = []
            yield lambda ledger, now: adopted.extend(self._adopted(ledger, now))
            self.item = adopted[0] if adopted else None
            self._stage = _Stage.RELEASED if self.item else _Stage.CLOSED
            self._changed.notify_all()

    def _adopted(self, ledger: Ledger, now: datetime) -> Iterator[Item]:
        if self._stage is not _Stage.SENDING:
            return
        study = ledger.early_places.adopt(self.zip.delivery, now, self.zip.stamp)
        item = None if study is None else ledger.studies.take(now, only=[study])
        if item is not None:
            yield item

    def close(self) -> None:
        """Break the sending off, unless it was released."""
        with self._changed:
            if self._stage is not _Stage.RELEASED:
                self._stage = _Stage.CLOSED
                self._changed.notify_all()

    # The worker's.

    @property
    def is_offered(self) -> bool:
        """Whether a worker may claim it."""
        return self._stage is _Stage.OFFERED and self._sound > 0

    def claim(self) -> bool:
        """Take it on. Return False if another worker has it, or if it is over."""
        with self._changed:
            if is_offered := self.is_offered:
                self._stage = _Stage.CLAIMED
            return is_offered

    def begin(self, note: Callable[[], bool]) -> bool:
        """Have its place noted in the ledger before anything is sent there. Return False if nothing is to be sent."""
        with self._changed:
            if self._stage is _Stage.CLAIMED and note():
                self._stage = _Stage.SENDING
            return self._stage is _Stage.SENDING

    def wait_until_sound(self, end: int, beat: Callable[[], None]) -> None:
        """Return once the ZIP may be sent up to this offset. Raise `BrokenOff` if nothing more may be sent.

        `beat` is called at least every second, and may raise an error, too.
        """
        with self._changed:
            while self._stage is _Stage.SENDING and self._sound < end:
                self._changed.wait(BEAT_EVERY)
                beat()
            if self._stage is _Stage.CLOSED:
                raise BrokenOff("the ZIP does not go as it is")

    def give_up(self) -> Item | None:
        """Note that nothing more is sent. Return the study if it goes on at this place, whatever has arrived there."""
        self.close()
        return self.item


class EarlySendings:
    """The ZIP that may be sent early: there is one at most, as the intake checks one at a time."""

    def __init__(
        self,
        members: Callable[[Path], int] = lambda _: 0,
        wake: Callable[[], None] = lambda: None,
        smallest: int = SMALLEST,
    ) -> None:
        """`members`: how many a ZIP has that seems worth it, else 0. `wake` wakes the workers."""
        self._members, self._wake, self._smallest = members, wake, smallest
        self._current: EarlySending | None = None

    # The intake's.

    def offer(self, delivery: int, project: str, path: Path, stamp: str) -> EarlySending | None:
        """Offer a ZIP to the workers, from its first sound image on; None if it is not worth it."""
        if path.stat().st_size < self._smallest or not (members := self._members(path)):
            return None
        self._current = EarlySending(ZipToSend(delivery, project, path, stamp, members), self._wake)
        return self._current

    def decided(self) -> AbstractContextManager[Adopt]:
        """Decide about the ZIP that was offered, as `EarlySending.decided` does; about nothing if none was."""
        return self._current.decided() if self._current else nullcontext(lambda *_: None)

    def close(self) -> None:
        """Break off the sending of the ZIP that was offered, unless it was released: it is not checked any more."""
        if self._current is not None:
            self._current.close()
            self._current = None

    # The workers'.

    @property
    def is_offered(self) -> bool:
        """Whether there is one that no worker has claimed."""
        current = self._current
        return current is not None and current.is_offered

    def claim(self) -> EarlySending | None:
        """Return the one that is offered, which is now the caller's; None if there is none."""
        current = self._current
        return current if current is not None and current.claim() else None
