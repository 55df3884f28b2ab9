"""A database whose clock runs faster, as that of the stations does: who is there is told by it alone."""

from __future__ import annotations

from tests.postgres.cluster import Cluster

_HURRIED = """
CREATE OR REPLACE FUNCTION xnat_watchd.database_now(seconds DOUBLE PRECISION) RETURNS TEXT LANGUAGE sql VOLATILE AS $$
  SELECT to_char(
    (to_timestamp({shown}) + {speed} * (clock_timestamp() - to_timestamp({began})) + make_interval(secs => seconds))
    AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
$$
"""


def hurry_database(cluster: Cluster, name: str, *, speed: float, began: float, shown: float | None = None) -> None:
    """Let the clock of a ledger run `speed` times as fast since `began`, when it showed `shown`; else the same."""
    cluster.tell(_HURRIED.format(speed=speed, began=began, shown=began if shown is None else shown), name)
