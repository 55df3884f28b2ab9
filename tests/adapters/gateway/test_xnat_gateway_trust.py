"""Whose certificates are believed, and what goes through a proxy: a certificate authority of our own, real TLS."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.adapters.gateway.gateway_kit import LOGIN, failure, server_at
from tests.adapters.gateway.scripted_xnat import ScriptedXnat, scripted_xnat
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Credential, Secret
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.adapters.xnat.trust import trusted_certificates
from xnat_watchd.core.errors import Unavailable
from xnat_watchd.settings.sections import Xnat


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an authority `ca.pem`, and a server's `cert.pem` and `key.pem` that it has signed.

    OpenSSL finds the authority in the folder by its hash too, as in /etc/ssl/certs.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("authority")
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    ca = ["-x509", *ec, "-subj", "/CN=Site CA", "-keyout", "ca.key", "-out", "ca.pem"]
    leaf = [
        "-x509", *ec, "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
        "-keyout", "key.pem", "-out", "cert.pem",
    ]  # fmt: skip
    for request in (ca, leaf):
        subprocess.run([openssl, "req", *request], cwd=folder, capture_output=True, check=True, timeout=60)  # noqa: S603 - as written
    hashed = subprocess.run(  # noqa: S603 - as written
        [openssl, "x509", "-hash", "-noout", "-in", "ca.pem"], cwd=folder, capture_output=True, text=True, check=True
    )
    (folder / f"{hashed.stdout.strip()}.0").symlink_to("ca.pem")
    return folder


@pytest.fixture
def over_tls(authority: Path) -> Iterator[ScriptedXnat]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    with scripted_xnat(context) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_store_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def test_what_this_machine_trusts_is_trusted(
    over_tls: ScriptedXnat, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    server = server_at(over_tls.url)
    assert server.gateway().whoami() == "tech"
    server.close()


def test_a_store_that_is_a_folder_is_trusted_too(
    over_tls: ScriptedXnat, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "no such file"))
    monkeypatch.setenv("SSL_CERT_DIR", str(authority))
    server = server_at(over_tls.url)
    assert server.gateway().whoami() == "tech"
    server.close()


def test_the_sites_own_file_is_trusted_instead(over_tls: ScriptedXnat, authority: Path) -> None:
    server = server_at(over_tls.url, ca_file=authority / "ca.pem")
    assert server.gateway().whoami() == "tech"
    server.close()


def test_a_stranger_gets_no_password(over_tls: ScriptedXnat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert "ca_file" in failure(Unavailable, server_at(over_tls.url).gateway().probe).advice
    assert over_tls.asked == []


def test_a_certificate_for_another_name_gets_no_password(over_tls: ScriptedXnat, authority: Path) -> None:
    server = server_at(over_tls.url.replace("localhost", "127.0.0.1"), ca_file=authority / "ca.pem")
    failure(Unavailable, server.gateway().probe)
    assert over_tls.asked == []


def test_a_file_of_the_site_that_is_not_there_is_said_and_nothing_else_is_trusted(
    over_tls: ScriptedXnat, tmp_path: Path
) -> None:
    error = failure(Unavailable, server_at(over_tls.url, ca_file=tmp_path / "gone.pem").gateway().probe)
    assert "xnat.ca_file" in str(error)
    assert over_tls.asked == []


def test_a_machine_with_no_store_believes_the_list_that_the_library_brings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert trusted_certificates(None) is True


def test_no_login_follows_a_redirect_out_of_tls(
    over_tls: ScriptedXnat, authority: Path, scripted: ScriptedXnat
) -> None:
    over_tls.on(*LOGIN, status=307, Location=f"{scripted.url}/data/services/auth")
    failure(Unavailable, server_at(over_tls.url, ca_file=authority / "ca.pem").gateway().probe)
    assert scripted.asked == []


# -- proxies -----------------------------------------------------------------------------------------------


@contextmanager
def tunnel(to: str) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the address of a proxy that connects every client to one server, and the requests that it got."""
    asked: list[bytes] = []
    target = ("localhost", int(to.rpartition(":")[2]))
    with closing(socket.create_server(("127.0.0.1", 0))) as listens:

        def serve() -> None:
            client, _ = listens.accept()
            with client, socket.create_connection(target) as server:
                asked.append(client.recv(4096))
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = Thread(target=_pump, args=(server, client))
                back.start()
                _pump(client, server)
                back.join()

        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listens.getsockname()[1]}", asked
        thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the other side was faster


def test_the_proxy_of_the_settings_is_used_and_sees_nothing_of_a_login_over_tls(
    over_tls: ScriptedXnat, authority: Path
) -> None:
    with tunnel(over_tls.url) as (proxy, asked):
        where = Xnat(server=over_tls.url, ca_file=authority / "ca.pem", proxy=proxy)
        server = XnatServer.from_settings(where, Credential("tech", Secret("secret"), "a test"), SystemClock(), Event())
        assert server.gateway().whoami() == "tech"
        server.close()
    assert len(asked) == 1
    assert asked[0].startswith(b"CONNECT localhost:")
    assert b"secret" not in asked[0]


def test_without_a_proxy_in_the_settings_there_is_none(scripted: ScriptedXnat, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server = XnatServer.from_settings(
        Xnat(server=scripted.url), Credential("tech", Secret("secret"), "a test"), SystemClock(), Event()
    )
    assert server.gateway().whoami() == "tech"
    server.close()
