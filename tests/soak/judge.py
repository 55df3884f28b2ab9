"""Whether all went well: asked of XNAT's store and of the folders, never of our own ledger."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.soak.traffic import Drop, Truth
from xnat_watchd.adapters.files.disk import MARK
from xnat_watchd.adapters.files.lock import LOCK
from xnat_watchd.adapters.files.root_id import ROOT_ID

Stored = Mapping[str, Any]  #: one instance as the practice XNAT's control address tells of it

CLEAN = re.compile(r"[0-9]+\.[0-9]+\.zip")  #: what is sent of one study, made of the ZIP that came: never the only copy


def complaints(truth: Truth, drops: Iterable[Drop], stored: Iterable[Stored], *roots: Path) -> list[str]:
    """Return everything that is wrong, in words."""
    held = list(stored)
    return [*_lost_or_doubled(truth, held), *_mixed(truth, held), *_misplaced(list(drops), roots)]


def _lost_or_doubled(truth: Truth, held: list[Stored]) -> Iterable[str]:
    where: dict[str, list[str]] = defaultdict(list)
    for one in held:
        where[one["sop_uid"]].append(f"{one['where']} {one['session']}")
        known = truth.instances.get(one["sop_uid"])
        if known is None:
            yield f"nobody's: {one['sop_uid']} in {one['where']} {one['session']}"
        elif known != (one["study_uid"], one["sha256"]):
            yield f"not what was sent: {one['sop_uid']}"
    for sop_uid in truth.instances:
        places = where[sop_uid]
        if len(places) != 1 or not places[0].startswith("archive "):
            yield f"{'lost' if not places else 'not once in the archive'}: {sop_uid} {places}"


def _mixed(truth: Truth, held: list[Stored]) -> Iterable[str]:
    studies, sessions = defaultdict(set), defaultdict(set)
    for one in held:
        studies[one["study_uid"]].add((one["project"], one["session"]))
        sessions[one["project"], one["session"]].add(one["study_uid"])
        if one["where"] == "archive":
            yield from _misnamed(truth, one)
    for uid, found in studies.items():
        if len(found) > 1:
            yield f"one study in several sessions: {uid} {sorted(found)}"
    for session, uids in sessions.items():
        if len(uids) > 1:
            yield f"several studies in one session: {session} {sorted(uids)}"


def _misnamed(truth: Truth, one: Stored) -> Iterable[str]:
    uid = one["study_uid"]
    right = {"project": "P1", "subject": truth.subjects.get(uid), "session": truth.labels.get(uid)}
    for what, name in right.items():
        if one[what] != name:
            yield f"the wrong {what}: {one['sop_uid']} is in {one[what]} and belongs to {name}"


def _misplaced(drops: list[Drop], roots: Iterable[Path]) -> Iterable[str]:
    lies = Counter(one for root in roots for one in _lying(root))
    ought = Counter((drop.rests, hashlib.sha256(drop.data).hexdigest()) for drop in drops)
    names = {hashlib.sha256(drop.data).hexdigest(): drop.name for drop in drops}
    for (folder, digest), number in (ought - lies).items():
        yield f"{number} of {names[digest]} should lie in {folder}"
    for (folder, digest), number in (lies - ought).items():
        yield f"{number} of {names.get(digest, 'a file of nobody')} should not lie in {folder}"
    for path in (path for root in roots for path in (root / "failed").glob("*.zip")):
        if not path.with_name(f"{path.name}.txt").exists():
            yield f"nobody says why: failed/{path.name}"


def _lying(root: Path) -> Iterable[tuple[str, str]]:
    for folder in ("drop", "work", "done", "failed"):
        for path in (root / folder).rglob("*"):
            if folder == "work" and CLEAN.fullmatch(path.name):
                continue
            if path.is_file() and path.suffix != ".txt" and path.name not in (LOCK, MARK, ROOT_ID):
                yield folder, hashlib.sha256(path.read_bytes()).hexdigest()
