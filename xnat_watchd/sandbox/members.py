"""The users of a project: list them, add them, change their role, remove them (F49, F245)."""

from __future__ import annotations

from . import answers
from .answers import Refused, Reply
from .request import Request
from .site import Site
from .store import StoredProject

GROUPS = {"owner": "Owners", "member": "Members", "collaborator": "Collaborators"}
DENIED = "Access Denied: Only project owners and site managers can access user resources."


def users(site: Site, request: Request) -> Reply:
    """GET /data/projects/P/users, for owners and site admins only (F49)."""
    project = site.project(request.names["project"], request.user)
    if not site.may_delete(request.user, project.id):
        raise Refused(403, DENIED)
    return _table(project)


def change(site: Site, request: Request) -> Reply:
    """PUT or DELETE .../users/GROUP/USER; an unknown user is invited by mail, so the answer is 200 (F49)."""
    project = site.project(request.names["project"], request.user)
    role = _role(site, project, request.names["group"])
    if not site.may_delete(request.user, project.id):
        refused = _table(project)
        return Reply(403, refused.body, refused.media)  # the table, not a page (F49)
    user = request.names["user"]
    if user == "guest":
        raise Refused(412)
    if request.method == "DELETE":
        if project.roles.get(user) == role:
            project.roles.pop(user)
    elif user in site.user_names:
        project.roles[user] = role
    return _table(project)


def _role(site: Site, project: StoredProject, group: str) -> str:
    """Return the role of a group, named by its display name or ID, on newer servers also by its suffix (F245)."""
    for role, shown in GROUPS.items():
        if group in {shown, f"{project.id}_{role}"} or (group == role and not site.is_old):
            return role
    raise Refused(404)


def _table(project: StoredProject) -> Reply:
    order = list(GROUPS)
    rows = [
        {
            "GROUP_ID": f"{project.id}_{role}", "displayname": GROUPS[role], "login": user, "firstname": user,
            "lastname": "User", "email": f"{user}@localhost.localdomain",
        }
        for user, role in sorted(project.roles.items(), key=lambda pair: order.index(pair[1]))
    ]  # fmt: skip
    return answers.counted(rows, title="Projects")
