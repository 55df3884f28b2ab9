"""Read what is shared where, and share (F46 to F48)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from sys import getsizeof

from xnat_watchd.adapters.xnat.answer_meanings import Purpose
from xnat_watchd.adapters.xnat.answers import table
from xnat_watchd.adapters.xnat.client import QUESTION_TIMEOUT, XnatClient
from xnat_watchd.adapters.xnat.memory import BudgetSpent, hold
from xnat_watchd.adapters.xnat.records import JSON, Cells, path
from xnat_watchd.adapters.xnat.transport import XnatRequest
from xnat_watchd.adapters.xnat.users import is_admin, listed_role
from xnat_watchd.core.errors import Permanent, RepeatOnce, Transient
from xnat_watchd.core.sharing.plan import Action, SeenProject, SeenSession, ShareSubject


def reachable(client: XnatClient, projects: Collection[str]) -> dict[str, bool]:
    """Return those of these projects whose data we may read, and whether we may add to it.

    Newer servers tell this themselves, custom groups included (F250). 1.6 lists our role (F249).
    """
    if client.dialect.is_old:
        return _reachable_on_1_6(client, projects)
    writable = _ids(client, "writable")
    rest = [name for name in projects if name not in writable]
    readable = _ids(client, "readable").intersection(rest) if rest else frozenset[str]()
    return {name: name in writable for name in projects if name in writable or name in readable}


def seen(client: XnatClient, project: str, *, writable: bool) -> SeenProject | None:
    """Return what a project shows: its own subjects and sessions, and those that are shared into it.

    None if it cannot be read now, or if there is no memory for it beside the projects that were seen before: a project
    with endless lists keeps no other from being shared.

    Only the listings below the project have the labels of shares: `/data/experiments?project=` filters by the primary
    project. The listings omit sessions of types that are not registered on the site (F258). A member cannot share
    these anyway, because the right to create is granted by type.
    """
    here = path("projects", project)
    try:
        subjects = client.find(f"{here}/subjects", {"columns": "ID,label", **JSON}, project=project)
        sessions = client.find(f"{here}/experiments", {**_SESSIONS, **JSON}, project=project)
        if subjects is None or sessions is None:
            return None
        rows, named = table(sessions, _COLUMNS), table(subjects, ("ID", "label"))
    except (RepeatOnce, Transient):  # 403; 1.6 answers 500 to a user without a role there (F44); an endless list
        return None
    if not all({"subject_ID", "xsiType"} <= one.keys() for one in rows):  # unknown columns are omitted (F252)
        return None
    return _kept(client, writable, _by_label(named), rows)


def share(client: XnatClient, action: Action) -> None:
    """Ask for one share. A label is always sent: without one, newer servers show the accession ID (F231).

    `primary` is never sent. Without `format=json` the answer about a subject is an HTML page (F46).
    """
    _refuse_ambiguous_id(client, action)
    here = path(*_place(action), "projects", action.destination)
    query = {"label": action.label, "event_reason": "xnat-watchd", **JSON}  # a site may require a reason (F222)
    if client.dialect.is_old and not action.label.isascii():  # it would be stored as `J&#246;rg` (F278)
        if action.label != action.name:
            raise Permanent("XNAT 1.6 would spoil the label", advice="Use a label of plain letters in the table.")
        del query["label"]  # 1.6 then uses the item's own label (F231)
    client.act(
        XnatRequest(method="PUT", path=here, purpose=Purpose.SHARE, query=query, timeout=QUESTION_TIMEOUT),
        action.destination,
    )


def is_shared(client: XnatClient, action: Action) -> bool:
    """Return whether the item itself lists the destination. A GET looks for accession IDs first (F221, F235)."""
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
    known = {name: listed_role(rows[name]) for name in projects if name in rows}
    if all(known.values()) or is_admin(client):  # admins need no role
        return {name: role != "Collaborators" for name, role in known.items()}
    public = {name for name in known if rows[name].get("project_access") == "public"}
    return {name: role not in {"", "Collaborators"} for name, role in known.items() if role or name in public}


def _by_label(rows: Collection[Cells]) -> dict[str, str]:
    """Return accession IDs by label. An item without a unique label gets one that no share table can contain."""
    ids: dict[str, set[str]] = {}
    for one in rows:
        if one.get("ID"):
            ids.setdefault(one.get("label", ""), set()).add(one["ID"])
    return {label if label and len(same) == 1 else f"\0{id_}": id_ for label, same in ids.items() for id_ in same}


class _Sessions(list[SeenSession]):
    """Sessions in a class that allows weak references, by which their memory is released."""


class _Texts:
    """Texts that are kept: each once, however often it is met."""

    def __init__(self) -> None:
        self.size = 0  #: bytes of memory
        self._known: dict[str, str] = {}

    def keep(self, text: str) -> str:
        """Return the text, and count it if it is new."""
        if text not in self._known:
            self.size += getsizeof(text)
        return self._known.setdefault(text, text)


def _kept(client: XnatClient, writable: bool, subjects: dict[str, str], rows: Collection[Cells]) -> SeenProject | None:  # noqa: FBT001
    """Return what is kept of a project until the share tables are applied, if there is memory for it."""
    texts = _Texts()
    by_label = {texts.keep(label): texts.keep(id_) for label, id_ in subjects.items()}
    sessions = _Sessions(
        _session(one, texts) for one in rows if one.get("ID") and one["subject_ID"] and _is_session(one)
    )
    size = texts.size + getsizeof(by_label) + getsizeof(sessions) + sum(map(getsizeof, sessions))
    try:
        hold(client.sharing_memory, size, sessions)
    except BudgetSpent:
        return None
    return SeenProject(writable=writable, subjects=by_label, sessions=sessions)


def _is_session(row: Cells) -> bool:
    """Return whether this is a session, not a form or an assessment. It is not known whether 1.6 can filter by type."""
    return row["xsiType"].lower().endswith("sessiondata")


def _session(row: Cells, texts: _Texts) -> SeenSession:
    label, date = row.get("label") or row["ID"], row.get("date", "")
    return SeenSession(
        id=texts.keep(row["ID"]), label=texts.keep(label), subject=texts.keep(row["subject_ID"]), date=texts.keep(date)
    )


def _owner(action: Action) -> tuple[str, ...]:
    """Return the path segments before an item's ID. Both dialects have a path of their own for sessions (F234)."""
    if isinstance(action, ShareSubject):
        return "projects", action.source, "subjects"
    return ("experiments",)


def _place(action: Action) -> tuple[str, ...]:
    """Return the path segments that name an item in its source.

    In a PUT, XNAT looks for a label before it looks for an accession ID (F221), so the path has the label as listed.
    1.6 garbles a label beyond ASCII in a path, so the path then has the ID. A session is shared below its subject: 1.6
    answers 405 to any other path (seen on 1.6.4).
    """
    named = ((kind, label if label.isascii() else accession) for kind, label, accession in _parts(action))
    return "projects", action.source, *(segment for pair in named for segment in pair)


def _parts(action: Action) -> list[tuple[str, str, str]]:
    """Return kind, label and accession ID of each item on the path."""
    own = (action.name, action.id)
    if isinstance(action, ShareSubject):
        return [("subjects", *own)]
    return [("subjects", action.subject, action.subject_id), ("experiments", *own)]


def _refuse_ambiguous_id(client: XnatClient, action: Action) -> None:
    """Raise `Permanent` if an item must be named by its ID and another item has that ID as its label.

    XNAT would share the other one. Labels come from DICOM headers, so an attacker could choose such a label.
    """
    for kind, label, accession in _parts(action):
        if label.isascii():
            continue
        listed = client.read(path("projects", action.source, kind), {"columns": "ID,label", **JSON})
        if any(one.get("label") == accession for one in table(listed)):
            raise Permanent(
                "another entry in the source has the accession ID of this one as its label",
                detail=accession,
                advice="Rename the other entry in XNAT.",
            )
