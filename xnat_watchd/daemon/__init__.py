"""The service itself: its parts, its threads, and the main thread that monitors them.

`composition` builds every part once. `threads` holds the threads that work, `monitor` what the main thread checks.
`login_renewal` renews the login, `reload` applies new settings, `service` starts and stops everything in order.
`one_off_run` and `idle` are for commands that carry studies themselves.
"""

from xnat_watchd.daemon.service import run

__all__ = ["run"]
