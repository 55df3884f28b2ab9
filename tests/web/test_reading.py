"""What the page knows of the ledger, and what becomes of those who ask together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tests.station import Time
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.core.errors import LedgerUnusable
from xnat_watchd.interfaces.web.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_who_waits_for_a_look_that_fails_is_told_so_and_does_not_wait_as_long_again(tmp_path: Path) -> None:
    database = open_database(tmp_path / "ledger.sqlite")
    looks, asked, over = [], threading.Semaphore(0), threading.Event()

    class Held(Reading):
        @contextmanager
        def ledger(self, *, read_only: bool = True) -> Iterator[Ledger]:
            looks.append(read_only)
            if not over.is_set():
                assert over.wait(60)
                raise LedgerUnusable("another program holds it", advice="", passes=True)
            yield Ledger(database)

    class Noted:
        """A lock that tells when somebody wants it."""

        def __init__(self) -> None:
            self._inner = threading.Lock()

        def __enter__(self) -> None:
            asked.release()
            self._inner.acquire()

        def __exit__(self, *_: object) -> None:
            self._inner.release()

    where, lock = Location(tmp_path / "ledger.sqlite"), cast("Any", Noted())
    reading = Held(where, tmp_path / "status.json", "https://xnat.test", Time().now, lock)
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(reading.status, names=bool(one % 2)) for one in range(4)]
        for _ in waiting:
            assert asked.acquire(timeout=60)
        over.set()
        assert [type(one.exception(60)) for one in waiting] == [LedgerUnusable] * 4
    assert len(looks) == 1
    assert reading.status(names=True)["attention"] == []
    database.close()
