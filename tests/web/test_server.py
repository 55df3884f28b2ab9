"""The page as a process of its own: its sockets, and who the kernel says is at the other end."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.peers import uid_over_loopback, uid_over_unix
from xnat_watchd.adapters.web_socket import link_from, socket_beside
from xnat_watchd.interfaces.web.visitors import OF_A_USER

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
NOBODY = 65534


def environment() -> dict[str, str]:
    """Return the variables without ours: each must be a setting, and those of the tests are none."""
    return {name: value for name, value in os.environ.items() if not name.startswith("XNAT_WATCHD_")}


@contextmanager
def serving(root: Path, *, port: int = 0, settings: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Serve the page of a new ledger in a folder, as a process of its own, perhaps with more settings."""
    Ledger(open_database(root / "ledger.sqlite")).close()
    config = root / "config.toml"
    config.write_text(f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{root}"\n{settings}', "utf-8")
    command = [sys.executable, "-m", "xnat_watchd", "--config", str(config), "web", "--port", str(port)]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE) as process:  # noqa: S603 - ourselves
        try:
            assert process.stderr is not None
            assert process.stderr.readline().startswith(b"The page is served")
            yield process
        finally:
            process.terminate()


def link_of(root: Path) -> tuple[int, str]:
    """Return the port and the path of a new link."""
    _, _, rest = link_from(socket_beside(root / "ledger.sqlite")).partition("http://127.0.0.1:")
    port, _, path = rest.partition("/")
    return int(port), f"/{path}"


def asked(port: int, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_a_link_opens_the_page_in_a_browser_of_the_same_user(tmp_path: Path) -> None:
    with serving(tmp_path):
        port, path = link_of(tmp_path)
        assert asked(port, "/")[0] == 401
        status, headers, _ = asked(port, path)
        assert status == 303
        cookie = headers["Set-Cookie"].partition(";")[0]
        status, headers, page = asked(port, "/", Cookie=cookie)
        assert status == 200
        assert b"Nothing runs now; nothing else needs attention" in page
        assert "Server" not in headers
        assert asked(port, "/", Cookie=cookie, Host="evil.example")[0] == 403
    assert not socket_beside(tmp_path / "ledger.sqlite").exists()


@ROOT_ONLY
def test_another_user_with_the_cookie_gets_nowhere(tmp_path: Path) -> None:
    with serving(tmp_path):
        port, path = link_of(tmp_path)
        cookie = asked(port, path)[1]["Set-Cookie"].partition(";")[0]
        script = (
            "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=20);"
            "c.request('GET', '/', headers={'Cookie': sys.argv[2]}); print(c.getresponse().status)"
        )
        told = subprocess.run(  # noqa: S603 - ourselves
            ["/usr/bin/env", "python3", "-c", script, str(port), cookie], user=NOBODY, group=NOBODY, extra_groups=[],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert told.stdout.strip() == "401", told.stderr
        assert asked(port, "/", Cookie=cookie)[0] == 200


@ROOT_ONLY
def test_a_program_of_the_same_user_gets_the_metrics_over_tcp_and_that_of_another_does_not(tmp_path: Path) -> None:
    with serving(tmp_path):
        port, _ = link_of(tmp_path)
        status, headers, told = asked(port, "/metrics")
        assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert b"\nxnat_watchd_up 0.0\n" in told
        script = (
            "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=20);"
            "c.request('GET', '/metrics'); print(c.getresponse().status)"
        )
        other = subprocess.run(  # noqa: S603 - ourselves
            ["/usr/bin/env", "python3", "-c", script, str(port)], user=NOBODY, group=NOBODY, extra_groups=[],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert other.stdout.strip() == "403", other.stderr


def test_what_is_no_request_is_refused_and_the_next_one_answered(tmp_path: Path) -> None:
    with serving(tmp_path):
        port, _ = link_of(tmp_path)
        for sent in (
            b"\x00" * 100,
            b"X" * 70_000,
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: 127.0.0.1:%d\r\n\r\n" % port,
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ):
            with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(100)[:12] not in (b"HTTP/1.1 200", b"HTTP/1.0 200")
        assert asked(port, "/static/page.css")[0] == 200


def test_a_user_has_so_many_connections_and_no_more(tmp_path: Path) -> None:
    with serving(tmp_path), ExitStack() as held:
        port, _ = link_of(tmp_path)
        connections = [
            held.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=20)))
            for _ in range(OF_A_USER)
        ]
        for one in connections:
            one.sendall(b"GET /none HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port)
            assert one.recv(100).startswith(b"HTTP/1.1 401")
        with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as more:
            assert more.recv(100) == b""
        connections[0].sendall(b"GET /none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        while connections[0].recv(1000):
            pass
        assert asked(port, "/static/page.css")[0] == 200


@ROOT_ONLY
def test_who_may_not_look_takes_the_page_from_nobody_and_holds_no_connection_for_long(tmp_path: Path) -> None:
    script = (
        "import socket, sys, time; address = '127.0.0.1', int(sys.argv[1])\n"
        "held = [socket.create_connection(address) for _ in range(300)]; print('held', flush=True)\n"
        "end = time.monotonic() + 30\n"
        "while held and time.monotonic() < end:\n"
        "    for one in [*held]:\n"
        "        try: one.sendall(b'X')\n"
        "        except OSError: held.remove(one)\n"
        "    time.sleep(0.2)\n"
        "print(len(held))\n"
    )
    with serving(tmp_path):
        port, _ = link_of(tmp_path)
        with subprocess.Popen(  # noqa: S603 - ourselves
            ["/usr/bin/env", "python3", "-c", script, str(port)], user=NOBODY, group=NOBODY, extra_groups=[],
            stdout=subprocess.PIPE, text=True,
        ) as stranger:  # fmt: skip
            assert stranger.stdout is not None
            assert stranger.stdout.readline() == "held\n"
            assert link_of(tmp_path)[0] == port
            assert asked(port, "/static/page.css")[0] == 200
            assert stranger.communicate(timeout=60)[0] == "0\n"


def test_a_port_that_is_taken_is_told_in_a_sentence(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        config = tmp_path / "config.toml"
        config.write_text(f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{tmp_path}"\n', "utf-8")
        told = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", "xnat_watchd", "--config", str(config), "web", "--port",
             str(taken.getsockname()[1])], env=environment(), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert told.returncode == 78
    assert "the page cannot be served: Address already in use" in told.stderr
    assert not socket_beside(tmp_path / "ledger.sqlite").exists()


def test_a_second_page_of_the_same_ledger_is_refused_and_takes_nothing_from_the_first(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        port, _ = link_of(tmp_path)
        told = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", "xnat_watchd", "--config", str(tmp_path / "config.toml"), "web", "--port", "0"],
            env=environment(), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert told.returncode == 78
        assert "the page of this ledger is served already" in told.stderr
        assert link_of(tmp_path)[0] == port
        first.kill()
        first.wait(60)
    with serving(tmp_path):  # what the killed one has left is replaced
        beside = socket_beside(tmp_path / "ledger.sqlite")
        beside.rename(beside.with_name("gone"))
        beside.write_text("of somebody else")
    assert beside.read_text() == "of somebody else"


def test_the_kernel_names_the_user_of_a_connection_while_it_is_open() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with closing(here), closing(there):
        assert uid_over_unix(here) == os.geteuid()
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        client = socket.create_connection(listening.getsockname(), timeout=20)
        accepted, _ = listening.accept()
        with closing(accepted):
            assert uid_over_loopback(accepted) == os.geteuid()
            client.close()  # from now on the kernel lists it as root's
            assert uid_over_loopback(accepted) is None
