"""Which certificates are believed: authorities as hospitals have them, over real TLS.

`strict` sets the flags that Python 3.13 sets by itself.
"""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest

from tests.adapters.gateway.gateway_kit import failure, server_at
from tests.adapters.gateway.scripted_xnat import scripted_xnat
from xnat_watchd.adapters.gateway.connection import WatchedAdapter
from xnat_watchd.adapters.gateway.dialling import Watch
from xnat_watchd.core.errors import Unavailable

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
IDS = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
SOUND = f"basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n{IDS}"
LEAF = f"basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost\n{IDS}"
FAULTY = {
    "no key usage": f"basicConstraints=critical,CA:TRUE\n{IDS}",
    "no key identifiers": "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n",
    "constraints not critical": f"basicConstraints=CA:TRUE\nkeyUsage=critical,keyCertSign\n{IDS}",
    "version 1": "",
}


@dataclass(frozen=True)
class Authorities:
    """A folder of certificates, each `NAME.pem` with its `NAME.key`."""

    folder: Path

    def sign(self, name: str, extensions: str, by: str = "", days: int = 2) -> Path:
        """Make a certificate of a new key, signed by another one or by itself."""
        (self.folder / f"{name}.cnf").write_text(
            f"[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN={name}\n[v3]\n{extensions}"
        )
        self._openssl("req", "-new", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-config", f"{name}.cnf")
        signer = ("-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial") if by else ("-signkey", f"{name}.key")
        more = ("-extfile", f"{name}.cnf", "-extensions", "v3") if extensions else ()
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", "-days", str(days), *signer, *more)
        return self.folder / f"{name}.pem"

    def context(self, name: str, *chain: str) -> ssl.SSLContext:
        """Give what a server shows: its certificate, and those that signed it."""
        shown = self.folder / "shown.pem"
        shown.write_text("".join((self.folder / f"{one}.pem").read_text() for one in (name, *chain)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown, self.folder / f"{name}.key")
        return context

    def _openssl(self, *words: str) -> None:
        command = shutil.which("openssl")
        if command is None:
            pytest.skip("no openssl to make certificates with")
        subprocess.run([command, *words], cwd=self.folder, capture_output=True, check=True, timeout=60)  # noqa: S603 - as written


@pytest.fixture
def made(tmp_path: Path) -> Authorities:
    return Authorities(tmp_path)


@pytest.mark.parametrize("fault", FAULTY)
def test_an_authority_as_hospitals_have_them_is_believed_unless_the_site_is_strict(
    made: Authorities, fault: str
) -> None:
    root = made.sign("root", FAULTY[fault])
    made.sign("server", LEAF.removesuffix("" if "keyid" in FAULTY[fault] else IDS), by="root")
    with scripted_xnat(made.context("server")) as xnat:
        server = server_at(xnat.url, ca_file=root)
        assert server.gateway().whoami() == "tech"
        server.close()
        if fault != "no key identifiers":  # OpenSSL 3.0 passes it all the same
            strict = server_at(xnat.url, ca_file=root, strict_certificates=True)
            failure(Unavailable, strict.gateway().probe)


@pytest.mark.parametrize("named", ["between", "server"])
def test_a_file_that_names_no_root_is_enough_unless_the_site_is_strict(made: Authorities, named: str) -> None:
    made.sign("root", SOUND)
    made.sign("between", SOUND, by="root")
    made.sign("server", LEAF, by="between")
    with scripted_xnat(made.context("server", "between")) as xnat:
        server = server_at(xnat.url, ca_file=made.folder / f"{named}.pem")
        assert server.gateway().whoami() == "tech"
        server.close()
        strict = server_at(xnat.url, ca_file=made.folder / f"{named}.pem", strict_certificates=True)
        failure(Unavailable, strict.gateway().probe)


def test_a_sound_authority_is_believed_by_a_strict_site_too(made: Authorities) -> None:
    root = made.sign("root", SOUND)
    made.sign("server", LEAF, by="root")
    with scripted_xnat(made.context("server")) as xnat:
        server = server_at(xnat.url, ca_file=root, strict_certificates=True)
        assert server.gateway().whoami() == "tech"
        server.close()


def test_a_certificate_that_is_over_is_refused_in_openssls_own_words(made: Authorities) -> None:
    root = made.sign("root", SOUND)
    made.sign("server", LEAF, by="root", days=0)
    with scripted_xnat(made.context("server")) as xnat:
        error = failure(Unavailable, server_at(xnat.url, ca_file=root).gateway().probe)
        assert "certificate has expired" in str(error)
        assert xnat.asked == []


def test_a_stranger_is_refused_in_openssls_own_words(made: Authorities) -> None:
    made.sign("root", SOUND)
    other = made.sign("other", SOUND)
    made.sign("server", LEAF, by="root")
    with scripted_xnat(made.context("server")) as xnat:
        error = failure(Unavailable, server_at(xnat.url, ca_file=other).gateway().probe)
        assert "unable to get local issuer certificate" in str(error)
        assert xnat.asked == []


@pytest.mark.parametrize("strict", [False, True])
def test_the_flags_are_ours_whatever_python_sets(monkeypatch: pytest.MonkeyPatch, *, strict: bool) -> None:
    def of_3_13() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr("xnat_watchd.adapters.gateway.connection.create_urllib3_context", of_3_13)
    flags = WatchedAdapter(Watch(Event()), strict=strict)._context.verify_flags
    assert bool(flags & ssl.VERIFY_X509_STRICT) == strict
    assert bool(flags & ssl.VERIFY_X509_PARTIAL_CHAIN) != strict
