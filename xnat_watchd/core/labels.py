"""The labels of subjects and sessions: what XNAT makes of a name, and what we make of a template.

XNAT cleans a label when it archives, and refuses it if an odd character is left (F44). We clean it in the same way
and send the result, so that XNAT changes nothing. Letters of every script stay: reduced to ASCII, nine Greek letters
and nine others would become one subject (F70, F74).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from unicodedata import category, normalize

from xnat_watchd.core.delivery import Item, Person
from xnat_watchd.core.dicom_values import leading_modality, study_date, study_time
from xnat_watchd.core.errors import Undecided
from xnat_watchd.core.project_rules import LabelRules

LONGEST_LABEL = 200
"""Bytes of UTF-8. The label column holds 255 characters (`xs:string` in xnat.xsd), and the label names the
folder in the archive, where file systems stop at 255 bytes; XNAT adds `.xml` or a time stamp to it. A longer
label is refused and never cut: two long names cut alike would be one session."""

REPLACED_BY_XNAT = frozenset(" `~@#$%^&*()+=[]{}|\\/?:;\"',.<>")
"""What XNAT itself turns into `_` at archive time (`cleanValue` of its data models; F37, F70, F144)."""

TAKEN_BY_XNAT = "XNAT takes letters, digits, - and _ only"  #: what `is_label` looks at, for people

_REPLACED_CATEGORIES = frozenset("PSZC")
"""Other punctuation, symbols, blanks and controls. XNAT leaves them and then refuses the label, so no label of
XNAT's own making differs from ours. Marks stay and are refused: replaced, two Thai names could be one."""

_FIELD = re.compile(r"\{([^{}]*)\}")


def clean(label: str) -> str:
    """Return what XNAT makes of a label at archive time; the carets at a PatientName's end are cut (F70)."""
    return "".join("_" if _is_replaced(c) else c for c in label.rstrip("^"))


def is_label(text: str) -> bool:
    """Return whether XNAT takes this as a label as it is: letters, digits, `-` and `_`, something to read in it.

    XNAT looks at UTF-16 units one by one, so letters beyond U+FFFF are not taken for letters.
    """
    return (
        any(_is_letter_or_digit(c) for c in text)
        and all(c in "-_" or _is_letter_or_digit(c) for c in text)
        and len(text.encode()) <= LONGEST_LABEL
    )


def as_stored_by_1_6(label: str) -> str:
    """Return what XNAT 1.6 stores when this label is sent as a parameter: `Jörg` arrives as `J&#246;rg`.

    It escapes parameters, letters beyond ASCII too, before it cleans them (F278). A label that comes
    out changed must not be sent there: without `subject` XNAT takes the name from the header, and keeps it.
    """
    named = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}
    return clean("".join(named.get(c) or (c if c.isascii() else f"&#{ord(c)};") for c in label))


# -- templates ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFacts:
    """The values of a study from which a label may be made, as they stand in the ZIP. Never in a log."""

    person: Person
    date: str
    time: str
    modalities: tuple[str, ...]
    study_uid: str
    project: str
    zip_name: str  #: the ZIP's file name, without folders
    subject: str | None = None  #: the subject's label, once it is known or chosen


def facts_of(item: Item, zip_name: str) -> LabelFacts:
    """Return the values of a study that is under way."""
    return LabelFacts(
        person=item.person,
        date=item.date,
        time=item.time,
        modalities=item.modalities,
        study_uid=item.study_uid,
        project=item.project,
        zip_name=zip_name,
        subject=item.subject,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One field of a template: how it is read, and what to say when there is nothing to read."""

    read: Callable[[LabelFacts], str | None]
    missing: str


_PARTS: Mapping[str, _Part] = {
    "subject": _Part(lambda f: f.subject, "the subject is not known"),
    "study_date": _Part(lambda f: study_date(f.date), "the study date is missing or not a date"),
    "study_time": _Part(lambda f: study_time(f.time), "the study time is missing or not a time"),
    "modality": _Part(lambda f: leading_modality(f.modalities), "no series names its modality"),
    "PatientID": _Part(lambda f: f.person.id.strip(), "the PatientID has no letter or digit"),
    "PatientName": _Part(lambda f: f.person.name.strip(), "the PatientName has no letter or digit"),
    "StudyInstanceUID": _Part(lambda f: f.study_uid, "the StudyInstanceUID is missing"),
    "zip_name": _Part(lambda f: _stem(f.zip_name), "the name of the ZIP has no letter or digit"),
    "project": _Part(lambda f: f.project, "the project is not known"),
}
SESSION_FIELDS = tuple(_PARTS)
SUBJECT_FIELDS = tuple(name for name in _PARTS if name != "subject")

_GIVE_LABEL = "Give the session a label: `xnat-watchd retry ITEM --label LABEL`."
_GIVE_SUBJECT = "Give the subject: `xnat-watchd retry ITEM --subject SUBJECT`."
_NO_NAME = "the PatientName has no letter or digit to name a subject by"
_HIDDEN_NAME = "XNAT shows no letter of the PatientName to name a subject by"
_LOST_NAME = "the export wrote `?` for the letters of the PatientName, which are lost"
_GIVE_BOTH = "Give both: `xnat-watchd retry ITEM --subject SUBJECT --label LABEL`."


def check_template(template: str, fields: Collection[str]) -> None:
    """Raise `ValueError` with one sentence if labels cannot be made from this template with these fields."""
    for name in _FIELD.findall(template):
        if name not in fields:
            near = get_close_matches(name, fields, n=1, cutoff=0) or list(fields)[:1]
            raise ValueError(f"{{{name}}} is not a field of this template; the nearest is {{{near[0]}}}")
    literal = _FIELD.sub("", template)
    if not template:
        raise ValueError("an empty template makes no label")
    if any(c not in "-_" and not _is_letter_or_digit(c) for c in literal):
        raise ValueError("between its {fields} a template may have letters, digits, - and _ only")


def has_field(template: str) -> bool:
    """Return whether a label from this template depends on the study."""
    return _FIELD.search(template) is not None


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values into a template's fields. Nothing else is interpreted, neither in it nor in them."""
    return _FIELD.sub(lambda field: values[field[1]], template)


def subject_label(template: str, facts: LabelFacts, listed: str) -> str:
    """Return the subject's label: the one that a person chose, else from the template, else from `listed`.

    `listed` is the subject in the prearchive row. XNAT 1.6 lists the PatientName unchanged (F12, F70). Later versions
    put `_` for all but ASCII letters and digits (F144). If that leaves nothing to read, and if no rule of the site has
    replaced the name, the label is made from the PatientName, cleaned as 1.6 does. Raise `Undecided` if no label can be
    made, or if there is no name: XNAT refuses to archive then (F75).
    """
    if facts.subject:
        return facts.subject
    if template:
        return _made("subject", template, facts, _GIVE_SUBJECT)
    raw = facts.person.name.strip()
    name, is_reduced = _composed(raw), listed.strip() in {_reduced(raw), _reduced(raw.rstrip("^"))}
    label = clean(_reduced(name.rstrip("^")) if is_reduced else _composed(listed.strip()))
    if is_reduced and not _is_readable(label):
        label = clean(name)
    if not _is_readable(label):
        raise Undecided(_why_unreadable(name), advice=_GIVE_SUBJECT)
    return _accepted("subject", label, _GIVE_SUBJECT)


def _why_unreadable(name: str) -> str:
    if "?" in name:
        return _LOST_NAME
    return _HIDDEN_NAME if _is_readable(name) else _NO_NAME


def session_label(template: str, facts: LabelFacts) -> str:
    """Return the session's label, or raise `Undecided` for a part that is missing or invalid."""
    return _made("session", template, facts, _GIVE_LABEL)


def check_parts(rules: LabelRules, facts: LabelFacts, label: str | None = None) -> None:
    """Raise `Undecided` if the ZIP lacks what the labels are made of. One error names all that is missing.

    It is called before anything is sent. `label` is the session label that a person chose, if one did. Even where
    XNAT makes the subject's label, an empty PatientName shows that it cannot.
    """
    troubles: list[Undecided] = []
    subject = "S"  # stands in for one that is still to be decided
    try:
        subject = subject_label(rules.subject, facts, facts.person.name)
    except Undecided as trouble:
        troubles.append(trouble)
    try:
        if not label:
            session_label(rules.session, replace(facts, subject=subject))
    except Undecided as trouble:
        troubles.append(trouble)
    if troubles:
        advice = _GIVE_BOTH if len(troubles) > 1 else troubles[0].advice
        raise Undecided("; ".join(str(trouble) for trouble in troubles), advice=advice)


def _made(kind: str, template: str, facts: LabelFacts, advice: str) -> str:
    values: dict[str, str] = {}
    for name in _FIELD.findall(template):
        values[name] = clean(_composed(_PARTS[name].read(facts) or ""))
        if not _is_readable(values[name]):
            raise Undecided(_PARTS[name].missing, advice=_GIVE_SUBJECT if name == "subject" else advice)
    return _accepted(kind, fill(template, values), advice)


def _accepted(kind: str, label: str, advice: str) -> str:
    if len(label.encode()) > LONGEST_LABEL:
        raise Undecided(f"the {kind} label would be longer than XNAT can keep", advice=advice)
    if not is_label(label):
        raise Undecided(f"the {kind} label would have a character that XNAT refuses", advice=advice)
    return label


def _composed(text: str) -> str:
    """Return letters and their marks as one character where one exists: a Mac, for example, writes two."""
    return normalize("NFC", text)


def _is_replaced(char: str) -> bool:
    return char in REPLACED_BY_XNAT or (char not in "-_" and category(char)[0] in _REPLACED_CATEGORIES)


def _is_letter_or_digit(char: str) -> bool:
    return char <= "\uffff" and (char.isalpha() or char.isdecimal())


def _reduced(name: str) -> str:
    """Return what an XNAT after 1.6 lists a PatientName as (F144)."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def _is_readable(label: str) -> bool:
    return any(c.isalpha() or c.isdecimal() for c in label)


def _stem(zip_name: str) -> str:
    return zip_name[:-4] if zip_name.lower().endswith(".zip") else zip_name
