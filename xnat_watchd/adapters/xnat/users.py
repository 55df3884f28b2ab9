"""Read the users of a project and of the site, and grant roles (F49, F245)."""

from __future__ import annotations

from collections.abc import Mapping

from xnat_watchd.adapters.xnat.answer_meanings import Purpose
from xnat_watchd.adapters.xnat.answers import Answer, document, table
from xnat_watchd.adapters.xnat.client import QUESTION_TIMEOUT, XnatClient
from xnat_watchd.adapters.xnat.records import JSON, Cells, path
from xnat_watchd.adapters.xnat.transport import XnatRequest
from xnat_watchd.core.errors import RepeatOnce, Transient


def roles(client: XnatClient, project: str) -> Mapping[str, str] | None:
    """Return the role of every user of a project by login: owner, member, collaborator, or a custom group's ID.

    None if we may not read the list, which is for owners and admins (F49).
    """
    try:
        answer = client.find(path("projects", project, "users"), JSON, project=project)
    except RepeatOnce:  # 403
        return None
    return None if answer is None else {one["login"]: _role(one, project) for one in table(answer) if one.get("login")}


def logins(client: XnatClient) -> frozenset[str] | None:
    """Return the login of every user of the site, or None if we may not read them.

    1.6 lists them to everybody (F246). Newer servers list profiles to admins, and keep the older list for others if the
    site allows it.
    """
    profiles = None if client.dialect.is_old else _asked(client, "/xapi/users/profiles")
    if profiles is not None:
        return _profiles(profiles)
    listed = _asked(client, "/data/users")
    return None if listed is None else frozenset(one["login"] for one in table(listed) if one.get("login"))


def grant(client: XnatClient, project: str, login: str, role: str) -> None:
    """Grant a role in a project to a user who exists. For an unknown user, XNAT would send an invitation (F49).

    A user is in one group of a project at most, so this would replace an earlier role (F245).
    """
    where = path("projects", project, "users", f"{project}_{role}", login)
    request = XnatRequest(method="PUT", path=where, purpose=Purpose.GRANT, query=JSON, timeout=QUESTION_TIMEOUT)
    client.act(request, project)


def listed_role(row: Cells) -> str:
    """Return our role as a row of the project list shows it, or an empty string if we have none (F249)."""
    return next((value for name, value in row.items() if name.startswith("user_role")), "")


def is_admin(client: XnatClient) -> bool:
    """Return whether we may read the site's settings: only site admins may (F247), who need no role to write."""
    try:
        return client.find("/data/services/settings", JSON) is not None
    except RepeatOnce:  # 403
        return False


def _asked(client: XnatClient, where: str) -> Answer | None:
    try:
        return client.find(where, JSON)
    except Transient:  # 403
        return None


def _role(row: Cells, project: str) -> str:
    return row.get("GROUP_ID", "").removeprefix(f"{project}_")


def _profiles(answer: Answer) -> frozenset[str] | None:
    try:
        rows = document(answer)
    except Transient:  # no JSON
        return None
    if not isinstance(rows, list):
        return None
    names = (row.get("username") for row in rows if isinstance(row, dict))
    return frozenset(name for name in names if isinstance(name, str))
