"""Certificates for the scenes that speak TLS."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.scene import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return two self-signed certificates for localhost with their keys; none where there is no openssl."""
    openssl = shutil.which("openssl")
    folder = tmp_path_factory.mktemp("tls")
    return [_certificate(openssl, folder / name) for name in ("first", "second")] if openssl else []


def _certificate(openssl: str, stem: Path) -> tuple[Path, Path]:
    cert, key = stem.with_suffix(".pem"), stem.with_suffix(".key")
    command = [
        openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert),
    ]  # fmt: skip
    subprocess.run(command, capture_output=True, check=True, timeout=60)  # noqa: S603 - as written
    return cert, key
