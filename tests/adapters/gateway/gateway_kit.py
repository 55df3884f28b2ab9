"""What the tests of the gateway share: a site with one study, and how a failure is looked at."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatGateway, XnatServer
from xnat_watchd.core.delivery import Place
from xnat_watchd.core.errors import WatchdError
from xnat_watchd.sandbox import Options, Sandbox
from xnat_watchd.sandbox.samples import Member, study, write_zip

PLACE = Place("P1", "20240229_101112130", "xw-1")
HERE = f"/data{PLACE.path}"
IMPORT, ARCHIVE = "/data/services/import", "/data/services/archive"
SUBJECT = "Quastenflosser_Ingeborgine"
LOGIN = ("PUT", "/data/services/auth")


def server_at(address: str, **how: Any) -> XnatServer:
    """Return a server; `how` replaces default arguments."""
    password = Secret(how.pop("password", "secret"))
    usual = {"user": "tech", "clock": SystemClock(), "stop": threading.Event()}
    return XnatServer(address, password=password, **{**usual, **how})


def quiet(_: int, __: int) -> None:
    """Take no interest in how far an upload is."""


@dataclass
class Site:
    """A practice XNAT, a gateway to it, and one study. `moment` is the site's time."""

    xnat: Sandbox
    server: XnatServer
    gateway: XnatGateway
    zip: str
    moment: list[datetime]

    def asked(self, method: str, pattern: str) -> int:
        return len(self.queries(method, pattern))

    def queries(self, method: str, pattern: str) -> list[str]:
        return [query for one, path, query, _ in self.xnat.requests if one == method and re.search(pattern, path)]

    def upload(self, place: Place = PLACE, members: list[Member] | None = None) -> None:
        path = self.zip
        if members is not None:
            path = str(write_zip(Path(self.zip).with_name(f"{place.folder}.zip"), members))
        self.gateway.upload(place, path, quiet, alone=False)

    def archive(self, label: str = "L1", *, place: Place = PLACE, join: bool = False) -> None:
        self.gateway.archive(place, SUBJECT, label, join=join, pipelines=True)

    def where(self) -> list[str]:
        """Return where each instance lies."""
        return sorted(one.where for one in self.xnat.instances())


@contextmanager
def a_site(folder: Path, dialect: str, **options: Any) -> Iterator[Site]:
    """Yield a practice XNAT with these habits, and a gateway to it."""
    moment = [datetime(2026, 11, 22, 9, 0, tzinfo=UTC)]
    path = write_zip(folder / "study.zip", study(1))
    xnat = Sandbox(
        folder / f"xnat-{dialect}",
        dialect,
        users={"tech": "secret"},
        projects=["P1"],
        clock=lambda: moment[0],
        options=Options(**options),
    )
    with xnat:
        server = server_at(xnat.url, read_timeout=10.0)
        yield Site(xnat, server, server.gateway(), str(path), moment)
        server.close()


def failure(kind: type[WatchdError], act: Callable[[], object]) -> WatchdError:
    """Return the error, which must be of exactly this class."""
    with pytest.raises(WatchdError) as caught:
        act()
    assert type(caught.value) is kind, repr(caught.value)
    return caught.value
