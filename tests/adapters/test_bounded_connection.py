"""A connection is there, or has failed, within its time, however many addresses a host has."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from xnat_watchd.adapters.bounded_connection import connected

SOON, LONGER = 0.5, 5.0  #: seconds: what it may take, and what a busy machine adds


@contextmanager
def hearing_nothing() -> Iterator[int]:
    """Serve a port that takes no more connections: whoever comes waits."""
    with ExitStack() as open_, socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        for _ in range(3):
            waiting = open_.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - as the socket has it
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def named(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Have every host mean these ports, one address after the other."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_all_addresses_of_a_host_share_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with hearing_nothing() as port:
        named(monkeypatch, *[port] * 20)
        began = time.monotonic()
        with pytest.raises(OSError, match="timed out"), connected("host", 25, None, SOON):
            pass
        assert time.monotonic() - began < SOON + LONGER


def test_the_next_address_is_used_where_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as closed:
        refusing, port = closed.getsockname()[1], server.getsockname()[1]
        closed.close()
        named(monkeypatch, refusing, port)
        with connected("host", 25, None, LONGER) as line:
            assert line.getpeername()[1] == port


def test_a_host_without_an_address_is_an_error_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch)
    with pytest.raises(OSError, match="no address"), connected("host", 25, None, SOON):
        pass
