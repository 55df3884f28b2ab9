"""Where a ledger is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Location:
    """A file, or a database that several stations share.

    The locks, sockets and status of this machine's service lie beside `path`, also where there is a `url`.
    """

    path: Path
    url: str = ""  #: without a password; empty: the ledger is a file of SQLite
    station: str = ""  #: the name of this station in it; empty: the only one, or none

    @classmethod
    def of(cls, path: Path, url: str, station: str) -> Location:
        """Return the location by what the settings say. Without a name, a station has that of its host."""
        return cls(path, url, (station or os.uname().nodename) if url else "")

    def exists(self) -> bool:
        """Return whether there is a ledger. What a database holds is known once it is opened."""
        return bool(self.url) or self.path.exists()

    def is_empty(self) -> bool:
        """Return whether there is a file without content: it is still being made, or damaged."""
        return not self.url and not self.path.stat().st_size

    def __str__(self) -> str:
        """Return what people know it by."""
        return self.url or str(self.path)
