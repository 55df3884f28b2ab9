"""The lists of the archive: projects, subjects, experiments, scans, resources, files (F51 to F54)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from . import answers
from .answers import Refused, Reply
from .demographics import DEMOGRAPHICS, PLAIN
from .request import Parameters, Request
from .session_xml import project_xml
from .site import Site, from_path, sql_time
from .store import Experiment, Resource, StoredProject, StoredScan, StoredSubject

Cells = dict[str, Any]
PROJECT_COLUMNS = ("ID", "secondary_ID", "name", "description", "pi_firstname", "pi_lastname", "URI")
FIELDS = "xnat:subjectData/fields/field"
ROLES = ("owner", "member", "collaborator")
NOT_COLUMNS = frozenset(
    {"format", "columns", "sortBy", "sortOrder", "accessible", "data", "limit", "offset", "project"} | set(ROLES)
)


def projects(site: Site, request: Request) -> Reply:
    """GET /data/projects, with `accessible=true` or `data=writable|readable` (F249, F250)."""
    shown = [project for project in site.store.projects.values() if site.may_see(request.user, project.id)]
    access = request.query.get("data")
    if request.query.get("permissions") == "create":
        return _projects_for_new_data(site, request, shown)
    if access:
        allowed = {"writable": site.may_edit, "readable": site.may_read}.get(access)
        if allowed is None:
            raise Refused(400)
        shown = [project for project in shown if allowed(request.user, project.id)]
    for role in ROLES:
        if request.query.flag(role):
            shown = [project for project in shown if project.roles.get(request.user) == role]
    if request.query.get("accessible") == "true":
        rows = [_accessible(site, request.user, project) for project in shown]
        user = _number(site, request.user)
        return answers.table(rows, xdat_user_id=user, totalRecords=str(len(rows)), title="Projects")
    more = ("URI", "ID") if "alias" in request.query.get("columns") else ("URI",)
    more = (*more, "prearc_code") if request.query.flag("prearc_code") else more
    return paged([chosen_cells(_project(project), request, PROJECT_COLUMNS, more) for project in shown], request)


def _projects_for_new_data(site: Site, request: Request, shown: Sequence[StoredProject]) -> Reply:
    """Return the projects where the user may create subjects; for images, all projects that the user sees (F92)."""
    if request.query.get("dataType") == "xnat:subjectData":
        shown = [project for project in shown if site.may_edit(request.user, project.id)]
    return answers.table([{"id": project.id, "secondary_id": project.id} for project in shown])


def _project(project: StoredProject) -> Cells:
    return {
        "ID": project.id, "secondary_ID": project.id, "name": project.name, "description": project.description,
        "pi_firstname": "", "pi_lastname": "", "URI": f"/data/projects/{project.id}",
        "prearc_code": project.prearchive_code, "alias": "",
    }  # fmt: skip


def _accessible(site: Site, user: str, project: StoredProject) -> Cells:
    """Return a project as `accessible=true` lists it, with other columns in lower case (F249)."""
    role = {"owner": "Owners", "member": "Members", "collaborator": "Collaborators"}.get(site.role(user, project.id))
    number = _number(site, user)
    return {
        "project_access": project.accessibility, "quarantine_status": "active", "insert_user": project.made_by,
        "project_access_img": "/@WEBAPPimages/key.gif", "insert_date": sql_time(project.insert_date),
        "description": project.description, f"user_role_{number}": role or "", "project_invs": "",
        "secondary_id": project.id,
        f"last_accessed_{number}": "", "name": project.name, "pi": "", "id": project.id,
    }  # fmt: skip


def _number(site: Site, user: str) -> str:
    """Return the number of a user, which is part of the names of two columns (F249)."""
    return str([*site.user_names, user].index(user) + 1)


def user_table(site: Site, _: Request) -> Reply:
    """GET /data/users (F246)."""
    rows = [
        {"xdat_user_id": _number(site, one), "login": one, "firstname": one, "lastname": "User",
         "email": f"{one}@localhost.localdomain"}
        for one in site.user_names
    ]  # fmt: skip
    return answers.counted(rows, title="Projects")


def project_item(site: Site, request: Request) -> Reply:
    """GET /data/projects/P (F125)."""
    project = site.project(request.names["project"], request.user)
    if request.query.get("format") == "xml":
        return answers.xml(project_xml(project, request.site_url))
    fields = {"ID": project.id, "secondary_ID": project.id, "name": project.name}
    return answers.items(answers.item("xnat:projectData", fields, {}, project.insert_date))


def make_project(site: Site, request: Request) -> Reply:
    """POST /data/projects: 409 where it exists (F226), else 403; only `Sandbox.add_project` creates projects."""
    raise Refused(409 if request.query.get("ID") in site.store.projects else 403)


def prearchive_code(site: Site, request: Request) -> Reply:
    """GET or PUT /data/projects/P/prearchive_code; the answer is a page with the bare number (F251)."""
    project = site.project(request.names["project"], request.user)
    code = request.names.get("code")
    if request.method == "PUT":
        if not site.may_delete(request.user, project.id):
            raise Refused(403)
        project.prearchive_code = int(code) if code and code.isdigit() else project.prearchive_code
        return Reply()
    return Reply(200, str(project.prearchive_code).encode(), answers.PAGE)


def accessibility(site: Site, request: Request) -> Reply:
    """GET /data/projects/P/accessibility (F251)."""
    return answers.text(site.project(request.names["project"], request.user).accessibility)


def subjects(site: Site, request: Request) -> Reply:
    """GET the subjects of a project, or all subjects that the user may read (F44, F250, F256)."""
    default = ("ID", "project", "label", "insert_date", "insert_user", "URI")
    if "project" in request.names:
        project = site.project(request.names["project"], request.user)
        if not site.may_read(request.user, project.id):
            raise Refused(500 if site.is_old else 403)
        found = list(site.store.subjects_in(project.id))
    else:
        found = [(one.label, one) for one in site.store.subjects.values() if site.may_read(request.user, one.project)]
        if "project" in request.query:
            found = [(label, one) for label, one in found if one.project in request.query.get("project").split(",")]
    rows = [{**_subject(label, subject), **cells} for label, subject in found for cells in _fields(subject, request)]
    if "label" in request.query and not (site.is_old and "project" in request.names):
        # The filter compares the label in the subject's own project only (F235), on 1.6 only labels in ASCII (F92).
        wanted = from_path(site, request.query.get("label"))
        rows = [row for row in rows if _matches(row["own label"], wanted)]
        request.query = Parameters([pair for pair in request.query.pairs if pair[0] != "label"])
    return paged([chosen_cells(row, request, default, ("URI",)) for row in filtered(rows, request)], request)


def _fields(subject: StoredSubject, request: Request) -> list[Cells]:
    """Return the cells of each custom field, for a row each; one empty entry where they are not asked for (F92)."""
    if FIELDS not in request.query.get("columns"):
        return [{}]
    return [{f"{FIELDS}/name": name, f"{FIELDS}/field": value} for name, value in (subject.fields or {"": ""}).items()]


def _subject(label: str, subject: StoredSubject) -> Cells:
    """Return the cells of a subject; `label` is its label in the listed project."""
    return {
        **dict.fromkeys(DEMOGRAPHICS | PLAIN, ""), **subject.demographics, **subject.values,
        "ID": subject.id, "project": subject.project, "label": label, "own label": subject.label,
        "insert_date": sql_time(subject.insert_date),
        "insert_user": subject.insert_user, "last_modified": "", "URI": f"/data/subjects/{subject.id}",
    }  # fmt: skip


def scans(_: Site, experiment: Experiment, request: Request) -> Reply:
    """GET .../scans, which has no file counts (F53)."""
    default = ("xnat_imagescandata_id", "ID", "type", "quality", "xsiType", "note", "series_description", "URI")
    rows = [_scan(experiment, scan) for scan in experiment.session.scans.values()]
    return answers.counted([chosen_cells(row, request, default, ("URI", "xnat_imagescandata_id")) for row in rows])


def _scan(experiment: Experiment, scan: StoredScan) -> Cells:
    return {
        "xnat_imagescandata_id": scan.number, "ID": scan.id, "quality": "usable", "xsiType": scan.kind, "note": "",
        "type": scan.header.series_description or "unknown", "series_description": scan.header.series_description,
        "frames": scan.frames, "UID": scan.uid, "modality": scan.header.modality,
        "URI": f"/data/experiments/{experiment.id}/scans/{scan.id}",
    }  # fmt: skip


def resources(_: Site, experiment: Experiment, request: Request) -> Reply:
    """GET .../resources: with `all=true` those of all scans, else those of the session itself, i.e. none (F53)."""
    chosen = experiment.session.scans.values() if request.query.flag("all") else []
    return resource_table([(scan, resource) for scan in chosen for resource in scan.resources.values()])


def resource_table(pairs: Sequence[tuple[StoredScan, Resource]]) -> Reply:
    """Return the table of these resources with their file counts (F53)."""
    rows = [
        {
            "xnat_abstractresource_id": resource.number, "label": resource.label,
            "element_name": "xnat:resourceCatalog", "category": "scans", "cat_id": scan.id,
            "cat_desc": scan.header.series_description or "unknown", "file_count": len(resource.files),
            "file_size": resource.size, "tags": "", "format": "DICOM",
            "content": "RAW" if resource.label == "DICOM" else resource.label,
        }
        for scan, resource in pairs
    ]  # fmt: skip
    return answers.counted(rows, title="Resources")


def file_table(pairs: Sequence[tuple[StoredScan, Resource]], base: str, *, with_digest: bool) -> Reply:
    """Return the table of the files of these resources with their URIs (F53)."""
    digest = {"digest": ""} if with_digest else {}
    rows = [
        {
            "Name": file.name, "Size": file.size, "collection": resource.label, "file_tags": "",
            "URI": f"{base}/scans/{scan.id}/resources/{resource.number}/files/{file.name}", "file_format": "DICOM",
            "file_content": "", "cat_ID": resource.number, **digest,
        }
        for scan, resource in pairs
        for file in resource.files.values()
    ]  # fmt: skip
    return answers.table(rows, columns=[{"key": "URI", "serverRoot": ""}], title="Files")


def chosen_cells(row: Cells, request: Request, default: Sequence[str] = (), extra: Sequence[str] = ()) -> Cells:
    """Return the requested columns, or the default ones; unknown names are ignored in silence (F252)."""
    asked = [name for name in request.query.get("columns").split(",") if name]
    names = [*asked, *extra] if asked else [*(default or row), *extra]
    return {_key(name, row): _value(name, row) for name in names if _value(name, row) is not None}


def _key(name: str, row: Mapping[str, Any]) -> str:
    """Return the key of a column in the answer: a short name as it is, an XPath in lower case (F252)."""
    return name if name in row and "/" not in name else name.lower()


def _value(name: str, row: Mapping[str, Any]) -> object:
    return row.get(name, row.get(name.rsplit("/", 1)[-1]))


def paged(rows: list[Cells], request: Request, **extras: object) -> Reply:
    """Return all rows with their number, or the requested page without it (F255)."""
    query = request.query
    if not {"offset", "limit"} & {name for name, _ in query.pairs}:
        return answers.counted(rows, **extras)
    first = int(query.get("offset")) if query.get("offset").isdigit() else 0
    limit = query.get("limit", default="100")
    return answers.table(rows[first : first + int(limit) if limit.isdigit() else None], **extras)


def filtered(rows: list[Cells], request: Request) -> list[Cells]:
    """Return the rows that match the columns in the query: `,` means or, `*` and `%` are wildcards (F254)."""
    for name, wanted in request.query.pairs:
        if name not in NOT_COLUMNS | {"xsiType"} and rows and _value(name, rows[0]) is not None:
            rows = [row for row in rows if _matches(str(_value(name, row)), wanted)]
    return _sorted(rows, request.query.get("sortBy"), descends=request.query.get("sortOrder") == "DESC")


def _matches(value: str, wanted: str) -> bool:
    return any(fnmatchcase(value, one.replace("%", "*").replace("[", "[[]")) for one in wanted.split(","))


def _sorted(rows: list[Cells], columns: str, *, descends: bool) -> list[Cells]:
    if not columns:
        return rows
    key: Callable[[Cells], tuple[str, ...]] = lambda row: tuple(str(_value(one, row)) for one in columns.split(","))  # noqa: E731
    return sorted(rows, key=key, reverse=descends)
