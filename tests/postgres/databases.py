"""The cluster of one process: made when the first database is asked for, and closed at the end of the process.

A cluster for each process of pytest takes a second of its time; one for all of them had to be told when the last ends.
"""

from __future__ import annotations

import atexit
from functools import cache

from tests.postgres.cluster import Cluster


@cache
def cluster() -> Cluster:
    """Return the cluster of this process. Skip the test where there is no PostgreSQL, unless it is needed."""
    made = Cluster.made()
    atexit.register(made.close)
    return made
