"""Ask whether XNAT takes data for a project, and if not, which project may be meant."""

from __future__ import annotations

from xnat_watchd.core.errors import Permanent, unwritable
from xnat_watchd.core.ports import Gateway
from xnat_watchd.core.projects import nearest


def refusal(project: str, gateway: Gateway) -> Permanent | None:
    """Return why nothing may be sent to a project; None if XNAT lists it as writable for us."""
    if gateway.writable(project):
        return None
    return unwritable(project, nearest(project, gateway.listed()))
