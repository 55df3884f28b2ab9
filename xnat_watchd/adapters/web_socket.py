"""The Unix socket of the page, and the link that a user of this machine gets over it for a browser."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from xnat_watchd.core.errors import Refusal

SOCKET = Path("/run/xnat-watchd-web.socket")  #: as the unit names it (`ListenStream=`)
PATIENCE = 10.0  #: seconds
LONGEST = 64 << 10  #: bytes of an answer that are read
NOT_SERVED = "Start it: `systemctl start xnat-watchd-web.socket`, or type `xnat-watchd web`."
NOT_LET_IN = "Ask root to put you into the group `xnat-drop`. Then log in again."


def socket_beside(ledger: Path) -> Path:
    """Return where a server of this ledger that a person has started has its socket."""
    return ledger.with_name("web.socket")


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """Yield the address of a socket. A path may be longer than the 108 bytes that an address may have (unix(7))."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def is_served(path: Path) -> bool:
    """Return whether somebody listens there."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection, address_of(path) as address:
        connection.settimeout(PATIENCE)
        try:
            connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:  # too busy, or not for this user
            return True
    return True


def link_from(path: Path) -> str:
    """Return a link that lets a browser of this user in, once. Raise `Refusal` if there is none."""
    with closing(_Connection(path)) as connection:
        try:
            connection.request(
                "POST", "/link",
                headers={"Origin": "http://localhost", "Content-Type": "application/x-www-form-urlencoded"},
            )  # fmt: skip
            answer = connection.getresponse()
            content = answer.read(LONGEST)
        except PermissionError:
            raise Refusal("this user may not see the page", advice=NOT_LET_IN) from None
        except (OSError, http.client.HTTPException):
            raise Refusal("the page is not served", advice=NOT_SERVED) from None
    if answer.status != http.client.OK:
        raise Refusal("this user may not see the page", advice=NOT_LET_IN)
    return str(json.loads(content)["link"])


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        with address_of(self._path) as address:
            self.sock.connect(address)
