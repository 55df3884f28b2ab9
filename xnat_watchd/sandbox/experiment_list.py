"""The lists of experiments: of a project, of a subject, or of everything that may be read (F48, F257, F258)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .answers import Refused, Reply
from .lists import Cells, chosen_cells, filtered, paged
from .request import Request
from .site import Site, from_path, sql_time
from .store import Experiment

GENERAL = frozenset({"xnat:imageSessionData", "xnat:subjectAssessorData", "xnat:experimentData"})
SCANS = "xnat:imageSessionData/scans/scan"
TYPE = re.compile(r"xnat:\w+(?:Session|Assessor)Data")


def experiments(site: Site, request: Request) -> Reply:
    """GET the experiments of a project, of a subject, or of all (F257, F258)."""
    shown = list(_experiments(site, request))
    kinds = [kind for kind in request.query.get("xsiType").split(",") if kind]
    rows = [
        {**_experiment(site, project, experiment.label if site.is_old and kinds else label, experiment), **cells}
        for project, label, experiment in shown
        if not kinds or GENERAL.intersection(kinds) or experiment.session.kind in kinds
        for cells in _scans(experiment, request)
    ]
    default = ("ID", "project", "date", "xsiType", "label", "insert_date", "URI")
    extra = _extra_columns(request, old=site.is_old)
    if not (site.is_old and "project" in request.names):  # that list does not filter (F90)
        rows = filtered(rows, request)
    chosen = [{**chosen_cells(row, request, default, extra[1:]), **_own_id(row, extra[0])} for row in rows]
    return paged(chosen, request, **({} if "project" in request.names else {"title": "Matching experiments"}))


def _scans(experiment: Experiment, request: Request) -> list[Cells]:
    """Return a row's cells for every resource of every scan, where columns of scans are asked for (F91)."""
    if SCANS not in request.query.get("columns"):
        return [{}]
    return [
        {
            f"{SCANS}/ID": scan.id, f"{SCANS}/UID": scan.uid, f"{SCANS}/file/file_count": str(len(resource.files)),
            f"{SCANS}/file/label": resource.label,
        }
        for scan in experiment.session.scans.values()
        for resource in scan.resources.values()
    ] or [{}]  # fmt: skip


def _extra_columns(request: Request, *, old: bool) -> tuple[str, ...]:
    """Return the key under which each row repeats its ID, and the columns that every row has (F257).

    The key depends on the type that the query names. Without a type, the list of a project has a key of its own and
    the flat list has none. On 1.6, the general type of images has a key of its own.
    """
    if old and request.query.get("xsiType") == "xnat:imageSessionData":
        return ("session_ID", "URI", "xsiType", "project")
    named = [request.query.get("xsiType"), *request.query.get("columns").split(",")]
    kind = next((found[0] for name in named if (found := TYPE.match(name))), "")
    if kind:
        return f"{kind.lower()}/id", "URI"
    return ("xnat:subjectassessordata/id", "URI", "xsiType", "project") if "project" in request.names else ("", "URI")


def _own_id(row: Cells, key: str) -> Cells:
    return {key: row["ID"]} if key else {}


def _experiments(site: Site, request: Request) -> Iterable[tuple[str, str, Experiment]]:
    names = [name for name in (request.names.get("project") or request.query.get("project")).split(",") if name]
    if "project" in request.names:
        site.project(names[0], request.user)
    wanted = [site.store.projects[name] for name in names if name in site.store.projects]
    subject = from_path(site, request.names.get("subject", ""))
    for project in wanted if names else site.store.projects.values():
        if not site.may_read(request.user, project.id):
            continue
        owner = site.store.subject(project.id, subject) if subject else None
        if subject and owner is None:
            raise Refused(404)
        for label, experiment in site.store.experiments_in(project.id):
            shared_twice = not names and experiment.project != project.id
            if not shared_twice and (owner is None or experiment.subject_id == owner.id):
                yield project.id, label, experiment


def _experiment(site: Site, project: str, label: str, experiment: Experiment) -> Cells:
    """Return an experiment's cells; newer servers name the project it is shown in, 1.6.5 its own (F48)."""
    session = experiment.session
    subject = site.store.subjects[experiment.subject_id]
    return {
        "ID": experiment.id, "project": experiment.project if site.is_old else project,
        "date": session.header.date, "time": session.header.time,
        "xsiType": session.kind, "label": label, "insert_date": sql_time(experiment.insert_date),
        "insert_user": experiment.insert_user, "last_modified": "", "URI": f"/data/experiments/{experiment.id}",
        "subject_ID": subject.id, "subject_label": subject.label,
        "UID": session.uid, "studyInstanceUID": session.uid, "modality": session.modality,
        "dcmPatientId": session.header.patient_id, "dcmPatientName": session.header.patient_name,
        "dcmAccessionNumber": session.header.accession, "scanner": session.header.station,
        "prearchivePath": experiment.prearchive_path,
    }  # fmt: skip
