"""Where the large data sets lie that are not part of the repository, if they do."""

from __future__ import annotations

from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[1]


def shared(part: str) -> Path:
    """Return the folder of one set; beside the checkout, or beside the folder of a worktree."""
    places = [parent / "shared" / "data" / part for parent in _REPOSITORY.parents[:2]]
    return next((place for place in places if place.is_dir()), places[0])
