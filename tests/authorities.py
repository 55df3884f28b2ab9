"""Certificate authorities of our own, sound ones and such as hospitals have them, made with openssl."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

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
        """Return the TLS context of a server that sends its certificate and those that signed it."""
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
