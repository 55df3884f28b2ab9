"""Write a ledger of complete studies of ten images each: fill.py LEDGER IMAGES."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.ledgers import fill
from xnat_watchd.adapters.ledger.opening import open_database

IMAGES = 10

if __name__ == "__main__":
    database = open_database(Path(sys.argv[1]))
    fill(database, finished=int(sys.argv[2]) // IMAGES, waiting=0)
    with database.change() as db:
        db.execute(
            "INSERT INTO series (study, uid, number, modality, image) SELECT key, '1.2', '1', 'MR', 1 FROM studies"
        )
        db.execute(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"
            " INSERT INTO instances (study, sop_uid, series, size, crc, member, digest)"
            " SELECT key, key || '.' || n, '1.2', 1000, 1, n, zeroblob(32) FROM studies, numbers",
            (IMAGES,),
        )
    database.close()
