"""Which certificates are believed: authorities as hospitals have them, over real TLS.

`strict` sets the flags that Python 3.13 sets by itself.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from threading import Event

import pytest

from tests.adapters.gateway.gateway_kit import failure, server_at
from tests.adapters.gateway.scripted_xnat import scripted_xnat
from tests.authorities import FAULTY, IDS, LEAF, SOUND, Authorities
from xnat_watchd.adapters.xnat.connection import StoppableAdapter
from xnat_watchd.adapters.xnat.sockets import ConnectionState
from xnat_watchd.core.errors import Unavailable


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

    monkeypatch.setattr("xnat_watchd.adapters.xnat.connection.create_urllib3_context", of_3_13)
    flags = StoppableAdapter(ConnectionState(Event()), strict=strict)._context.verify_flags
    assert bool(flags & ssl.VERIFY_X509_STRICT) == strict
    assert bool(flags & ssl.VERIFY_X509_PARTIAL_CHAIN) != strict
