"""What `show --json` prints of a delivery: keys that programs may rely on, and none of the ledger's bookkeeping."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_OF_DELIVERY = (
    "id", "kind", "name", "project", "state", "sha256", "size", "arrived", "ended", "resting", "why", "detail",
    "advice", "deleted", "settled", "same_as", "clutter", "station",
)  # fmt: skip
_OF_STUDY = (
    "number", "project", "study_uid", "server_uid", "patient_name", "patient_id", "birth_date", "age", "sex", "date",
    "time", "modalities", "progress", "standing", "generation", "unwanted", "attempts", "uploads", "since", "due",
    "why", "detail", "advice", "subject", "subject_id", "label", "session", "received", "changed", "lost", "images",
    "instances", "left_behind", "findings", "series",
)  # fmt: skip
_OF_PLACE = (
    "project", "timestamp", "folder", "chosen", "spoke", "ended", "missing", "strays", "locked", "settled",
)  # fmt: skip
_LISTS = frozenset({"modalities", "missing", "strays"})  #: stand in the ledger as the text of a JSON list


def story_for_programs(story: Mapping[str, Any]) -> dict[str, Any]:
    """Return a delivery's story with the keys of its JSON Schema, `interfaces/cli/schemas/show.json`."""
    studies = [
        {**_chosen(one, _OF_STUDY), "places": [_chosen(place, _OF_PLACE) for place in one["places"]]}
        for one in story["studies"]
    ]
    return {**_chosen(story, _OF_DELIVERY), "studies": studies, "events": story["events"]}


def _chosen(row: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: json.loads(row[key] or "[]") if key in _LISTS else row[key] for key in keys}
