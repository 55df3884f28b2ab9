"""What the threads do in their turns."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

from tests.station import Time
from xnat_watchd.core.errors import NoRoom
from xnat_watchd.daemon.threads import worker_turn

WORKER = "worker-1"


class Carrying:
    """A pipeline with so many studies to carry, each a ZIP of its own."""

    def __init__(self, studies: int, error: Exception | None = None) -> None:
        self.studies, self.finished, self.at_rest = studies, 0, 0
        self.most_waiting = self.released = 0
        self._error = error  #: ends the moving of ZIPs

    def step(self) -> bool:
        if not self.studies:
            return False
        self.studies -= 1
        self.finished += 1
        self.most_waiting = max(self.most_waiting, self.finished - self.at_rest)
        return True

    def release(self) -> None:
        self.released += 1

    def retire(self) -> bool:
        if self._error is not None:
            raise self._error
        rested, self.at_rest = self.finished > self.at_rest, self.finished
        return rested


def daemon_of(carrying: Carrying) -> Any:
    return SimpleNamespace(
        recovered=True, missing=set(), machine_errors={}, stop=threading.Event(), may_begin=lambda: True,
        pipelines={WORKER: carrying},
        uploads={}, clock=Time(), tools={}, wake=lambda: None,  # nobody deletes
        idle_check=SimpleNamespace(put_off=lambda: None), once=False, note_full=lambda **_: None,
        idle_since={}, finished=SimpleNamespace(to_be_moved=lambda: False),
        ledger=SimpleNamespace(
            version=lambda: (0, 0), studies=SimpleNamespace(next_due=lambda *_: None), gates=SimpleNamespace(all=dict)
        ),
    )  # fmt: skip


def test_a_finished_zip_is_put_to_rest_although_others_wait_to_be_carried() -> None:
    carrying = Carrying(5)
    daemon = daemon_of(carrying)
    worker_turn(daemon, WORKER, cast("Any", SimpleNamespace(renew=lambda: None)))
    assert (carrying.studies, carrying.at_rest) == (0, 5)
    assert carrying.most_waiting == 1
    assert carrying.released == 1


def test_what_was_taken_ahead_is_given_back_when_a_disk_has_failed() -> None:
    carrying = Carrying(5, error=NoRoom("the disk is full"))
    worker_turn(daemon_of(carrying), WORKER, cast("Any", SimpleNamespace(renew=lambda: None)))
    assert carrying.released == 1
