"""The requests of the route, and what each is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What a request of the route is for, as far as it decides what its failure means."""

    LOGIN = "login"
    PROOF = "the proof of a login"
    FORM_PROOF = "the proof of a login by form, after which Basic may follow"
    DIALECT = "which dialect"
    BUILD = "which build"
    WHO = "who am I"
    READ = "question"
    IMPORT = "import"
    ARCHIVE = "archive"
    WRITE = "write"


_KINDS = (
    ("(PUT /data/services/auth|GET /data/JSESSION)", Kind.LOGIN),
    ("GET /data/version", Kind.DIALECT),
    ("GET /xapi/siteConfig", Kind.BUILD),
    ("GET /data/auth", Kind.WHO),
    ("POST /data/services/import", Kind.IMPORT),
    ("POST /data/services/archive", Kind.ARCHIVE),
    ("(PUT|POST|DELETE) ", Kind.WRITE),
    ("GET ", Kind.READ),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the gateway was about to make it."""

    at: datetime
    line: str  #: method and path
    kind: Kind

    @classmethod
    def after(cls, before: Asked | None, at: datetime, line: str) -> Asked:
        """Return a request; its purpose may depend on the request before."""
        kind = next(kind for pattern, kind in _KINDS if re.match(pattern, line))
        if kind is Kind.WHO and before is not None and before.kind is Kind.LOGIN:
            kind = Kind.FORM_PROOF if before.line.startswith("PUT") else Kind.PROOF
        return cls(at, line, kind)
