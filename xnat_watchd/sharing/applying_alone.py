"""One program at a time applies share tables: what two ask XNAT for at once, one of them is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xnat_watchd.adapters.files.lock import Lock
from xnat_watchd.adapters.files.share_folder import lock_of_shares
from xnat_watchd.adapters.ledger.shares import Shares


@contextmanager
def applying_alone(shares: Shares, ledger: Path) -> Iterator[None]:
    """Keep out the other programs of this host, and the other stations. Raise `Occupied` if one applies tables now."""
    with Lock(lock_of_shares(ledger)), shares.alone():
        yield
