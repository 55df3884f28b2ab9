"""Faulty answers of the practice XNAT, so many in a hundred, from a seed."""

from __future__ import annotations

from random import Random
from typing import Any

ANY, IMPORT, ARCHIVE = ".", "/data/services/import", "/data/services/archive"
BUT_LOGIN = r"^/data/(?!JSESSION)"  #: what a refused login costs is a matter of hours, and shown elsewhere

Fault = tuple[str, str, str, dict[str, Any]]  #: method, path, fault, how

EVERYWHERE: tuple[Fault, ...] = (
    ("*", ANY, "refuse", {"status": 503}),
    ("*", ANY, "refuse", {"status": 429}),
    ("*", BUT_LOGIN, "refuse", {"status": 500}),
    ("*", BUT_LOGIN, "refuse", {"status": 401}),
    ("*", BUT_LOGIN, "refuse", {"status": 403}),
    ("*", BUT_LOGIN, "refuse", {"status": 400}),
    ("*", ANY, "fail", {"status": 504}),
    ("*", BUT_LOGIN, "fail", {"status": 500}),
    ("*", ANY, "page", {}),
    ("*", ANY, "reset", {}),
    ("*", ANY, "lose_answer", {}),
    ("*", ANY, "cut_answer", {"after": 5}),
    ("*", ANY, "delay", {"seconds": 0.3}),
)
WHERE_WE_ACT: tuple[Fault, ...] = (
    ("POST", IMPORT, "lose_answer", {}),
    ("POST", IMPORT, "fail", {"status": 502}),
    ("POST", IMPORT, "reset", {"after": 300}),
    ("POST", IMPORT, "answer_early", {"status": 401, "after": 100}),
    ("POST", IMPORT, "read_slowly", {"seconds": 0.05}),
    ("POST", IMPORT, "late_effect", {"seconds": 2.0}),  # two minutes of the service's time
    ("POST", IMPORT, "fill_disk", {"after": 600}),
    ("POST", IMPORT, "lose_row", {}),
    ("POST", IMPORT, "lose_files", {}),
    ("POST", IMPORT, "refuse", {"status": 409}),
    ("POST", ARCHIVE, "lose_answer", {}),
    ("POST", ARCHIVE, "late_effect", {"seconds": 2.0}),
    ("POST", ARCHIVE, "fail", {"status": 500}),
    ("POST", ARCHIVE, "refuse", {"status": 409, "words": "may already be in progress"}),
    ("POST", ARCHIVE, "refuse", {"status": 423}),
    ("PUT", "/data/", "lose_answer", {}),
    ("DELETE", "/data/prearchive", "lose_answer", {}),
    ("GET", "/data/prearchive", "stick", {"status": "RECEIVING"}),
    ("GET", "/data/prearchive", "stick", {"status": "BUILDING"}),
    ("GET", "/data/prearchive", "stick", {"status": "_ARCHIVING"}),
    ("GET", "/data/services/dicomdump", "cross_talk", {}),
)


class Script:
    """Plans for the sandbox: `share` of all answers go wrong, some more where we act."""

    def __init__(self, seed: int, share: float) -> None:
        self._chance, self._share = Random(seed), share

    def next(self) -> dict[str, Any]:
        """Return the next plan, as the control address takes it."""
        where_we_act = self._chance.random() < 0.4
        method, path, fault, how = self._chance.choice(WHERE_WE_ACT if where_we_act else EVERYWHERE)
        go_well = int(self._chance.expovariate(self._share)) if not where_we_act else self._chance.randint(0, 2)
        return {"method": method, "path": path, "fault": fault, "skip": go_well, "with": how}
