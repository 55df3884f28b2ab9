"""What the settings of a PostgreSQL mean for a ledger."""

from __future__ import annotations

from datetime import datetime, timedelta

from xnat_watchd.adapters.ledger.database import Database

CLOCKS_DIFFER = timedelta(seconds=2)  #: from the clock of the database


def weaknesses(database: Database, now: datetime) -> list[tuple[str, str]]:
    """Return what may become trouble with the server of a shared ledger, each with what to do.

    `now`: the time by the clock of this machine.
    """
    row = database.row(_ASKED)
    if row is None:
        return []
    found = []
    if row["commit"] in ("off", "local"):
        found.append((
            f"its server confirms what is not on its disk yet (synchronous_commit = {row['commit']})",
            "Ask the database administrator: `ALTER DATABASE ... SET synchronous_commit = on`.",
        ))  # fmt: skip
    if row["standbys"] and not row["waits_for"]:
        found.append((
            "a failover to its standby may lose what was just recorded",
            "Ask the database administrator to set synchronous_standby_names.",
        ))  # fmt: skip
    apart = abs(database.now() - now)
    if apart > CLOCKS_DIFFER:
        found.append((
            f"its server's clock and ours are {round(apart.total_seconds())} seconds apart",
            "Have both follow one time server. Until then this station goes by the server's clock.",
        ))  # fmt: skip
    return found


_ASKED = """
SELECT current_setting('synchronous_commit') AS commit, current_setting('synchronous_standby_names') AS waits_for,
       (SELECT count(*) FROM pg_stat_replication) AS standbys
"""
