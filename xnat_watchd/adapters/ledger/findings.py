"""Findings about the content of studies: facts that only a person's decision settles."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from xnat_watchd.adapters.ledger.database import Database, Row, Transaction, text
from xnat_watchd.adapters.ledger.fences import must_be_under
from xnat_watchd.core.findings import LEFT_BEHIND, Finding, FindingKind

if TYPE_CHECKING:  # `status` needs findings and no deliveries, and must be quick
    from xnat_watchd.core.delivery import Item

FOUND = "finding"  #: an event in a study's story


class Findings:
    """Findings about studies. `Decisions` records what a person decides about them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def open(self, key: int) -> tuple[Finding, ...]:
        """Return the findings about a study that nobody has settled, oldest first."""
        return tuple(map(as_finding, self._db.rows(OPEN, key)))

    def add(self, item: Item, finding: Finding, now: datetime) -> None:
        """Record a finding that a step made.

        The same kind about the same members is one finding: a recorded one stays as it is, settled or not. Call
        `must_not_hold(findings.open(item.key))` afterwards: it ends the step unless the finding was settled before.
        """
        with self._db.change() as db:
            must_be_under(db, item.key, item.fence)
            if add_findings(db, item.key, (finding,), now):
                db.execute(
                    "INSERT INTO events (at, delivery, study, event, progress, why) VALUES (?,?,?,?,?,?)",
                    (text(now), item.delivery, item.key, FOUND, item.progress, finding.why),
                )


OPEN = "SELECT * FROM findings WHERE study = ? AND settled IS NULL ORDER BY id"
UNDECIDED = "SELECT * FROM findings WHERE study = ? AND (settled IS NULL OR by LIKE 'delivery %') ORDER BY id"


def open_findings(db: Transaction, key: int) -> tuple[Finding, ...]:
    """Return the same as `Findings.open`, inside the caller's transaction."""
    return tuple(map(as_finding, db.execute(OPEN, (key,)).fetchall()))


def undecided(db: Transaction, key: int) -> tuple[Finding, ...]:
    """Return the findings about a study that no person has settled, those that a later delivery settled included.

    A later delivery settles nothing for the earlier ZIP: of that, nothing is sent, not even if XNAT has lost the later
    one since.
    """
    return tuple(map(as_finding, db.execute(UNDECIDED, (key,)).fetchall()))


def add_findings(db: Transaction, key: int, findings: Iterable[Finding], now: datetime) -> int:
    """Record the findings about a study that are not recorded yet; return their number."""
    new = [one for one in findings if not _is_known(db, key, one)]
    db.executemany(
        "INSERT INTO findings (study, kind, count, why, members, uids, found) VALUES (?,?,?,?,?,?,?)",
        [(key, one.kind, one.count, one.why, json.dumps(one.members), json.dumps(one.uids), text(now)) for one in new],
    )
    return len(new)


def settle_findings(db: Transaction, key: int, by: str, reason: str, now: datetime) -> None:
    """Settle the open findings about a study. A later finding holds it again."""
    db.execute(
        "UPDATE findings SET settled = ?, by = ?, reason = ? WHERE study = ? AND settled IS NULL",
        (text(now), by, reason, key),
    )


def unsent(study: str) -> str:
    """Return SQL that counts the images in a study's findings that are not among its instances."""
    return f"""coalesce((
      SELECT sum(f.count - (SELECT count(*) FROM json_each(f.members) m JOIN instances i
                            ON i.study = f.study AND i.sop_uid = m.value))
      FROM findings f WHERE f.study = {study}.key AND f.kind IN ({KINDS_BEHIND})), 0)"""


KINDS_BEHIND = ", ".join(f"'{kind}'" for kind in sorted(LEFT_BEHIND))


def _is_known(db: Transaction, key: int, finding: Finding) -> bool:
    rows = db.execute("SELECT members FROM findings WHERE study = ? AND kind = ?", (key, finding.kind)).fetchall()
    return any(set(json.loads(row["members"])) == set(finding.members) for row in rows)


def as_finding(row: Row) -> Finding:
    """Return the finding of a row."""
    return Finding(
        kind=FindingKind(row["kind"]), count=row["count"], why=row["why"],
        members=tuple(json.loads(row["members"])), uids=tuple(json.loads(row["uids"])),
    )  # fmt: skip
