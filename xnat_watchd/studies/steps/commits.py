"""The commits to the ledger that carry one new study into XNAT, in their order, each with what it promises.

A commit waits until the disk is sure to hold it. What is about to be done is committed before it is done, and what was
found out before anything depends on it; what no act separates is written together. A test compares this table with what
is written. Only a study that takes longer, meets trouble or comes with others in one ZIP adds to it. Where a worker
goes on with the next study at once, taking that belongs to the last commit of the one before.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StudyCommit:
    """A commit. In `tables` is what it writes to; `promises` tells what a kill after it cannot undo."""

    step: str
    tables: tuple[str, ...]
    promises: str


COMMITS = (
    StudyCommit(
        "intake", ("deliveries", "events"),
        "A file is about to be moved into the work folder: the next start finishes that, or finds nothing to do.",
    ),
    StudyCommit(
        "intake", ("deliveries", "events", "instances", "series", "studies"),
        "What was judged, by its digest and its stamp. From now on the study is never forgotten.",
    ),
    StudyCommit(
        "upload", ("events", "studies"),
        "Somebody works on it: a start that finds it so asks XNAT before anything is repeated.",
    ),
    StudyCommit(
        "upload", ("instances", "places", "studies"),
        "What is about to be sent, and where: nothing of it can lie in XNAT at a place that is not known.",
    ),
    StudyCommit(
        "upload", ("events", "studies"),
        "Every image is proved to lie at the place; and the next step is about to act.",
    ),
    StudyCommit(
        "archive", ("events", "places", "studies"),
        "The labels under which it is about to be archived, whose subject that is, and what the session held before.",
    ),
    StudyCommit(
        "archive", ("events", "people", "studies"),
        "The session is proved, and the subject is its person's for good; and the next step is about to act.",
    ),
    StudyCommit(
        "demographics", ("deliveries", "events", "studies"),
        "What was asked for is written. Where the ZIP will be kept: the next start finishes its move.",
    ),
    StudyCommit(
        "retirement", ("deliveries",),
        "The stamp of the kept ZIP, which its move has changed. Without it the ZIP is read once more.",
    ),
)  # fmt: skip
