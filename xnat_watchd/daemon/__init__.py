"""The service itself: what it is built of, its threads, and the main thread that looks after them.

`parts` builds everything once, `loops` are the threads that work, `attendant` is the main thread's watch,
`keeper` keeps the login fresh, `reload` exchanges the settings, `service` starts and stops all of it in order.
"""

from xnat_watchd.daemon.service import run

__all__ = ["run"]
