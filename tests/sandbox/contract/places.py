"""The words in braces that requests and shapes of the table may hold."""

from __future__ import annotations

from tests.sandbox.kit import OTHER_STUDY, STUDY

STAMP = "20240131_101112001"
ROW = f"/prearchive/projects/P1/{STAMP}/E1"
OTHER_ROW = f"/prearchive/projects/P1/{STAMP}/E2"
MOVED = f"/prearchive/projects/P3/{STAMP}/E1"
WORDS = {
    "row": ROW, "other": OTHER_ROW, "moved": MOVED, "study": STUDY, "otherstudy": OTHER_STUDY,
    "listing": "/data/prearchive/projects/P1?format=json", "gone": "/prearchive/projects/P1/20010101_000000000/NOPE",
    "nowhere": "/prearchive/projects/NOPE/20010101_000000000/X",
    "unassigned": "/prearchive/projects/Unassigned/20240131_101112001/E1",
    "subject": "/data/projects/P1/subjects/S1", "session": "/data/projects/P1/subjects/S1/experiments/E1",
}  # fmt: skip


def filled(text: str, **more: str) -> str:
    """Put in what the words in braces stand for."""
    for name, value in {**WORDS, **more}.items():
        text = text.replace(f"{{{name}}}", value)
    return text
