"""The session label for a server that spoils the letters of labels.

XNAT 1.6 escapes every letter beyond ASCII in a label that it is sent: `やまだ` is stored as `__12420___12414___12384_`.
A subject keeps its name there, since XNAT takes it from the header. A session's label is sent, so the site's settings
decide what is sent instead. Two names may be alike in Latin letters (Müller and Muller, two Chinese names): some
characters of a digest of the original label keep them apart.
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

DIGEST_CHARACTERS = 6  #: in base 32: two labels that read alike get the same ones once in a thousand million cases
ADVICE = "Give the session a label of plain letters: `xnat-watchd retry ITEM --label LABEL`."


def romanised(label: str) -> str:
    """Return a label in Latin letters, with characters of its digest that tell it from others that read alike."""
    mark = b32encode(sha256(label.encode()).digest())[:DIGEST_CHARACTERS].decode("ascii").lower()
    return f"{re.sub('_{2,}', '_', clean(anyascii(label)))}-{mark}"


def plain(label: str, stored: str, rules: LabelRules, facts: LabelFacts | None) -> str:
    """Return the label to send instead of one that the server would store as `stored`.

    `facts`: of the study; None if a person has chosen the label. Raises `Undecided` if a person must choose one.
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
