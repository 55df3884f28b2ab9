"""A study that a finding holds, and a later ZIP that has all of it: then nobody needs to decide any more."""

from __future__ import annotations

from datetime import datetime

from xnat_watchd.adapters.ledger.database import Row, Transaction
from xnat_watchd.adapters.ledger.findings import settle_findings, unsent
from xnat_watchd.adapters.ledger.transitions import move
from xnat_watchd.core.delivery import Person
from xnat_watchd.core.persons import may_be_one
from xnat_watchd.core.states import Event, Standing

REPLACED = "replaced by delivery "  #: followed by its number: why a study that a later ZIP replaces is skipped


def settle_healed(db: Transaction, key: int, now: datetime) -> None:
    """End the studies that this one replaces, now that XNAT's archive holds it: settle their findings, skip them.

    It replaces a held study of the same UID from an earlier ZIP if all of this is true:

    - Nothing of the earlier one was sent.
    - This one has no finding, and XNAT leaves out no series of it.
    - It has every image of the earlier one whose UID is known.
    - It has at least as many images as the earlier one, counting those that were damaged or could not be read.
    - It may be of the same person. If two people were found in the earlier one, the new export tells who is right.
    """
    for row in db.execute(_HEALED, {"key": key}).fetchall():
        if not (row["two_people"] or may_be_one(_person(row, "old"), _person(row, "new"))):
            continue
        why = f"{REPLACED}{row['later']}"
        settle_findings(db, row["key"], f"delivery {row['later']}", why, now)
        move(db, row["key"], Standing.HELD, Event.UNWANTED, now, skip_reason=why, attempts=0, recoveries=0, since=None,
             due=None, why=why, detail=None, advice=None)  # fmt: skip


def _person(row: Row, which: str) -> Person:
    return Person(name=row[f"{which}_name"], id=row[f"{which}_id"], birth_date=row[f"{which}_birth"])


_HEALED = f"""
SELECT o.key, n.delivery AS later,
       o.patient_name AS old_name, o.patient_id AS old_id, o.birth_date AS old_birth,
       n.patient_name AS new_name, n.patient_id AS new_id, n.birth_date AS new_birth,
       EXISTS (SELECT 1 FROM findings f WHERE f.study = o.key AND f.kind = 'two people') AS two_people
FROM studies n JOIN studies o ON o.project = n.project AND o.study_uid = n.study_uid
WHERE n.key = :key AND o.delivery < n.delivery AND o.study_uid <> ''
  AND o.standing = 'held' AND o.progress = 'received' AND o.skip_reason IS NULL
  AND EXISTS (SELECT 1 FROM findings f WHERE f.study = o.key AND f.settled IS NULL AND f.kind <> 'listed and absent')
  AND NOT EXISTS (SELECT 1 FROM places p WHERE p.study = o.key AND p.last_sent IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM findings f WHERE f.study = n.key)
  AND NOT EXISTS (SELECT 1 FROM series x WHERE x.study = n.key AND x.left_out = 1)
  AND NOT EXISTS (SELECT 1 FROM instances i WHERE i.study = o.key
                  AND NOT EXISTS (SELECT 1 FROM instances j WHERE j.study = n.key AND j.sop_uid = i.sop_uid))
  AND NOT EXISTS (SELECT 1 FROM findings f CROSS JOIN json_each(f.uids) u WHERE f.study = o.key
                  AND NOT EXISTS (SELECT 1 FROM instances j WHERE j.study = n.key AND j.sop_uid = u.value))
  AND (SELECT count(*) FROM instances j WHERE j.study = n.key)
      >= (SELECT count(*) FROM instances i WHERE i.study = o.key) + {unsent("o")}
"""
