"""Whether two headers mean one person: DICOM spells one patient in several ways, and may name two patients alike."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from itertools import zip_longest

from xnat_watchd.core.delivery import Person

_SEPARATORS = re.compile(r"[\^,\s]+")


def may_be_one(one: Person, other: Person) -> bool:
    """Return whether nothing contradicts that both are one person. For instances of one study, some of which say less.

    A header without name and ID contradicts nobody. Birth dates count if there is no PatientID to compare.
    """
    if one == other:
        return True
    ids, names = (_id(one), _id(other)), (_groups(one.name), _groups(other.name))
    if not (ids[0] or names[0]) or not (ids[1] or names[1]):
        return True
    if all(names) and _contradict(*names):
        return False
    if all(ids):
        return ids[0] == ids[1]
    return not (one.birth_date and other.birth_date) or one.birth_date == other.birth_date


def is_one(one: Person, other: Person) -> bool:
    """Return whether two studies are surely of one person. A value that one of them lacks is not assumed.

    PatientID and name must be the same; without a PatientID, name and birth date.
    """
    ids, names = (_id(one), _id(other)), (_groups(one.name), _groups(other.name))
    if ids[0] != ids[1] or bool(names[0]) != bool(names[1]) or (all(names) and _contradict(*names)):
        return False
    return bool(ids[0]) or one.birth_date == other.birth_date


def merged(one: Person, other: Person) -> Person:
    """Return the values of both for one person; where both have a value, the first one's."""
    return Person.read(lambda attribute: one.value(attribute) or other.value(attribute))


def joined(one: Person, other: Person) -> Person:
    """Return the values of both for one person, with each group of the name that either has.

    A third name is then compared with all groups: the shortest of three spellings may agree with each of two that
    contradict each other.
    """
    names = zip_longest(one.name.split("="), other.name.split("="), fillvalue="")
    return replace(merged(one, other), name="=".join(mine if _groups(mine) else theirs for mine, theirs in names))


def _contradict(one: list[str], other: list[str]) -> bool:
    """Return whether a group of both names (alphabetic, ideographic, phonetic) differs, or they have none in common."""
    shared = [(a, b) for a, b in zip(one, other, strict=False) if a and b]
    return not shared or any(a != b for a, b in shared)


def _groups(name: str) -> list[str]:
    """Return the groups of a PatientName in a form to compare (PS3.5 6.2.1); an empty list for an empty name."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    groups = [_SEPARATORS.sub(" ", group).strip() for group in folded.split("=")]
    return groups if any(groups) else []


def _id(person: Person) -> str:
    return unicodedata.normalize("NFC", person.id).strip()
