"""Ask whether XNAT takes data for a project, and if not, which project may be meant."""

from __future__ import annotations

from xnat_watchd.core.errors import Permanent, unwritable
from xnat_watchd.core.ports import Gateway
from xnat_watchd.core.projects import nearest


def refusal(project: str, gateway: Gateway, *, afresh: bool = False) -> Permanent | None:
    """Return why nothing may be sent to a project; None if XNAT lists it as writable for us, or did so minutes ago.

    `afresh`: what it has said before does not count.
    """
    if gateway.writable(project, afresh=afresh):
        return None
    return unwritable(project, nearest(project, gateway.listed()))
