"""A real datagram socket stands for systemd."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from xnat_watchd.adapters.systemd.notify import LONGEST_STATUS, Notifier


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listens:
        listens.bind(str(tmp_path / "notify"))
        listens.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listens


@pytest.fixture
def notifier(systemd: socket.socket) -> Iterator[Notifier]:
    del systemd
    made = Notifier.from_environment()
    yield made
    made.close()


def test_each_verb_is_one_datagram_in_the_words_of_sd_notify(systemd: socket.socket, notifier: Notifier) -> None:
    told = [
        notifier.ready(),
        notifier.status("2 under way"),
        notifier.watchdog(),
        notifier.reloading(12.3456789),
        notifier.stopping(),
        notifier.extend_timeout(timedelta(seconds=90)),
    ]
    assert told == [True] * 6
    assert [systemd.recv(4096) for _ in told] == [
        b"READY=1",
        b"STATUS=2 under way",
        b"WATCHDOG=1",
        b"RELOADING=1\nMONOTONIC_USEC=12345679",
        b"STOPPING=1",
        b"EXTEND_TIMEOUT_USEC=90000000",
    ]


def test_the_status_is_one_line_of_ascii_whatever_it_is_given(systemd: socket.socket, notifier: Notifier) -> None:
    assert notifier.status("Jörg → 王\nREADY=1\0\x85\u2028STOPPING=1")
    said = systemd.recv(4096)
    assert said == b"STATUS=J?rg ? ? READY=1\0 STOPPING=1"
    assert b"\n" not in said


def test_a_long_status_is_cut(systemd: socket.socket, notifier: Notifier) -> None:
    notifier.status("x" * 10_000)
    assert systemd.recv(65536) == b"STATUS=" + b"x" * LONGEST_STATUS


def test_a_letter_beyond_latin_1_loses_nothing(systemd: socket.socket, notifier: Notifier) -> None:
    assert notifier._send("STATUS=→ é")
    assert systemd.recv(4096) == "STATUS=→ é".encode()


def test_nobody_waits_when_systemd_does_not_read_and_what_is_lost_is_said(
    systemd: socket.socket, notifier: Notifier
) -> None:
    told = [notifier.watchdog() for _ in range(2000)]  # the kernel keeps a few of them
    assert told[0]
    assert not told[-1]
    systemd.recv(4096)
    assert notifier.ready()


def test_a_name_in_the_abstract_namespace_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listens:
        listens.bind(f"\0{tmp_path}")
        listens.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{tmp_path}")
        notifier = Notifier.from_environment()
        assert notifier.ready()
        assert listens.recv(4096) == b"READY=1"
        notifier.close()


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative"])
def test_without_systemd_nothing_is_told_and_nothing_fails(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notifier = Notifier.from_environment()
    assert not notifier.ready()
    assert not notifier.status("x")
    notifier.close()


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_a_systemd_that_is_not_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library leaves its socket to the garbage collector then, which warns of it."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not Notifier.from_environment().ready()


def test_after_hanging_up_nothing_is_told(notifier: Notifier) -> None:
    notifier.close()
    assert not notifier.stopping()
