"""A ledger with years of history, written straight into its tables: through the service it would take hours."""

from __future__ import annotations

from xnat_watchd.adapters.ledger.database import Database

AT = "2026-01-01T00:00:00.000000+00:00"


def fill(database: Database, *, finished: int, waiting: int, rejected: int = 0) -> None:
    """Enter deliveries of one study each, all of P1: complete ones, then ones that may be taken; and rejected ZIPs."""
    studies = range(1, finished + waiting + 1)
    states = ["finished" if number <= finished else "taken" for number in studies]
    with database.change() as db:
        db.executemany(
            "INSERT INTO deliveries (id, name, project, identity, state, sha256, size, arrived, ended)"
            " VALUES (?1, ?1 || '.zip', 'P1', ?1, ?2, ?1, 1000, ?3, iif(?2 = 'finished', ?3, NULL))",
            [(number, state, AT) for number, state in zip(studies, states, strict=True)],
        )
        db.executemany(
            "INSERT INTO studies (delivery, number, project, study_uid, patient_name, patient_id, birth_date, age, sex,"
            " date, time, modalities, progress, standing, session, subject, subject_key, received, changed)"
            " VALUES (?1, 1, 'P1', '1.2.' || ?1, '', '', '', '', '', '', '', '[]', iif(?2, 'complete', 'received'),"
            " iif(?2, 'done', 'ready'), iif(?2, 'E' || ?1, NULL), 'S' || ?1, 's' || ?1, ?3, ?3)",
            [(number, state == "finished", AT) for number, state in zip(studies, states, strict=True)],
        )
        db.executemany(
            "INSERT INTO deliveries (name, project, identity, state, arrived, ended, why, advice)"
            " VALUES ('bad.zip', 'P1', ?, 'rejected', ?2, ?2, 'cut', 'Export it again.')",
            [(str(number), AT) for number in range(rejected)],
        )
