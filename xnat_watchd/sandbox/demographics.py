"""Demographics and custom fields of a subject: how values are checked and stored (F40 to F43, F217)."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import NoReturn

from .answers import Refused
from .site import Site, escaped
from .store import StoredSubject

WHOLE = frozenset({"yob", "age", "ses", "education"})
NUMBERS = WHOLE | {"weight", "height", "gestational_age", "post_menstrual_age", "birth_weight"}
CHOICES = {
    "gender": ("male", "female", "other", "unknown", "M", "F"),
    "handedness": ("left", "right", "ambidextrous", "unknown"),
}
DEMOGRAPHICS = WHOLE | CHOICES.keys() | {
    "dob", "race", "ethnicity", "educationDesc", "weight", "height", "gestational_age", "post_menstrual_age",
    "birth_weight",
}  # fmt: skip
PLAIN = frozenset({"group", "src", "pi_firstname", "pi_lastname"})
FIELD = re.compile(r"(?:xnat:subjectData/)?fields/field\[name=(?P<name>[^\]]+)\]/field")
DEMOGRAPHIC = re.compile(r"(?:xnat:subjectData/demographics\[@xsi:type=xnat:demographicData\]/)?(?P<name>\w+)")
ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
AMERICAN = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})")
YEARS = range(31)
CLEARING = "NULL"


def apply(site: Site, subject: StoredSubject, pairs: list[tuple[str, str]]) -> None:
    """Store values in a subject. Unknown names are ignored in silence.

    Raise Refused with 400 for the first value that is not valid; then nothing is stored.
    """
    changes = [(name, value, _checked(name, value)) for name, value in _known_values(pairs)]
    for name, raw, value in changes:
        if raw == CLEARING or (not raw and name in NUMBERS and not site.is_old):
            subject.demographics.pop(name, None)
        elif raw or not (site.is_old or name == "dob"):
            subject.demographics[name] = _as_stored(site, value)
    for name, value in pairs:
        if field := FIELD.fullmatch(name):
            _set_field(site, subject, field["name"], value)
        elif name.removeprefix("xnat:subjectData/") in PLAIN:
            subject.values[name.removeprefix("xnat:subjectData/")] = str(_as_stored(site, value))


def lenient_date(value: str) -> str:
    """Return a date in ISO form, empty where the value is no date; the 31st of April is the 1st of May (F43)."""
    for form, order in ((ISO, (0, 1, 2)), (COMPACT, (0, 1, 2)), (AMERICAN, (2, 0, 1))):
        if found := form.fullmatch(value):
            year, month, day = (int(found.groups()[place]) for place in order)
            return _rolled(year, month, day)
    return ""


def _rolled(year: int, month: int, day: int) -> str:
    years, months = divmod(month - 1, 12)
    try:
        return (date(year + years, months + 1, 1) + timedelta(days=day - 1)).isoformat()
    except (ValueError, OverflowError):
        return ""


def _known_values(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    found = ((DEMOGRAPHIC.fullmatch(name), value) for name, value in pairs)
    return [(match["name"], value) for match, value in found if match and match["name"] in DEMOGRAPHICS]


def _checked(name: str, value: str) -> str | int:
    """Return the value as it is stored, or refuse it in XNAT's words (F43)."""
    if not value or value == CLEARING:
        return value
    if name == "dob":
        return lenient_date(value) or _invalid(name, "Must Be A Valid Date")
    if name in WHOLE:
        number = int(value) if re.fullmatch(r"-?\d{1,9}", value) else _invalid(name, "Must Be A Valid Integer")
        return number if name != "education" or number in YEARS else _invalid(name, "Must Be Between 0 And 30")
    if name in CHOICES and value.lower() not in {one.lower() for one in CHOICES[name]}:
        _invalid(name, f"'{value}' Must Match Pre-Defined Values...({','.join(CHOICES[name])})")
    return value


def _invalid(name: str, words: str) -> NoReturn:
    place = f"The content of element 'xnat:demographicData' is not complete. '{{\"http://nrg.wustl.edu/xnat\":{name}}}'"
    raise Refused(400, f"{place} {words}\n")


def _as_stored(site: Site, value: str | int) -> str | int:
    return escaped(value, letters_too=site.is_old) if isinstance(value, str) else value


def _set_field(site: Site, subject: StoredSubject, name: str, value: str) -> None:
    """Store a custom field under its name in lower case; on 1.6.5 an empty value changes nothing (F42)."""
    if value == CLEARING:
        subject.fields.pop(name.lower(), None)
    elif value or not site.is_old:
        subject.fields[name.lower()] = str(_as_stored(site, value))
