"""Whose word about a server's certificate counts: the site's own authority, else what this machine trusts."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from xnat_watchd.core.errors import Unavailable

CORRECT = "Correct `xnat.ca_file` in the settings, or let the service's user read the file."


def trusted_certificates(ca_file: Path | None) -> str | bool:
    """Return the file or folder of certificates to trust, as requests' `verify`.

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


def set_certificate_checks(context: ssl.SSLContext, *, strict: bool) -> None:
    """Judge certificates alike on every Python: chain, dates and names always, the letter of RFC 5280 when `strict`.

    Python 3.13 refuses authorities without a key usage or key identifiers, those of version 1, and those whose basic
    constraints are not critical; hospitals have them, and curl, git and pip accept them. What a file names is trusted
    though it is no root: an authority in between, or the server's own certificate (the default of 3.13 and of curl).
    """
    flags = context.verify_flags & ~(ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)
    context.verify_flags = flags | (ssl.VERIFY_X509_STRICT if strict else ssl.VERIFY_X509_PARTIAL_CHAIN)


def openssl_message(error: BaseException) -> str:
    """Return OpenSSL's own sentence about a certificate that it refuses, which holds no address; else nothing."""
    seen: BaseException | None = error
    for _ in range(8):
        if isinstance(seen, ssl.SSLCertVerificationError):
            return str(seen.verify_message)
        inner = getattr(seen, "reason", None) or next(iter(getattr(seen, "args", ())), None)
        seen = inner if isinstance(inner, BaseException) else getattr(seen, "__context__", None)
    return ""


def _holds_any(folder: str | None) -> bool:
    return folder is not None and any(Path(folder).iterdir())
