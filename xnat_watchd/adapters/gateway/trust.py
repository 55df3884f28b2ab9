"""Whose word about a server's certificate counts: the site's own authority, else what this machine trusts."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from xnat_watchd.core.errors import Unavailable

CORRECT = "Correct `xnat.ca_file` in the settings, or let the service's user read the file."


def trusted(ca_file: Path | None) -> str | bool:
    """Give the file or folder of certificates to trust, as requests' `verify`.

    Left to itself, requests believes a list that it brought along, and not the authority that the site's
    administrators have added to every machine. That list is for machines that have none of their own.

    Raises `Unavailable` where the site's own file cannot be read: no trust is no connection.
    """
    if ca_file is not None:
        if not os.access(ca_file, os.R_OK):
            raise Unavailable("the file `xnat.ca_file` cannot be read", advice=CORRECT)
        return str(ca_file)
    system = ssl.get_default_verify_paths()  # as OpenSSL was built, or as SSL_CERT_FILE and SSL_CERT_DIR say
    return system.cafile or (system.capath if _holds_any(system.capath) else None) or True


def _holds_any(folder: str | None) -> bool:
    return folder is not None and any(Path(folder).iterdir())
