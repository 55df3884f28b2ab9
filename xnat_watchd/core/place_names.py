"""The names of the places in the prearchive that this program chooses. XNAT's page shows them as sessions.

Such a name holds the item (`watchd-12-1-` is of study 12.1) and a random part, and nothing of a patient.
"""

from __future__ import annotations

import re

OURS = "watchd-"  #: prefix of the folder of every place that we choose
_CHOSEN = re.compile(rf"{OURS}[0-9]+-[0-9]+-[a-z0-9]{{10}}")


def is_place_name(text: str) -> bool:
    """Return whether a text is the whole name of a place that this program has chosen, here or elsewhere."""
    return _CHOSEN.fullmatch(text) is not None
