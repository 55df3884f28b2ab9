"""A subject's demographics: read from the DICOM header and compared with what people entered in XNAT.

Values are patient data: they stand in no message and in no `repr`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from xnat_watchd.core.delivery import PATIENT, PatientAttribute, Person, Subject
from xnat_watchd.core.dicom_values import real_date
from xnat_watchd.core.escapes import unescaped
from xnat_watchd.core.project_rules import DemographicRules

_AGE = re.compile(r"([0-9]{3})([DWMY])")
_DAYS_IN_FOUR_YEARS = 1461
_SEXES = {"M": "male", "F": "female", "O": "other"}
_SAID_OTHERWISE = {"m": "male", "f": "female", "o": "other", "u": "unknown"}
_ISO = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]00:00(?::00(?:\.0+)?)?)?")


def age_years(raw: str | None) -> int | None:
    """Return a PatientAge in whole years, or None if it is no age (VR AS, PS3.5 6.2: `030D`, `006M`, `042Y`)."""
    found = _AGE.fullmatch((raw or "").strip(" \0"))
    if found is None:
        return None
    number = int(found[1])
    if found[2] == "Y":
        return number
    if found[2] == "M":
        return number // 12
    return number * (7 if found[2] == "W" else 1) * 4 // _DAYS_IN_FOUR_YEARS


def birth_date(raw: str | None) -> str | None:
    """Return a PatientBirthDate as YYYY-MM-DD, or None if there is no such day.

    XNAT does not refuse an impossible date: it stores a later, possible one without a word (F43).
    """
    day = real_date(raw)
    return day.isoformat() if day else None


def sex(raw: str | None) -> str | None:
    """Return a PatientSex as XNAT's `gender` wants it: male, female or other (F43); None for anything else."""
    return _SEXES.get((raw or "").strip(" \0"))


@dataclass(frozen=True, slots=True)
class _Kind:
    """One attribute of a subject in its two forms: XNAT's own demographics and a custom variable."""

    standard: str  #: its name in XNAT's demographics
    read: Callable[[str | None], str | None]
    as_field: Callable[[str], str]  #: the value's form in the custom variable
    lasting: bool  #: it is the same in all sessions of a subject


def _as_it_is(value: str) -> str:
    return value


def _age_text(raw: str | None) -> str | None:
    years = age_years(raw)
    return None if years is None else str(years)


_KINDS: Mapping[str, _Kind] = {
    "age": _Kind("age", _age_text, _as_it_is, lasting=False),
    "birth_date": _Kind("dob", birth_date, _as_it_is, lasting=True),
    # The tool that we replace wrote "Male" and "Female" there.
    "sex": _Kind("gender", sex, str.capitalize, lasting=True),
}
"""What is written to XNAT, by the field of `Person` that it is made of."""

KINDS = tuple(_KINDS)  #: the keys that `DemographicRules.fields` may have
WRITTEN = tuple(attribute for attribute in PATIENT if attribute.name in _KINDS)  #: attributes that are written to XNAT


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectWrites:
    """What is to be written about a subject, and which values XNAT had already."""

    fields: Mapping[str, str] = field(default_factory=dict, repr=False)  #: custom variables
    demographics: Mapping[str, str] = field(default_factory=dict, repr=False)  #: dob, age, gender
    kept: tuple[str, ...] = ()  #: names that have a value already, which stays
    disagreeing: tuple[str, ...] = ()  #: names whose value differs from ours, whichever of the two stays

    def __bool__(self) -> bool:
        return bool(self.fields or self.demographics)


def header_of(person: Person) -> Mapping[str, str]:
    """Return the header of a study of a ZIP in the form of XNAT's header dump."""
    return {attribute.keyword: person.value(attribute) for attribute in WRITTEN}


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedHeader:
    """What the headers of all sessions of one subject say about the person. Never in a log."""

    header: Mapping[str, str]  #: by DICOM keyword, without the attributes on which the sessions disagree
    first: int  #: index of the earliest session that an attribute which changes, as the age does, is from
    disagreeing: tuple[PatientAttribute, ...]  #: the attributes on which the sessions disagree


def merge_headers(headers: Sequence[Mapping[str, str]]) -> MergedHeader:
    """Merge the headers of a subject's sessions, the earliest first.

    Birth date and sex must be the same in all headers that have them, else none of them is used. The age is from
    the earliest session that has one, since it grows from visit to visit.
    """
    header: dict[str, str] = {}
    disagreeing: list[PatientAttribute] = []
    origins: list[int] = []
    for attribute in WRITTEN:
        kind, keyword = _KINDS[attribute.name], attribute.keyword
        known = {n: value for n, one in enumerate(headers) if (value := kind.read(one.get(keyword)))}
        if kind.lasting and len(set(known.values())) > 1:
            disagreeing.append(attribute)
        elif known:
            earliest = min(known)
            header[keyword] = headers[earliest][keyword]
            if not kind.lasting:
                origins.append(earliest)
    return MergedHeader(header=header, first=min(origins, default=0), disagreeing=tuple(disagreeing))


def plan(header: Mapping[str, str], subject: Subject, rules: DemographicRules) -> SubjectWrites:
    """Return what is to be written to a subject.

    A value is written if the rules ask for it, the header has it, and XNAT's field is empty or may be overwritten.
    `header` holds the attributes of `WRITTEN`, by keyword, as they stand. Age, birth date and gender are all written:
    XNAT's schema offers a choice, but the server stores all of them (F220), and its pages and searches ask for one or
    the other.
    """
    known = {
        one.name: value
        for one in WRITTEN
        if (rules.birth_date or one.name != "birth_date") and (value := _KINDS[one.name].read(header.get(one.keyword)))
    }
    fields = {
        rules.fields[name].lower(): _KINDS[name].as_field(value)
        for name, value in known.items()
        if rules.fields.get(name)
    }
    standard = {_KINDS[name].standard: value for name, value in known.items()} if rules.standard else {}
    there = _lower(subject.fields)
    return SubjectWrites(
        fields=_to_write(fields, there, overwrite=rules.overwrite),
        demographics=_to_write(standard, subject.demographics, overwrite=rules.overwrite),
        kept=(
            *_kept(fields, there, overwrite=rules.overwrite),
            *_kept(standard, subject.demographics, overwrite=rules.overwrite),
        ),
        disagreeing=(*_disagreeing(fields, there), *_disagreeing(standard, subject.demographics)),
    )


def not_stored(writes: SubjectWrites, after: Subject) -> tuple[str, ...]:
    """Return the names whose values the server did not store as they were written (F59); empty if it stored all."""
    there = _lower(after.fields)
    return (
        *(name for name, value in writes.fields.items() if not _same(value, there.get(name, ""))),
        *(name for name, value in writes.demographics.items() if not _same(value, after.demographics.get(name, ""))),
    )


def _to_write(ours: Mapping[str, str], there: Mapping[str, str], *, overwrite: bool) -> dict[str, str]:
    stays = _kept(ours, there, overwrite=overwrite)
    return {name: value for name, value in ours.items() if name not in stays}


def _kept(ours: Mapping[str, str], there: Mapping[str, str], *, overwrite: bool) -> tuple[str, ...]:
    filled = (name for name in ours if there.get(name, "").strip())
    return tuple(name for name in filled if not overwrite or _same(ours[name], there[name]))


def _disagreeing(ours: Mapping[str, str], there: Mapping[str, str]) -> tuple[str, ...]:
    filled = (name for name in ours if there.get(name, "").strip())
    return tuple(name for name in filled if not _same(ours[name], there[name]))


def _lower(fields: Mapping[str, str]) -> dict[str, str]:
    """Return custom variables by their names in lower case, as XNAT stores them (F219)."""
    return {name.lower(): value for name, value in fields.items()}


def _same(ours: str, theirs: str) -> bool:
    return _plain(ours) == _plain(theirs)


def _plain(value: str) -> str:
    """Return one spelling for all ways to write one value: 19660101 and 1966-01-01, M and Male, 042 and 42."""
    text = unescaped(value).strip()
    iso = _ISO.fullmatch(text)
    if iso:
        return iso[1]
    day: date | None = real_date(text)
    if day:
        return day.isoformat()
    if text.isascii() and text.isdigit():
        return text.lstrip("0") or "0"
    return _SAID_OTHERWISE.get(text.lower(), text.lower())
