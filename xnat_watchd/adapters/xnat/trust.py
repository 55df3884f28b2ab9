"""Which certificate authorities are trusted: those of the site's own file, else those of this machine."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from xnat_watchd.core.errors import Unavailable

CORRECT = "Correct `xnat.ca_file` in the settings, or let the service's user read the file."


def trusted_certificates(ca_file: Path | None) -> str | bool:
    """Return the file or folder of certificates to trust, as requests' `verify`.

    By default requests trusts a list of its own, and not the authority that the site's administrators have added to
    every machine. That list is only used on machines that have none.

    Raise `Unavailable` if the site's own file cannot be read: without trust there is no connection.
    """
    if ca_file is not None:
        if not os.access(ca_file, os.R_OK):
            raise Unavailable("the file `xnat.ca_file` cannot be read", advice=CORRECT)
        return str(ca_file)
    system = ssl.get_default_verify_paths()  # OpenSSL's defaults, or SSL_CERT_FILE and SSL_CERT_DIR
    return system.cafile or (system.capath if _holds_any(system.capath) else None) or True


def set_certificate_checks(context: ssl.SSLContext, *, strict: bool) -> None:
    """Set the same checks on every Python: chain, dates and names always, all of RFC 5280 only if `strict`.

    Python 3.13 refuses authorities without a key usage or key identifiers, those of version 1, and those whose basic
    constraints are not critical. Hospitals have such authorities, and curl, git and pip accept them. A certificate in
    the file is trusted even if it is no root: it may be an intermediate authority or the server's own certificate (the
    default of 3.13 and of curl).
    """
    flags = context.verify_flags & ~(ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)
    context.verify_flags = flags | (ssl.VERIFY_X509_STRICT if strict else ssl.VERIFY_X509_PARTIAL_CHAIN)


def openssl_message(error: BaseException) -> str:
    """Return OpenSSL's message about a refused certificate, which contains no address, or an empty string."""
    seen: BaseException | None = error
    for _ in range(8):
        if isinstance(seen, ssl.SSLCertVerificationError):
            return str(seen.verify_message)
        inner = getattr(seen, "reason", None) or next(iter(getattr(seen, "args", ())), None)
        seen = inner if isinstance(inner, BaseException) else getattr(seen, "__context__", None)
    return ""


def _holds_any(folder: str | None) -> bool:
    return folder is not None and any(Path(folder).iterdir())
