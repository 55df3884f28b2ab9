"""The facts about a delivery, its studies and their findings, each under its name, as people are shown them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from xnat_watchd.adapters.ledger.listing import DeliveryOutcome
from xnat_watchd.core.errors import for_item
from xnat_watchd.core.refusals import SETTLE

AsTime = Callable[[str], str]  #: writes a time for people
Facts = dict[str, str]  #: those that are not known are empty

MEMBERS = 20  #: how many members of a finding are named; `show --json` has them all


def delivery_facts(story: dict[str, Any], as_time: AsTime) -> Facts:
    """Return the facts about a delivery."""
    came = {"prearchive": "in XNAT's prearchive", "archive": "a subject in XNAT's archive"}
    return _known({
        "project": story["project"],
        "found": came.get(story["kind"]),
        "station": story["station"],
        "state": delivery_state(story),
        "same as": f"delivery {story['same_as']}" if story["same_as"] else None,
        "why": story["why"],
        "details": story["detail"],
        "what to do": _next_step(story),
        "clutter": counted(story["clutter"]),
        "lies in": None if story["deleted"] else story["resting"],
        "deleted": as_time(story["deleted"]) if story["deleted"] else None,
    })  # fmt: skip


def study_heading(delivery: int, study: dict[str, Any]) -> str:
    """Return which study it is, and how far it is."""
    standing = "" if study["standing"] == "done" else f", {study['standing']}"
    return f"Study {delivery}.{study['number']}: {study['progress']}{standing}"


def study_facts(study: dict[str, Any]) -> Facts:
    """Return the facts about a study, without its findings."""
    is_done = study["standing"] == "done"
    return _known({
        "subject": study["subject"],
        "session": study["label"],
        "XNAT's ID": study["session"],
        "study UID": study["study_uid"],
        "images": _images(study),
        "series": ", ".join(map(_series, study["series"])),
        "places": "; ".join(map(_place, study["places"])),
        "why": None if is_done else study["why"],
        "details": None if is_done or study["detail"] == study["why"] else study["detail"],
        "what to do": None if is_done else study["advice"],
    })  # fmt: skip


def series_counts(study: dict[str, Any]) -> list[dict[str, Any]]:
    """Return for each series the number of images `here`, of those `there`, on XNAT, and a `remark`.

    On XNAT are those that the archive was seen to hold; before that it is not known for each series.
    """
    is_archived = study["progress"] in ("archived", "complete")
    rows = []
    for series in study["series"]:
        behind = series["left_behind"]
        there = 0 if series["left_out"] else series["instances"] - behind
        left_out = "left out by the server" + (", as a person has accepted" if series["accepted"] else "")
        remarks = [left_out if series["left_out"] else "", f"{behind} left behind in the ZIP" if behind else ""]
        rows.append({
            "number": series["number"], "modality": series["modality"], "here": series["instances"],
            "there": there if is_archived else "", "remark": "; ".join(filter(None, remarks)),
        })  # fmt: skip
    return rows


def finding_facts(finding: dict[str, Any], as_time: AsTime) -> Facts:
    """Return the facts about one finding: what was found, who has settled it, and its members."""
    reason = f": {finding['reason']}" if finding["reason"] else ""
    return _known({
        "found": finding["why"],
        "settled": finding["settled"] and f"{as_time(finding['settled'])} by {finding['by']}{reason}",
        "about": _named(finding["members"]),
    })  # fmt: skip


def delivery_state(story: dict[str, Any]) -> DeliveryOutcome:
    """Return where a delivery is, by the word that `deliveries` has for it, whose query does the same."""
    standings = {study["standing"] for study in story["studies"]}
    if story["state"] == "rejected":
        return DeliveryOutcome.FAILED
    if story["state"] in ("arriving", "duplicate", "withdrawn"):
        return DeliveryOutcome(story["state"])
    if "held" in standings:
        return DeliveryOutcome.HELD
    if standings & {"ready", "busy", "waiting"}:
        return DeliveryOutcome.UNDER_WAY
    return DeliveryOutcome.COMPLETE if "done" in standings else DeliveryOutcome.SKIPPED


def _next_step(story: dict[str, Any]) -> str | None:
    """Return what to do about a delivery; of one that was rejected, also how it leaves the list."""
    if story["state"] != "rejected":
        return story["advice"] or None
    if story["settled"]:
        return None
    return f"{story['advice']} {for_item(SETTLE, str(story['id']))}"


def counted(clutter: Mapping[str, int]) -> str:
    """Return how many members of a ZIP are clutter, by kind."""
    return ", ".join(f"{count} {kind}" for kind, count in clutter.items())


def _known(facts: Mapping[str, object]) -> Facts:
    return {name: str(fact) for name, fact in facts.items() if fact}


def _images(study: dict[str, Any]) -> str:
    """Return how many images a study has, and how many of them stay in the ZIP."""
    images, behind = study["images"], study["left_behind"]
    return f"{images - behind} of {images}; {behind} left behind in the ZIP" if behind else str(images)


def _named(members: list[str]) -> str:
    more = [f"and {len(members) - MEMBERS} more"] if len(members) > MEMBERS else []
    return ", ".join([*members[:MEMBERS], *more])


def _series(series: dict[str, Any]) -> str:
    accepted = ", as a person has accepted" if series["accepted"] else ""
    left_out = f" (left out by the server{accepted})" if series["left_out"] else ""
    return f"{series['number']} {series['modality']} {series['instances']}{left_out}"


def _place(place: dict[str, Any]) -> str:
    ended = (
        "given up, since what lies there is not proved to be ours"
        if place["mixed"]
        else "given up"
        if place["ended"]
        else ""
    )
    return f"{place['timestamp']}/{place['folder']}{f', {ended}' if ended else ''}"
