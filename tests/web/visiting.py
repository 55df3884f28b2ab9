"""Somebody who looks at the page, as a WSGI client: with a user, a browser's headers, and a cookie if they have one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from werkzeug.test import Client, TestResponse

from tests.station import Time
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.adapters.operator_socket import Requester
from xnat_watchd.core.access import UserAccess
from xnat_watchd.interfaces.web.application import PageParts, application
from xnat_watchd.interfaces.web.reading import Reading
from xnat_watchd.interfaces.web.visitors import COOKIE_HOLDS, LINK_HOLDS, Proxy, Visitors, VisitorTokens

ADDRESS = "http://127.0.0.1:8642"
ADA, EVE, LOU, PROXY = 1000, 1001, 1002, 33
USERS = {
    ADA: Requester(ADA, "ada", UserAccess.DECIDE),
    LOU: Requester(LOU, "lou", UserAccess.LOOK),
    EVE: Requester(EVE, "eve", UserAccess.NONE),
    PROXY: Requester(PROXY, "www-data", UserAccess.NONE),
}
OWN = {"Sec-Fetch-Site": "same-origin"}
SEEN = re.compile(r'name="seen" value="(\d+)"')


@dataclass
class Served:
    """The page over a ledger, its clock, and its visitors."""

    root: Path
    time: Time
    proxy: Proxy = field(default_factory=lambda: Proxy((PROXY,)))
    url: str = ""  #: of the ledger, where it is in a database

    def __post_init__(self) -> None:
        reading = Reading(
            Location(self.root / "ledger.sqlite", self.url),
            self.root / "status.json",
            "https://xnat.test",
            self.time.now,
        )
        links, cookies = (VisitorTokens(seconds, self.time.monotonic) for seconds in (LINK_HOLDS, COOKIE_HOLDS))
        by_name = {one.name: one for one in USERS.values()}
        visitors = Visitors(USERS.__getitem__, by_name.get, links, cookies, self.proxy)
        own = (ADDRESS, "http://localhost:8642", "https://watchd.example.org")
        self.page = application(PageParts(reading, visitors, ADDRESS, own))

    def by(self, uid: int, kind: str = "unix") -> Visitor:
        """Return a visitor who has connected as this user."""
        return Visitor(Client(self.page), f"{kind}:{uid}")


@dataclass
class Visitor:
    """A user and what they have connected by."""

    client: Client
    address: str

    def get(self, path: str, headers: dict[str, str] | None = None, **more: Any) -> TestResponse:
        return self.send("GET", path, {} if headers is None else headers, **more)

    def post(self, path: str, headers: dict[str, str] | None = None, **form: object) -> TestResponse:
        return self.send("POST", path, OWN if headers is None else headers, data=form)

    def send(self, method: str, path: str, headers: dict[str, str], **more: Any) -> TestResponse:
        environ = {"REMOTE_ADDR": self.address}
        return self.client.open(
            path, method=method, base_url=ADDRESS, headers=headers, environ_overrides=environ, buffered=True, **more
        )  # fmt: skip

    def seen(self, path: str) -> str:
        """Return the number that the forms of a page carry."""
        found = SEEN.search(self.get(path).text)
        assert found is not None
        return found[1]
