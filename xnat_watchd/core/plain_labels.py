"""What a session is called on a server that spoils the letters of its label.

XNAT 1.6 escapes every letter beyond ASCII in a label that it is sent: `やまだ` is stored as `__12420___12414___12384_`.
A subject keeps its name there, since XNAT takes it from the header; a session's label is sent, and so the site says
what becomes of it. Two names may read alike in Latin letters (Müller and Muller, two Chinese names): some characters of
a digest of the label as it should be keep them apart.
"""

from __future__ import annotations

import re
from base64 import b32encode
from dataclasses import replace
from hashlib import sha256

from anyascii import anyascii

from xnat_watchd.core.errors import Undecided
from xnat_watchd.core.labels import LONGEST_LABEL, LabelFacts, clean, session_label
from xnat_watchd.core.project_rules import LabelRules, Letters

DIGEST_CHARACTERS = 6  #: characters of base 32 that tell apart what reads alike: one in a thousand million
ADVICE = "Give the session a label of plain letters: `xnat-watchd retry ITEM --label LABEL`."


def romanised(label: str) -> str:
    """Return a label in Latin letters, with a mark that only this very label has."""
    mark = b32encode(sha256(label.encode()).digest())[:DIGEST_CHARACTERS].decode("ascii").lower()
    return f"{re.sub('_{2,}', '_', clean(anyascii(label)))}-{mark}"


def plain(label: str, stored: str, rules: LabelRules, facts: LabelFacts | None) -> str:
    """Return the label that is sent instead of one that the server would keep as `stored`.

    `facts`: of the study; none where a person has chosen the label. Raises `Undecided` where a person must choose one.
    """
    if rules.letters is Letters.AS_STORED:
        return stored
    if rules.letters is Letters.ROMANISED:
        found = romanised(label)
        if len(found) <= LONGEST_LABEL:
            return found
    elif rules.letters is Letters.PATIENT_ID and facts is not None:
        found = session_label(rules.session, replace(facts, subject=clean(facts.person.id.strip())))
        if found.isascii():
            return found
    raise Undecided("this XNAT would spoil the letters of the session label", advice=ADVICE)
