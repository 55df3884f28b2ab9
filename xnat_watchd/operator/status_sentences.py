"""What the status says in words, on every screen: whether all is well, how much is left, and how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from xnat_watchd.core.loose_files import LEFT_ALONE
from xnat_watchd.core.quantities import as_size, as_span
from xnat_watchd.operator.status import Snapshot

Row = Mapping[str, Any]

ZIPS = {
    "arriving": "arriving", "taken": "under way", "held": "held", "rejected": "failed", "duplicate": "duplicate",
    "withdrawn": "withdrawn", "settled": "settled", "finished": "finished",
}  # fmt: skip
STUDIES = {"held": "held", "waiting": "waiting", "busy": "busy", "ready": "ready", "done": "complete"}


def verdict_sentence(snapshot: Snapshot) -> str:
    """Return in one sentence whether all is well, and when XNAT was last heard."""
    count = len(snapshot["attention"])
    heard = _heard(snapshot)
    if count:
        return f"{count} thing{' needs' if count == 1 else 's need'} attention.{heard}"
    if not snapshot["daemon"]["running"]:
        return f"Nothing runs now; nothing else needs attention.{heard}"
    if not snapshot["gate"]["open"]:
        return f"Waiting for XNAT; nothing else needs attention.{heard}"
    if snapshot.get("paused"):
        return f"Paused; nothing else needs attention.{heard}"
    return f"Nothing needs attention.{heard}"


def waiting_sentence(snapshot: Snapshot) -> str:
    """Return why XNAT is waited for, since when, and when it is asked next; empty if it is not waited for."""
    gate, at = snapshot["gate"], snapshot["at"]
    if gate["open"]:
        return ""
    since = f" since {_clock(gate['since'], at)}" if gate.get("since") else ""
    is_due = datetime.fromisoformat(gate["until"]) <= datetime.fromisoformat(at)
    again = "now" if is_due else f"at {_clock(gate['until'], at)}"
    return f"Waiting for XNAT{since}: {gate['why']}. It is asked again {again}."


def _clock(moment: str, at: str) -> str:
    """Return a time as the local clock shows it, with the day if it is another one than that of `at`."""
    then, now = (datetime.fromisoformat(one).astimezone() for one in (moment, at))
    return f"{then:%H:%M:%S}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M:%S}"


def _heard(snapshot: Snapshot) -> str:
    heard = snapshot["daemon"].get("heard")
    if not heard:
        return ""
    seconds = (datetime.fromisoformat(snapshot["at"]) - datetime.fromisoformat(heard)).total_seconds()
    return f" XNAT answered {as_span(max(seconds, 0))} ago."


def totals(snapshot: Snapshot) -> dict[str, str]:
    """Return how much is left with how long it will take, and what was done today; empty where there is nothing."""
    left, today = snapshot.get("left", {}), snapshot.get("today", {})
    return {
        "to do": f"{_zips(left)}{_time_left(snapshot)}" if left.get("bytes") else "",
        "done today": _zips(today) if today.get("zips") else "",
    }


def counts(snapshot: Snapshot) -> dict[str, str]:
    """Return how many ZIPs and studies there are of each kind, and what is not sent; empty where there is nothing."""
    standings: dict[str, int] = {}
    for found in snapshot["studies"].values():
        for standing, n in found.items():
            standings[standing] = standings.get(standing, 0) + n
    bins = sum(one["why"] == LEFT_ALONE[0] for one in snapshot["ignored"])
    ignored, settling = len(snapshot["ignored"]) - bins, snapshot["daemon"].get("settling", 0)
    return {
        "ZIPs": _counted(_deliveries(snapshot), ZIPS) + (f"; {settling} still arriving" if settling else ""),
        "studies": _counted(standings, STUDIES),
        "left behind": _left_behind(snapshot.get("left_behind", ())),
        "left alone": f"{ignored} file{'s' if ignored > 1 else ''} in the drop folder, not taken" if ignored else "",
        "not ours": f"{bins} recycle bin{'s' if bins > 1 else ''}, snapshots or thumbnails" if bins else "",
    }


def table_state(table: dict[str, Any]) -> str:
    """Return how the rows of a share table are, or why it cannot be read."""
    rows = ", ".join(f"{n} {state}" for state, n in table["rows"].items())
    return f"{table['why']}; before: {rows}" if table["why"] and rows else table["why"] or rows or "0 rows"


def _zips(total: Mapping[str, int]) -> str:
    return f"{total['zips']} ZIP{'' if total['zips'] == 1 else 's'}, {as_size(total['bytes'])}"


def _time_left(snapshot: Snapshot) -> str:
    rate = snapshot["daemon"].get("rate", 0)
    if rate <= 0 or snapshot.get("paused"):
        return ""
    sent = sum(one["sent"] for one in snapshot["daemon"]["uploads"])
    seconds = max(snapshot["left"]["bytes"] - sent, 0) / rate
    return f"; at {as_size(rate)}/s about {as_span(seconds)}"


def _deliveries(snapshot: Snapshot) -> dict[str, int]:
    """Return the deliveries by state, with those apart that wait for a person, and those that a person has settled."""
    counts, held = snapshot["deliveries"], snapshot.get("left", {}).get("held", 0)
    settled = snapshot.get("settled", 0)
    parted = {**counts, "held": held, "taken": max(counts.get("taken", 0) - held, 0)}
    return {**parted, "settled": settled, "rejected": counts.get("rejected", 0) - settled}


def _counted(counts: Mapping[str, int], words: Mapping[str, str]) -> str:
    """Return counts in the order of the words: what needs attention comes first."""
    known = [f"{counts[name]} {word}" for name, word in words.items() if counts.get(name)]
    return ", ".join(known) or "none yet"


def _left_behind(studies: Sequence[Row]) -> str:
    images = sum(one["of"] - one["images"] for one in studies)
    plural, of = "s" if images > 1 else "", f"stud{'ies' if len(studies) > 1 else 'y'}"
    return f"{images} image{plural} of {len(studies)} {of}, as a person has accepted" if studies else ""
