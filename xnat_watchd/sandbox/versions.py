"""The version of the server, as the two dialects report it (F2, F8, F112)."""

from __future__ import annotations

from . import answers
from .answers import Refused, Reply
from .request import Request
from .site import Site


def version(site: Site, _: Request) -> Reply:
    """GET /data/version, on 1.6 only (F2, F112)."""
    if site.is_old:
        return answers.text(site.version)
    raise Refused(404)


def settings(site: Site, request: Request) -> Reply:
    """GET /data/services/settings, on 1.6 only: four of the sixty settings that admins see (F247)."""
    if not site.is_old:
        raise Refused(404)
    if request.user not in site.admins:
        raise Refused(403, "Only site admins can retrieve the system settings.")
    known = {"siteId": "XNAT", "siteUrl": request.site_url, "requireLogin": True, "enableCsrfToken": True}
    table = answers.as_json({"ResultSet": {"Result": known, "title": "Settings"}})
    return Reply(200, table.body, answers.TEXT)


def build_info(site: Site, request: Request) -> Reply:
    """GET /xapi/siteConfig/buildInfo, on newer servers only (F8, F112)."""
    if site.is_old:
        words = request.path.replace("/", "&#47;")
        return answers.tomcat_page(404, f"The requested resource [{words}] is not available")
    if request.path.endswith("/version"):
        return answers.text(site.version)
    return answers.as_json({"version": site.version, "buildNumber": "1", "isDirty": "false"})
