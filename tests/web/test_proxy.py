"""The page behind a reverse proxy: its word about who asks counts from its user over the Unix socket."""

from __future__ import annotations

import base64
import http.client
import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.authorities import LEAF, Authorities
from tests.web.test_server import NOBODY, ROOT_ONLY, environment, link_of, serving
from xnat_watchd.adapters.web_socket import socket_beside
from xnat_watchd.core.errors import WrongSettings
from xnat_watchd.operator.machine_checks import CheckState, _proxy
from xnat_watchd.settings import load
from xnat_watchd.settings.sections import WebSettings

PAGE = Path(__file__).parents[2] / "docs" / "page.md"
HOST = "watchd.example.org"
ME = pwd.getpwuid(os.geteuid()).pw_name
SETTINGS = f'[web]\naddress = "https://{HOST}"\nproxy_user = "{{}}"\n'
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
NEEDED = os.environ.get("XNAT_WATCHD_NEED_BROWSER") == "1"


def over_unix(path: Path, *headers: str) -> str:
    """Return the answer to a request for the page, as it comes."""
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        connection.sendall("\r\n".join(["GET / HTTP/1.0", *headers, "", ""]).encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer.decode()


def status(answer: str) -> str:
    return answer.split()[1]


@pytest.fixture
def root() -> Iterator[Path]:
    """Yield a folder that every user of the machine may pass through."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_the_header_of_the_proxy_says_who_asks(root: Path) -> None:
    path = socket_beside(root / "ledger.sqlite")
    with serving(root, settings=SETTINGS.format(ME)):
        answer = over_unix(path, f"Host: {HOST}", f"Remote-User: {ME}")
        assert status(answer) == "200"
        assert f'<span class="who">{ME}' in answer
        for headers in ([], ["Remote-User: nobody-here"], [f"Remote-User: {ME}, {ME}"], [f"Remote_User: {ME}"],
                        [f"Remote-User: {ME}", "Remote-User: root"], [f"X-Remote-User: {ME}"]):  # fmt: skip
            assert status(over_unix(path, f"Host: {HOST}", *headers)) == "401", headers
        assert status(over_unix(path, "Host: evil.example", f"Remote-User: {ME}")) == "403"
        assert status(over_unix(path, f"Host: {HOST}:444", f"Remote-User: {ME}")) == "403"


def test_the_header_says_nothing_over_tcp(root: Path) -> None:
    with serving(root, settings=SETTINGS.format("daemon")):
        port, _ = link_of(root)
        for host in (f"127.0.0.1:{port}", HOST):
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
                connection.request("GET", "/", headers={"Host": host, "Remote-User": ME})
                assert connection.getresponse().status == 401


@ROOT_ONLY
def test_the_header_of_another_user_says_nothing(root: Path) -> None:
    path = socket_beside(root / "ledger.sqlite")
    script = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1]);"
        "s.sendall(f'GET / HTTP/1.0\\r\\nHost: {sys.argv[2]}\\r\\nRemote-User: root\\r\\n\\r\\n'.encode());"
        "print(s.recv(4096).decode().split()[1])"
    )
    with serving(root, settings=SETTINGS.format(ME)):
        path.chmod(0o666)
        told = subprocess.run(  # noqa: S603 - ourselves
            ["/usr/bin/env", "python3", "-c", script, str(path), HOST], user=NOBODY, group=NOBODY, extra_groups=[],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert told.stdout.strip() == "403", told.stderr  # they may not look


def test_a_user_who_does_not_exist_is_told_before_anything_is_served(root: Path) -> None:
    config = root / "config.toml"
    config.write_text(
        f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{root}"\n{SETTINGS.format("nobody-here")}', "utf-8"
    )
    told = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", "xnat_watchd", "--config", str(config), "web"], env=environment(),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert told.returncode == 78
    assert "Correct `proxy_user` in [web]." in told.stderr
    assert not socket_beside(root / "ledger.sqlite").exists()


# -- settings and check ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ('address = "https://a.example"', "address and proxy_user are both needed"),
        ('proxy_user = "www-data"', "address and proxy_user are both needed"),
        ('address = "http://a.example"\nproxy_user = "a"', "looks like https://watchd.example.org"),
        ('address = "https://a.example/page"\nproxy_user = "a"', "looks like https://watchd.example.org"),
        ('address = "https://a.example:x"\nproxy_user = "a"', "looks like https://watchd.example.org"),
        ('address = "https://u@a.example"\nproxy_user = "a"', "looks like https://watchd.example.org"),
        ('proxy_header = "Remote_User"', "letters, digits and -"),
        ('proxy_header = "Remote-User: root"', "letters, digits and -"),
        ("port = 65536", "port"),
    ],
)
def test_settings_that_serve_nobody_are_refused(tmp_path: Path, written: str, problem: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[xnat]\nserver = "http://x"\n[folders]\nroot = "/srv/xnat"\n[web]\n{written}\n', "utf-8")
    with pytest.raises(WrongSettings, match=re.escape(problem)):
        load(file, {})


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://Watchd.Example.org/", "https://watchd.example.org"),
        ("https://a.example:443", "https://a.example"),
        ("https://a.example:8443", "https://a.example:8443"),
    ],
)
def test_the_address_is_the_origin_that_browsers_name(written: str, origin: str) -> None:
    assert WebSettings(address=written, proxy_user="www-data").address == origin


def test_check_says_whether_the_proxy_may_connect(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(path))
        os.chown(path, -1, os.getegid())
        known = WebSettings(address="https://a.example", proxy_user="daemon")
        found = _proxy(known, path)
        assert (found.state, "may not connect" in found.said) == (CheckState.WARNING, True)
        if shutil.which("setfacl"):
            subprocess.run(["setfacl", "-m", "u:daemon:rw", str(path)], check=True, timeout=20)  # noqa: S603, S607
            assert _proxy(known, path).state is CheckState.OK
    assert _proxy(known, tmp_path / "none").state is CheckState.OK  # it is not installed
    unknown = WebSettings(address="https://a.example", proxy_user="nobody-here")
    assert _proxy(unknown, path).state is CheckState.ERROR


# -- a real proxy, configured as the documentation says -------------------------------------------------------------


@contextmanager
def nginx(folder: Path, path: Path) -> Iterator[int]:
    """Run nginx by the documentation's block, with other paths, and yield its port."""
    authorities = Authorities(folder)
    certificate = authorities.sign("watchd", LEAF.replace("localhost", HOST))
    (folder / "passwords").write_text(f"{ME}:{{PLAIN}}right\n", "utf-8")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    (block,) = re.findall(r"```nginx\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    for was, becomes in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"), ("/etc/ssl/certs/watchd.pem", str(certificate)),
        ("/etc/ssl/private/watchd.key", str(folder / "watchd.key")), ("/run/xnat-watchd-web.socket", str(path)),
        ("/etc/nginx/xnat-watchd.htpasswd", str(folder / "passwords")),
    ):  # fmt: skip
        assert block.count(was) == 1
        block = block.replace(was, becomes)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; user www-data; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{block}}}\n", "utf-8"
    )  # fmt: skip
    assert NGINX is not None
    with subprocess.Popen([NGINX, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]) as process:  # noqa: S603
        try:
            wait_for(port, process)
            yield port
        finally:
            process.terminate()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody answers at a port."""
    import time

    for _ in range(200):
        assert process.poll() is None
        with closing(socket.socket()) as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nginx does not listen")


@ROOT_ONLY
@pytest.mark.skipif(NGINX is None and not NEEDED, reason="there is no nginx")
def test_nginx_as_the_documentation_has_it_serves_the_page(root: Path) -> None:
    path, folder = socket_beside(root / "ledger.sqlite"), root / "nginx"
    folder.mkdir()
    with serving(root, settings=SETTINGS.format("www-data")):
        path.chmod(0o666)
        with nginx(folder, path) as port:

            def asked(
                method: str = "GET", target: str = "/", body: str | None = None, **headers: str
            ) -> tuple[int, str]:
                context = ssl.create_default_context(cafile=str(folder / "watchd.pem"))
                context.verify_flags &= ~ssl.VERIFY_X509_STRICT
                context.check_hostname = False
                with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)) as connection:
                    connection.request(method, target, body, {"Host": HOST, **headers})
                    answer = connection.getresponse()
                    return answer.status, answer.read().decode()

            login = {"Authorization": f"Basic {base64.b64encode(f'{ME}:right'.encode()).decode()}"}
            assert asked()[0] == 401
            assert asked(**{"Remote-User": ME})[0] == 401
            code, page = asked(**login, **{"Remote-User": "nobody-here", "Remote_User": "nobody-here"})
            assert (code, f'<span class="who">{ME}' in page) == (200, True)
            form = {**login, "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
            seen = re.search(r'name="seen" value="(\d+)"', page)
            assert seen is not None
            for origin, expected in ((f"https://{HOST}", 303), ("https://evil.example", 403)):
                assert asked("POST", "/pause", f"seen={seen[1]}", **form, Origin=origin)[0] == expected
            assert f"{ME} has paused it" in asked(**login)[1]
