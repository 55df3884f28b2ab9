"""Single things of the archive: subjects, experiments, scans and files, read, written and deleted (C8 7, 10, 11)."""

from __future__ import annotations

import re
from datetime import datetime
from shutil import rmtree
from typing import Any

from . import answers, demographics, lists
from .answers import Answer, Refused
from .dicom import clock_time
from .request import Parameters, Request
from .session_xml import About, session_xml
from .site import Site
from .store import Experiment, Resource, Scan, Subject

NO_SUBJECT = "Unable to find the specified subject."
NO_EXPERIMENT = "Unable to find the specified experiment."
NO_SCAN = "Unable to find the specified scan."
LABEL = re.compile(r"[A-Za-z0-9_-]+")
EXPERIMENT_FIELD = re.compile(r"xnat:\w+/fields/field\[name=(?P<name>[^\]]+)\]/field")


def subject_item(site: Site, request: Request) -> Answer:
    """GET .../subjects/S: demographics, custom fields, sessions (C8 7.2, captures 286, 321)."""
    subject = find_subject(site, request)
    nodes = [experiment_node(one) for one in site.store.experiments.values() if one.subject_id == subject.id]
    fields = {"ID": subject.id, "label": subject.label, "project": subject.project, **subject.values}
    children = {
        "fields/field": _field_nodes("xnat:subjectData_field", subject.fields, subject.insert_date),
        "demographics": _demographic_nodes(subject),
        "sharing/share": _share_nodes("xnat:projectParticipant", subject.shares, subject.insert_date),
        "experiments/experiment": nodes,
    }
    return answers.items(answers.item("xnat:subjectData", fields, children, subject.insert_date))


def find_subject(site: Site, request: Request) -> Subject:
    """Find the subject that a path names, by label or id, else 404 (F44)."""
    name, project = request.names["subject"], request.names.get("project", "")
    subject = site.store.subject(project, name) if project else site.store.subjects.get(name)
    if subject is None or not site.may_read(request.user, project or subject.project):
        where = f" The project {project} does not contain a subject identifiable by the ID or label {name}."
        raise Refused(404, NO_SUBJECT + (where if project and request.method == "GET" else ""))
    return subject


def put_subject(site: Site, request: Request) -> Answer:
    """PUT .../subjects/S: make, change or rename it; the body of the answer is its id (C8 7.1, F40 to F44, F59)."""
    name, project = request.names["subject"], request.names["project"]
    values = request.query if site.is_old else request.query + request.form()
    if project not in site.store.projects or not site.may_see(request.user, project):
        raise Refused(422, "Submitted subject record must include the project attribute.")
    known = site.store.subject(project, name) if site.may_read(request.user, project) else None
    _check_right(site, request.user, project, "edit" if known else "create")
    if known and "label" in values:
        return _rename(site, known, values.get("label"))
    subject = known or _new_subject(site, request, project, name)
    demographics.apply(site, subject, values.pairs)
    site.store.subjects[subject.id] = subject
    return answers.text(subject.id, 200 if known else 201)


def _check_right(site: Site, user: str, project: str, verb: str) -> None:
    if not site.may_edit(user, project):
        words = f"Specified user account has insufficient {verb} privileges for subjects in this project."
        raise Refused(403, words)


def _new_subject(site: Site, request: Request, project: str, name: str) -> Subject:
    if not LABEL.fullmatch(name):
        raise Refused(500)
    return Subject(site.store.accession("S"), name, project, request.user, site.now())


def _rename(site: Site, subject: Subject, label: str) -> Answer:
    """Rename a subject; all other parameters of the request are dropped (C8 7.1, F44)."""
    if label == subject.label:
        return Answer()
    if any(label == taken for taken, _ in site.store.subjects_in(subject.project)):
        raise Refused(409, "Specified label is already in use.")
    if not LABEL.fullmatch(label):
        raise Refused(500)
    subject.label = label
    return Answer()


def delete_subject(site: Site, request: Request) -> Answer:
    """DELETE .../subjects/S with its sessions: owners only (C8 7.2, F50, F56)."""
    subject = find_subject(site, request)
    if not site.may_delete(request.user, subject.project):
        raise Refused(403, f"User cannot delete subjects for project {subject.project}")
    forget_subject(site, subject)
    return Answer()


def forget_subject(site: Site, subject: Subject) -> None:
    """Take a subject and its sessions away."""
    for experiment in [one for one in site.store.experiments.values() if one.subject_id == subject.id]:
        forget_experiment(site, experiment)
    site.store.subjects.pop(subject.id)


def experiment_item(site: Site, request: Request) -> Answer:
    """GET an experiment by any of its paths (capture 291, C8 17.5)."""
    found = find_experiment(site, request)
    if request.query.get("format") == "xml":
        about = About(found.id, found.project, found.label, found.subject_id, found.prearchive_path)
        return Answer(200, session_xml(found.session, about).encode(), "text/xml")
    return answers.items(experiment_node(found))


def find_experiment(site: Site, request: Request) -> Experiment:
    """Find the experiment that a path names; without a project only its id will do."""
    name, project = request.names["experiment"], request.names.get("project", "")
    found = site.store.experiment(project, name) if project else site.store.experiments.get(name)
    if found is None or not site.may_read(request.user, project or found.project):
        raise Refused(404, NO_EXPERIMENT)
    subject = request.names.get("subject")
    owner = site.store.subject(project, subject) if subject else None
    if subject and (owner is None or owner.id != found.subject_id):
        raise Refused(404, NO_EXPERIMENT)
    return found


def experiment_node(experiment: Experiment) -> dict[str, Any]:
    """Give the item form of an experiment with its scans (capture 291)."""
    session = experiment.session
    header = session.header
    fields = {
        "ID": experiment.id, "id": experiment.id, "label": experiment.label, "project": experiment.project,
        "subject_ID": experiment.subject_id, "UID": session.uid, "modality": session.modality,
        "prearchivePath": experiment.prearchive_path, "date": header.date, "time": header.time,
        "dcmPatientId": header.patient_id, "dcmPatientName": header.patient_name,
        "session_type": header.study_description, "acquisition_site": header.institution, "scanner": header.station,
        "scanner/manufacturer": header.manufacturer, "scanner/model": header.model, **experiment.values,
    }  # fmt: skip
    children = {
        "fields/field": _field_nodes("xnat:experimentData_field", experiment.fields, experiment.insert_date),
        "sharing/share": _share_nodes("xnat:experimentData_share", experiment.shares, experiment.insert_date),
        "scans/scan": [scan_node(experiment, scan) for scan in session.scans.values()],
    }
    kept = {name: value for name, value in fields.items() if value}
    return answers.item(session.kind, kept, children, experiment.insert_date)


def scan_node(experiment: Experiment, scan: Scan) -> dict[str, Any]:
    """Give the item form of a scan; its file counts are numbers here (recorded-1.8, capture 296)."""
    header = scan.header
    fields = {
        "ID": scan.id, "UID": scan.uid, "type": header.series_description, "frames": scan.frames,
        "series_description": header.series_description, "modality": "" if header.is_primary else header.modality,
        "quality": "usable", "image_session_ID": experiment.id, "xnat_imagescandata_id": scan.number,
        "xnat_imageScanData_id": scan.number, "startTime": clock_time(header.series_time), "scanner": header.station,
        "scanner/manufacturer": header.manufacturer, "scanner/model": header.model,
    }  # fmt: skip
    files = [
        answers.item(
            "xnat:resourceCatalog",
            {
                "label": resource.label, "file_count": len(resource.files), "file_size": resource.size,
                "format": "DICOM", "content": "RAW", "xnat_abstractresource_id": resource.number,
                "xnat_abstractResource_id": resource.number,
                "URI": f"/data/xnat/archive/{experiment.project}/arc001/{experiment.label}/SCANS/{scan.id}/"
                f"{resource.label}/scan_{scan.id}_catalog.xml",
            },
            {},
            experiment.insert_date,
        )
        for resource in scan.resources.values()
    ]  # fmt: skip
    kept = {name: value for name, value in fields.items() if value}
    return answers.item(scan.kind, kept, {"file": files}, experiment.insert_date)


def put_experiment(site: Site, request: Request) -> Answer:
    """PUT values into an experiment; by its flat URI nothing is stored on newer servers (C8 17.10, capture 347)."""
    experiment = find_experiment(site, request)
    if not site.may_edit(request.user, experiment.project):
        raise Refused(403)
    if "project" in request.names or site.is_old:
        _store_values(experiment, request.query)
    return answers.text(experiment.id)


def _store_values(experiment: Experiment, values: Parameters) -> None:
    for name, value in values.pairs:
        if field := EXPERIMENT_FIELD.fullmatch(name):
            experiment.fields[field["name"].lower()] = value
        elif name == "note":
            experiment.values[name] = value


def delete_experiment(site: Site, request: Request) -> Answer:
    """DELETE an experiment: owners only (F50, C8 5.6)."""
    experiment = find_experiment(site, request)
    if not site.may_delete(request.user, experiment.project):
        raise Refused(403, f"User cannot delete experiments for project {experiment.project}")
    forget_experiment(site, experiment)
    return Answer()


def forget_experiment(site: Site, experiment: Experiment) -> None:
    """Take an archived session and its files away."""
    site.store.experiments.pop(experiment.id)
    rmtree(site.store.home(experiment), ignore_errors=True)


def scans(site: Site, request: Request) -> Answer:
    """GET .../scans."""
    return lists.scans(site, find_experiment(site, request), request)


def scan_item(site: Site, request: Request) -> Answer:
    """GET .../scans/S (capture 296)."""
    experiment = find_experiment(site, request)
    return answers.items(scan_node(experiment, _scan(experiment, request)))


def session_resources(site: Site, request: Request) -> Answer:
    """GET .../experiments/E/resources[?all=true] (C8 11)."""
    return lists.resources(site, find_experiment(site, request), request)


def scan_resources(site: Site, request: Request) -> Answer:
    """GET .../scans/S/resources (capture 297)."""
    return lists.resource_table(_resources(find_experiment(site, request), request))


def files(site: Site, request: Request) -> Answer:
    """GET .../scans/S/files and .../scans/S/resources/R/files (captures 298 to 302)."""
    experiment = find_experiment(site, request)
    base = f"/data/experiments/{experiment.id}"
    if "subject" in request.names and "resource" in request.names:
        base = f"/data/projects/{request.names['project']}/subjects/{experiment.subject_id}/experiments/{experiment.id}"
    return lists.file_table(_resources(experiment, request), base, with_digest=not site.is_old)


def session_files(site: Site, request: Request) -> Answer:
    """GET .../experiments/E/files: only those of the session itself, which are none (F53)."""
    find_experiment(site, request)
    return lists.file_table([], "", with_digest=False)


def file(site: Site, request: Request) -> Answer:
    """GET one file: its bytes (capture 304)."""
    for _, resource in _resources(find_experiment(site, request), request):
        if found := resource.files.get(request.names["file"]):
            return Answer(200, found.path, "application/octet-stream")
    raise Refused(404)


def _scan(experiment: Experiment, request: Request) -> Scan:
    found = experiment.session.scans.get(request.names["scan"])
    if found is None:
        raise Refused(404, NO_SCAN)
    return found


def _resources(experiment: Experiment, request: Request) -> list[tuple[Scan, Resource]]:
    """Find the resources that a path names: of one scan or `ALL`, by label or number, or all of them."""
    everything = request.names["scan"] == "ALL"
    chosen = list(experiment.session.scans.values()) if everything else [_scan(experiment, request)]
    wanted = request.names.get("resource")
    return [
        (scan, resource)
        for scan in chosen
        for resource in scan.resources.values()
        if wanted in {None, resource.label, str(resource.number)}
    ]


def _field_nodes(kind: str, fields: dict[str, str], since: datetime) -> list[dict[str, Any]]:
    own = f"{kind.replace(':', '_')}_id"
    return [
        answers.item(kind, {"name": name, "field": value, own: number}, {}, since)
        for number, (name, value) in enumerate(fields.items(), 1)
    ]


def _demographic_nodes(subject: Subject) -> list[dict[str, Any]]:
    if not subject.demographics:
        return []
    number = int(subject.id.rpartition("_S")[2])
    numbers = {"xnat_abstractDemographicData_id": number, "xnat_abstractdemographicdata_id": number}
    return [answers.item("xnat:demographicData", {**subject.demographics, **numbers}, {}, subject.insert_date)]


def _share_nodes(kind: str, shares: dict[str, str], since: datetime) -> list[dict[str, Any]]:
    own = f"{kind.replace(':', '_')}_id"
    return [
        answers.item(kind, {"project": project, "label": label, own: number}, {}, since)
        for number, (project, label) in enumerate(shares.items(), 1)
    ]
