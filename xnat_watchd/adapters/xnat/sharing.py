"""Reading what is shared where, and sharing (F46 to F48)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from xnat_watchd.adapters.xnat.answer_meanings import Purpose
from xnat_watchd.adapters.xnat.answers import table
from xnat_watchd.adapters.xnat.client import QUESTION_TIMEOUT, XnatClient
from xnat_watchd.adapters.xnat.records import JSON, Cells, path
from xnat_watchd.adapters.xnat.transport import XnatRequest
from xnat_watchd.core.errors import Permanent, RepeatOnce, Transient
from xnat_watchd.core.sharing.plan import Action, SeenProject, SeenSession, ShareSubject


def reachable(client: XnatClient, projects: Collection[str]) -> dict[str, bool]:
    """Return those of these projects whose data we may read, and whether we may add to it.

    Newer servers say so themselves, with custom groups and all (F250); 1.6 lists our role (F249).
    """
    if client.dialect.is_old:
        return _reachable_on_1_6(client, projects)
    writable = _ids(client, "writable")
    rest = [name for name in projects if name not in writable]
    readable = _ids(client, "readable").intersection(rest) if rest else frozenset[str]()
    return {name: name in writable for name in projects if name in writable or name in readable}


def seen(client: XnatClient, project: str, *, writable: bool) -> SeenProject | None:
    """Return what a project shows: its own subjects and sessions, and those that are shared into it.

    Only the listings below the project have the labels of shares; `/data/experiments?project=` filters by the
    primary project and knows them not. They leave out sessions of types that nobody has registered on the site
    (F258), which cannot be shared by a member either: the right to create is given by type.
    """
    here = path("projects", project)
    try:
        subjects = client.find(f"{here}/subjects", {"columns": "ID,label", **JSON}, project=project)
        sessions = client.find(f"{here}/experiments", {**_SESSIONS, **JSON}, project=project)
    except (RepeatOnce, Transient):  # 403; 1.6 says 500 to who has no role there (F44)
        return None
    if subjects is None or sessions is None:
        return None
    rows = table(sessions, _COLUMNS)
    if not all({"subject_ID", "xsiType"} <= one.keys() for one in rows):  # an unknown column is left out (F252)
        return None
    return SeenProject(
        writable=writable,
        subjects=_by_label(table(subjects, ("ID", "label"))),
        sessions=[_session(one) for one in rows if one.get("ID") and one["subject_ID"] and _is_session(one)],
    )


def share(client: XnatClient, action: Action) -> None:
    """Ask for one share. Never `primary`, always a label: without one newer servers show the accession ID (F231).

    Without `format=json` the answer about a subject is a page (F46).
    """
    _refuse_ambiguous_id(client, action)
    here = path(*_place(action), "projects", action.destination)
    query = {"label": action.label, "event_reason": "xnat-watchd", **JSON}  # a site may demand a reason (F222)
    if client.dialect.is_old and not action.label.isascii():  # it would be stored as `J&#246;rg` (F278)
        if action.label != action.name:
            raise Permanent("XNAT 1.6 would spoil the label", advice="Give a label of plain letters in the table.")
        del query["label"]  # 1.6 takes the thing's own (F231)
    client.act(
        XnatRequest(method="PUT", path=here, purpose=Purpose.SHARE, query=query, timeout=QUESTION_TIMEOUT),
        action.destination,
    )


def is_shared(client: XnatClient, action: Action) -> bool:
    """Ask the thing itself where it is shown, by its accession ID, which a GET looks for first (F221, F235)."""
    answer = client.find(path(*_owner(action), action.id, "projects"), JSON, project=action.source)
    return answer is not None and any(one.get("ID") == action.destination for one in table(answer))


_COLUMNS = ("ID", "label", "subject_ID", "date", "xsiType")
_SESSIONS = {"columns": ",".join(_COLUMNS)}


def _ids(client: XnatClient, access: str) -> frozenset[str]:
    return frozenset(one.get("ID", "") or one.get("id", "") for one in _listed(client, data=access))


def _listed(client: XnatClient, **query: str) -> Sequence[Cells]:
    return table(client.read("/data/projects", {**query, **JSON}))


def _reachable_on_1_6(client: XnatClient, projects: Collection[str]) -> dict[str, bool]:
    rows = {one.get("id", ""): one for one in _listed(client, accessible="true")}
    known = {name: _role(rows[name]) for name in projects if name in rows}
    if all(known.values()) or _is_admin(client):  # admins need no role
        return {name: role != "Collaborators" for name, role in known.items()}
    public = {name for name in known if rows[name].get("project_access") == "public"}
    return {name: role not in {"", "Collaborators"} for name, role in known.items() if role or name in public}


def _role(row: Cells) -> str:
    return next((value for name, value in row.items() if name.startswith("user_role")), "")


def _is_admin(client: XnatClient) -> bool:
    """Ask for the settings, which only site admins may read (F247)."""
    try:
        return client.find("/data/services/settings", JSON) is not None
    except RepeatOnce:  # 403
        return False


def _by_label(rows: Collection[Cells]) -> dict[str, str]:
    """Return accession IDs by label. What has no label of its own is put under one that no table can name."""
    ids: dict[str, set[str]] = {}
    for one in rows:
        if one.get("ID"):
            ids.setdefault(one.get("label", ""), set()).add(one["ID"])
    return {label if label and len(same) == 1 else f"\0{id_}": id_ for label, same in ids.items() for id_ in same}


def _is_session(row: Cells) -> bool:
    """Leave out forms and assessments, which nobody asked for. XNAT is not asked to: nobody has seen 1.6 do it."""
    return row["xsiType"].lower().endswith("sessiondata")


def _session(row: Cells) -> SeenSession:
    label = row.get("label") or row["ID"]
    return SeenSession(id=row["ID"], label=label, subject=row["subject_ID"], date=row.get("date", ""))


def _owner(action: Action) -> tuple[str, ...]:
    """Return the kind of path that leads to the thing: sessions have one of their own on both dialects (F234)."""
    if isinstance(action, ShareSubject):
        return "projects", action.source, "subjects"
    return ("experiments",)


def _place(action: Action) -> tuple[str, ...]:
    """Return the path to the thing in its source.

    A PUT looks for a label there before it takes an accession ID (F221), so it is the label that was listed.
    What is not ASCII does not survive a path on 1.6; the ID does. A session is shared below its subject: by any other
    path 1.6 answers 405 (seen on 1.6.4).
    """
    named = ((kind, label if label.isascii() else accession) for kind, label, accession in _parts(action))
    return "projects", action.source, *(segment for pair in named for segment in pair)


def _parts(action: Action) -> list[tuple[str, str, str]]:
    """Return kind, label and accession ID of what the path leads through."""
    own = (action.name, action.id)
    if isinstance(action, ShareSubject):
        return [("subjects", *own)]
    return [("subjects", action.subject, action.subject_id), ("experiments", *own)]


def _refuse_ambiguous_id(client: XnatClient, action: Action) -> None:
    """Refuse to name a thing by its ID where another thing has that ID for its label: XNAT would share that one.

    Labels come out of DICOM headers, and whoever writes these could choose one so.
    """
    for kind, label, accession in _parts(action):
        if label.isascii():
            continue
        listed = client.read(path("projects", action.source, kind), {"columns": "ID,label", **JSON})
        if any(one.get("label") == accession for one in table(listed)):
            raise Permanent(
                "another thing in the source has the accession ID of this one for its label",
                detail=accession,
                advice="Rename that one in XNAT.",
            )
