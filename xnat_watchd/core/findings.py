"""Findings: what was found out about the content of a study that only a named decision of a person settles.

A finding is a fact in the ledger beside the study. Standing says whether we act now; findings say what may be sent at
all. No retry, no second copy of the ZIP and no restart settles one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from xnat_watchd.core.errors import Undecided


class FindingKind(StrEnum):
    """What was found. The values are written into the ledger and never change."""

    TWO_PEOPLE = "two people"  #: images of two people in one study
    DAMAGED = "damaged"  #: images whose bytes are not a whole instance
    TWO_CONTENTS = "two contents"  #: one SOP Instance UID with two contents, in one ZIP or in two
    UNEXPLAINED = "unexplained"  #: members that may be images and that nobody can read as one
    NO_STUDY = "no study"  #: whole instances that name no study
    FOREIGN = "foreign images"  #: XNAT's session holds images that nobody here knows of
    ABSENT = "listed and absent"  #: a DICOMDIR names images that did not come


ARCHIVE_WORD = "archive"  #: stands in the `why` of a finding about images that are packed once more

HOLDING = frozenset(FindingKind) - {FindingKind.ABSENT}  #: kinds that stop a study until a person has decided
LEFT_BEHIND = HOLDING - {FindingKind.TWO_PEOPLE, FindingKind.FOREIGN}  #: kinds about images that do not come to XNAT
ACCEPTABLE = HOLDING - {FindingKind.TWO_PEOPLE}  #: kinds that a person may accept; the others end by `skip` alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding about one study."""

    kind: FindingKind
    count: int  #: images or members that it is about
    why: str  #: one sentence without names, fit for the journal
    members: tuple[str, ...] = ()  #: some of the members by name, printable; for `show` alone
    uids: tuple[str, ...] = ()  #: SOP Instance UIDs of the images that it is about, where they can be read


def holding(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return those of these findings that stop a study."""
    return tuple(one for one in findings if one.kind in HOLDING)


def reason_of(findings: Iterable[Finding]) -> str:
    """Return in one sentence why these findings stop a study; empty where none does."""
    return "; ".join(one.why for one in holding(findings))


def must_not_hold(findings: Iterable[Finding]) -> None:
    """Raise `Undecided` where one of these findings stops the study: only a named decision lets it go on."""
    stopping = holding(findings)
    if stopping:
        raise Undecided(reason_of(stopping), advice=advice(stopping))


def advice(findings: Iterable[Finding]) -> str:
    """Return what a person can do about these findings: one instruction a sentence, ITEM for the item."""
    findings = holding(findings)
    kinds = {one.kind for one in findings}
    if kinds - ACCEPTABLE:
        return (
            "Two people in one study are never sent. Correct it on the scanner, export again and drop the new ZIP; "
            "if this one stays held, `xnat-watchd skip ITEM --why TEXT`."
        )
    if kinds == {FindingKind.FOREIGN}:
        return "Compare the session in XNAT with the ZIP; then `xnat-watchd accept ITEM --why TEXT`."
    if kinds == {FindingKind.NO_STUDY}:
        return (
            "Nobody can tell which study they are of. If another export can name it, drop that one. "
            "To let them stay in the ZIP: `xnat-watchd accept ITEM --why TEXT`."
        )
    packed = any(ARCHIVE_WORD in one.why for one in findings if one.kind is FindingKind.UNEXPLAINED)
    unpacked = "Unpack what is an archive, and drop its images as a ZIP of their own. " if packed else ""
    return unpacked + (
        "If a new export can be whole, drop it: it settles what is held of the same study. "
        "To go on without these images: `xnat-watchd accept ITEM --why TEXT`."
    )
