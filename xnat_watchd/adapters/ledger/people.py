"""The people of the subject labels: two people never share a label."""

from __future__ import annotations

from xnat_watchd.adapters.ledger.database import Row, Transaction
from xnat_watchd.adapters.ledger.standings import GOES_ON
from xnat_watchd.core.delivery import Item, Person
from xnat_watchd.core.errors import Undecided
from xnat_watchd.core.persons import is_one, joined

PEOPLE_OF_LABEL = f"""
SELECT name, id, birth_date FROM people WHERE project = ?1 AND subject_key = ?2
UNION ALL
SELECT patient_name, patient_id, birth_date FROM studies WHERE project = ?1 AND claimed = ?2
AND key <> ?3 AND standing {GOES_ON}
"""
"""The person of whom XNAT has something under a label; then those who claim it by a study that is under way."""


def claim(db: Transaction, item: Item, subject: str) -> None:
    """Claim a subject label, and only this one, for the person of a study. `Undecided` if another person has it."""
    must_be_its_persons(db, item, subject)
    label = subject.casefold()
    sql = "UPDATE studies SET claimed = ?1 WHERE key = ?2 AND (claimed IS NULL OR claimed <> ?1)"
    db.execute(sql, (label, item.key))


def must_be_its_persons(db: Transaction, item: Item, subject: str) -> None:
    """Raise `Undecided` if another person than the study's has this subject label."""
    for row in db.execute(PEOPLE_OF_LABEL, (item.project, subject.casefold(), item.key)):
        other = person(row)
        if not is_one(other, item.person):
            raise Undecided(
                "two people under one subject label",
                detail=f"{subject}: first {other.name} ({other.id}), now {item.person.name} ({item.person.id})",
                advice="If it is another person: `xnat-watchd retry ITEM --subject LABEL`. "
                "If it is the same one, correct the name or ID on the scanner and export again.",
            )


def record_person(db: Transaction, study: int) -> None:
    """Record for good that the label which a study claims belongs to its person. Without a claim, do nothing.

    Groups of the name that a later study adds are recorded too, so that the next study is compared with them.
    """
    is_new = db.execute(
        "INSERT INTO people (project, subject_key, name, id, birth_date)"
        " SELECT project, claimed, patient_name, patient_id, birth_date FROM studies"
        " WHERE key = ? AND claimed IS NOT NULL ON CONFLICT DO NOTHING",
        (study,),
    ).rowcount
    if is_new:
        return
    for row in db.execute(_SPELLINGS, (study,)).fetchall():
        name = joined(person(row), Person(name=row["patient_name"])).name
        db.execute("UPDATE people SET name = ?1 WHERE (project, subject_key) = (?2, ?3) AND name <> ?1",
                   (name, row["project"], row["subject_key"]))  # fmt: skip


_SPELLINGS = """
SELECT p.*, s.patient_name FROM studies s JOIN people p ON p.project = s.project AND p.subject_key = s.claimed
WHERE s.key = ?
"""


def person(row: Row) -> Person:
    """Return the person of a row."""
    return Person(name=row["name"], id=row["id"], birth_date=row["birth_date"])
