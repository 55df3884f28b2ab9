"""Read which projects XNAT lists for us, whether we may write to one, and which subjects it has."""

from __future__ import annotations

from dataclasses import dataclass

from xnat_watchd.adapters.xnat.answers import table
from xnat_watchd.adapters.xnat.client import XnatClient
from xnat_watchd.adapters.xnat.records import JSON, path
from xnat_watchd.adapters.xnat.users import is_admin, listed_role
from xnat_watchd.core.errors import Permanent, RepeatOnce, Transient

NO_PROJECT = "Check the project's ID, with its capitals, and that the program's user is a member of it."


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """One project that XNAT lists for us."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """One subject of a project."""

    id: str
    label: str


def listed(client: XnatClient) -> list[ProjectRow]:
    """Return the projects that XNAT lists for us."""
    rows = table(client.read("/data/projects", JSON))
    return [ProjectRow(one["ID"], one.get("name", "")) for one in rows if one.get("ID")]


def writable(client: XnatClient, project: str) -> bool:
    """Return whether XNAT lists the project as writable for us."""
    if client.dialect.is_old:
        return _writable_on_1_6(client, project)
    rows = table(client.read("/data/projects", {"data": "writable", **JSON}))
    return any(project in {one.get("ID"), one.get("id")} for one in rows)


def subjects(client: XnatClient, project: str) -> list[SubjectRow]:
    """Return a project's subjects. Raise `Permanent` if it is missing or may not be read (F44, F256)."""
    query = {"columns": "ID,label", **JSON}
    try:
        answer = client.find(path("projects", project, "subjects"), query, project=project)
    except (Transient, RepeatOnce) as error:  # 403; 1.6 answers 500 to a user without a role there
        raise Permanent(f"project {project} cannot be read", detail=error.detail, advice=NO_PROJECT) from None
    if answer is None:
        raise Permanent(f"XNAT has no project {project} for us", advice=NO_PROJECT)
    return [SubjectRow(one["ID"], one.get("label", "")) for one in table(answer) if one.get("ID")]


def prearchive_code(client: XnatClient, project: str) -> int | None:
    """Return how a project archives: 0 on request, 4 and 5 automatically (F251). None if XNAT does not tell."""
    answer = client.find(path("projects", project, "prearchive_code"))
    said = answer.text.strip() if answer is not None else ""
    return int(said) if said.isascii() and said.isdigit() and len(said) < len("100") else None


def _writable_on_1_6(client: XnatClient, project: str) -> bool:
    """Return whether our role there may write: 1.6 lists what may be read, and tells nothing else (F249)."""
    for one in table(client.read("/data/projects", {"accessible": "true", **JSON})):
        if one.get("id") == project:
            role = listed_role(one)
            return role != "Collaborators" and (role != "" or is_admin(client))
    return False
