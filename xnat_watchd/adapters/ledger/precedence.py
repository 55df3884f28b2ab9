"""Precedence: which delivery goes first if the same study came in more than one ZIP."""

from __future__ import annotations

from xnat_watchd.adapters.ledger.standings import GOES_ON
from xnat_watchd.adapters.ledger.stations import is_served


def _is_sent(study: str) -> str:
    return (
        f"({study}.progress <> 'received' OR EXISTS (SELECT 1 FROM places p WHERE p.study = {study}.key"
        " AND p.ended IS NULL AND p.last_sent IS NOT NULL))"
    )


GOES_FIRST = f"""
o.project = s.project AND o.study_uid = s.study_uid AND o.key <> s.key AND s.skip_reason IS NULL
AND o.standing {GOES_ON} AND ({_is_sent("s")}, o.key) < ({_is_sent("o")}, s.key)
AND NOT (o.root <> s.root AND NOT {_is_sent("o")} AND NOT {is_served("o.root")})
AND NOT (o.standing = 'held' AND NOT {_is_sent("o")} AND EXISTS (
         SELECT 1 FROM findings f WHERE f.study = o.key AND f.settled IS NULL AND f.kind <> 'listed and absent'))
"""
"""Whether study `o` must end before the same study `s` of another ZIP is worked on.

The study of which XNAT has a part goes first, else the one that came first. A study that a finding holds, and of which
nothing was sent, stops no other ZIP: that one may be the complete export that replaces it. Nor does one of another root
of which nothing was sent, while no station is there that could send it.
"""
