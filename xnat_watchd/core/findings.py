"""Findings: facts about the content of a study that only a person's decision, with a name, settles.

A finding stands in the ledger beside the study. The standing says whether the service acts now; findings say what may
be sent at all. No retry, no second copy of the ZIP and no restart settles one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from xnat_watchd.core.errors import Undecided


class FindingKind(StrEnum):
    """What was found. The values are written into the ledger and never change."""

    TWO_PEOPLE = "two people"  #: images of two people in one study
    DAMAGED = "damaged"  #: images whose bytes are no complete instance
    TWO_CONTENTS = "two contents"  #: one SOP Instance UID with two contents, in one ZIP or in two
    UNEXPLAINED = "unexplained"  #: members that may be images but cannot be read
    NO_STUDY = "no study"  #: complete instances without a StudyInstanceUID
    FOREIGN = "foreign images"  #: XNAT's session holds images that we do not know
    ABSENT = "listed and absent"  #: a DICOMDIR lists images that the ZIP lacks


ARCHIVE_WORD = "archive"  #: stands in the `why` of a finding about an archive inside the ZIP

HOLDING = frozenset(FindingKind) - {FindingKind.ABSENT}  #: kinds that stop a study until a person has decided
LEFT_BEHIND = HOLDING - {FindingKind.TWO_PEOPLE, FindingKind.FOREIGN}  #: kinds about images that will not be in XNAT
ACCEPTABLE = HOLDING - {FindingKind.TWO_PEOPLE}  #: kinds that a person may accept; the others only end by `skip`


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding about one study."""

    kind: FindingKind
    count: int  #: number of images or members concerned
    why: str  #: one sentence without names, fit for the journal
    members: tuple[str, ...] = ()  #: names of some of these members, printable; only for `show`
    uids: tuple[str, ...] = ()  #: SOP Instance UIDs of the images concerned, as far as they can be read


def holding(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings that stop a study."""
    return tuple(one for one in findings if one.kind in HOLDING)


def reason_of(findings: Iterable[Finding]) -> str:
    """Return in one sentence why these findings stop a study; empty if none does."""
    return "; ".join(one.why for one in holding(findings))


def must_not_hold(findings: Iterable[Finding]) -> None:
    """Raise `Undecided` if one of these findings stops the study: only a person's decision lets it go on."""
    stopping = holding(findings)
    if stopping:
        raise Undecided(reason_of(stopping), advice=advice(stopping))


def advice(findings: Iterable[Finding]) -> str:
    """Return what a person can do about these findings: one instruction a sentence, with ITEM in place of the item."""
    findings = holding(findings)
    kinds = {one.kind for one in findings}
    if kinds - ACCEPTABLE:
        return (
            "A study with images of two people is never sent. Correct it on the scanner, export the study again and "
            "drop the new ZIP. If this one stays held, type `xnat-watchd skip ITEM --why TEXT`."
        )
    if kinds == {FindingKind.FOREIGN}:
        return (
            "Compare the session in XNAT with the ZIP. If its other images belong there, "
            "type `xnat-watchd accept ITEM --why TEXT`."
        )
    if kinds == {FindingKind.NO_STUDY}:
        return (
            "These images do not name their study. Export them again, and drop the new ZIP if it names one. "
            "To leave them in the ZIP, type `xnat-watchd accept ITEM --why TEXT`."
        )
    packed = any(ARCHIVE_WORD in one.why for one in findings if one.kind is FindingKind.UNEXPLAINED)
    unpacked = "Unpack the archive that is inside, and drop its images as a ZIP of their own. " if packed else ""
    return unpacked + (
        "Export the study again and drop the new ZIP: a complete one replaces what is held here. "
        "To go on without these images, type `xnat-watchd accept ITEM --why TEXT`."
    )
