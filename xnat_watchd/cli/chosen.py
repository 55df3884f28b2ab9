"""What the global options chose, read only when a command asks: `--help` must cost nothing."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from xnat_watchd.core.errors import Refusal

if TYPE_CHECKING:  # their import takes most of the time that `--help` may take
    from collections.abc import Iterator

    from xnat_watchd.adapters.credentials import Credential
    from xnat_watchd.adapters.ledger import Ledger
    from xnat_watchd.adapters.xnat_gateway import XnatGateway
    from xnat_watchd.settings import Settings


@dataclass(frozen=True)
class Chosen:
    """The settings file that was named, if one was."""

    config: Path | None

    def settings(self) -> Settings:
        """Read the settings, or raise `Refusal`."""
        from xnat_watchd.settings import load

        return load(self.config, os.environ)

    def credential(self, settings: Settings) -> Credential:
        """Find user and password for the server, or raise `Refusal`."""
        from xnat_watchd.adapters.credentials import find

        found = find(settings.xnat.server, os.environ)
        if found is None:
            raise Refusal(
                f"there is no user and password for {settings.xnat.server}",
                advice="Set XNAT_WATCHD_XNAT__USER and XNAT_WATCHD_XNAT__PASSWORD, or add the server to ~/.netrc.",
            )
        return found

    @contextmanager
    def gateway(self) -> Iterator[XnatGateway]:
        """Give a gateway of our own to the server."""
        from xnat_watchd.adapters.clock import SystemClock
        from xnat_watchd.adapters.xnat_gateway import XnatServer

        settings = self.settings()
        server = XnatServer.of(settings.xnat, self.credential(settings), SystemClock(), Event())
        try:
            yield server.gateway()
        finally:
            server.close()

    @contextmanager
    def ledger(self, path: Path, *, read_only: bool = True) -> Iterator[Ledger]:
        """Open the ledger; `Refusal` when there is none yet."""
        from xnat_watchd.adapters.ledger import Ledger, open_database

        if not path.exists():
            raise Refusal(f"there is no ledger at {path} yet", advice="It is made by `xnat-watchd run`.")
        ledger = Ledger(open_database(path, read_only=read_only))
        try:
            yield ledger
        finally:
            ledger.close()
