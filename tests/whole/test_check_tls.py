"""`check` before a server over TLS whose certificate is refused: in OpenSSL's own sentence, with the next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.authorities import FAULTY, IDS, LEAF, SOUND, Authorities
from tests.whole.administered import Administered
from tests.whole.conftest import PASSWORD
from tests.whole.test_check import Found, check
from xnat_watchd.sandbox import Sandbox

REFUSED = {  # what the server shows, and which certificate `ca_file` names; in which words OpenSSL refuses it
    "signed by a stranger": (LEAF, "root", "other", 2, "unable to get local issuer certificate"),
    "signed by itself": (LEAF, "", "other", 2, "self-signed certificate"),
    "over": (LEAF, "root", "root", 0, "certificate has expired"),
    "of another host": (
        LEAF.replace("localhost", "elsewhere"), "root", "root", 2,
        "Hostname mismatch, certificate is not valid for 'localhost'.",
    ),
}  # fmt: skip


@contextmanager
def before(folder: Path, shown: tuple[str, str, int], named: str, root: str = SOUND) -> Iterator[Administered]:
    """Yield a workstation whose server uses TLS. `shown`: the certificate's extensions, issuer and duration."""
    made = Authorities(folder)
    extensions, signer, days = shown
    made.sign("root", root)
    made.sign("other", SOUND)
    made.sign("server", extensions, by=signer, days=days)
    xnat = Sandbox(folder / "xnat", "1.8", users={"tech": PASSWORD}, projects=["P1"])
    xnat.tls = made.context("server")
    with xnat:
        address = xnat.url.replace("127.0.0.1", "localhost")
        one = Administered(folder / "watchd", folder / "config.toml", address)
        one.given["XNAT_WATCHD_XNAT__CA_FILE"] = str(folder / f"{named}.pem")
        one.root.mkdir()
        one.write()
        yield one
        assert one.secrets_told() == []


@pytest.mark.parametrize("what", REFUSED)
def test_a_certificate_that_is_refused_is_said_in_openssls_own_sentence(tmp_path: Path, what: str) -> None:
    extensions, signer, named, days, words = REFUSED[what]
    with before(tmp_path, (extensions, signer, days), named) as program:
        found = check(program, expect=69)
        lines = program.type("check", expect=69)
    state, said, advice = found["server"]
    assert (state, "login" in found) == ("error", False)
    assert "no trusted connection to XNAT: OpenSSL says" in said
    assert words in said
    assert words in lines
    assert "xnat.ca_file" in advice


@pytest.mark.parametrize("fault", ["no key usage", "version 1"])
def test_an_authority_as_hospitals_have_them_passes_and_a_strict_site_is_told_why_not(
    tmp_path: Path, fault: str
) -> None:
    leaf = LEAF if "keyid" in FAULTY[fault] else LEAF.removesuffix(IDS)
    with before(tmp_path, (leaf, "root", 2), "root", FAULTY[fault]) as program:
        assert check(program)["server"][0] == "ok"
        program.given["XNAT_WATCHD_XNAT__STRICT_CERTIFICATES"] = "true"
        found: Found = check(program, expect=69)
        assert "OpenSSL says" in found["server"][1]
