"""Read, write and delete single subjects, experiments, scans and files of the archive."""

from __future__ import annotations

import re
from shutil import rmtree
from urllib.parse import quote

from . import answers, demographics, items, lists, subject_form
from .answers import Refused, Reply
from .downloads import zip_of
from .prearchive_actions import remove
from .request import Parameters, Request
from .session_xml import context_of, session_xml, subject_xml
from .site import Site, from_path
from .store import Experiment, Resource, StoredScan, StoredSubject

NO_SUBJECT = "Unable to find the specified subject."
NO_EXPERIMENT = "Unable to find the specified experiment."
NO_SCAN = "Unable to find the specified scan."
OTHER_PROJECT = "Project must be modified through separate URI."
LABEL = re.compile(r"[A-Za-z0-9_-]+")
EXPERIMENT_FIELD = re.compile(r"xnat:\w+/fields/field\[name=(?P<name>[^\]]+)\]/field")


def subject_item(site: Site, request: Request) -> Reply:
    """GET .../subjects/S: demographics, custom fields, sessions (F125)."""
    subject = find_subject(site, request)
    own = sessions_of(site, subject)
    if request.query.get("format") == "xml":
        return answers.xml(subject_xml(subject, own, request.site_url))
    return answers.items(items.subject(subject, own))


def find_subject(site: Site, request: Request) -> StoredSubject:
    """Return the subject that a path names by label or ID, or refuse with 404 (F44)."""
    name, project = from_path(site, request.names["subject"]), request.names.get("project", "")
    subject = site.store.subject(project, name) if project else site.store.subjects.get(name)
    if subject is None and not site.is_old:  # by its ID below any project (F221)
        subject, project = site.store.subjects.get(name), ""
    if subject is None or not site.may_read(request.user, project or subject.project):
        project = request.names.get("project", "")
        shown = _shown(request, name)
        where = f" The project {project} does not contain a subject identifiable by the ID or label {shown}."
        raise Refused(404, NO_SUBJECT + (where if project and request.method == "GET" else ""))
    return subject


def _shown(request: Request, name: str) -> str:
    """Return a name as the refusal shows it; a name beyond ASCII stays encoded as in the path (F80)."""
    given = request.names["subject"]
    return name if given.isascii() else quote(given, safe="")


def put_subject(site: Site, request: Request) -> Reply:
    """PUT .../subjects/S: create, change or rename it; the answer is its ID (F40 to F44, F59, F215, F216)."""
    name, project = from_path(site, request.names["subject"]), request.names["project"]
    values = request.query + subject_form.values_of(request)
    if not site.is_old:
        values += request.form()
    if project not in site.store.projects or not site.may_see(request.user, project):
        raise Refused(422, "Submitted subject record must include the project attribute.")
    known = site.store.subject(project, name) if site.may_read(request.user, project) else None
    _check_right(site, request.user, project, "edit" if known else "create")
    if known and "label" in request.query + request.form():
        return _rename(site, known, values.get("label"))
    _check_identity(site, project, known, values)
    subject = known or _new_subject(site, request, project, name, values.get("ID", default=""))
    demographics.apply(site, subject, values.pairs)
    site.store.subjects[subject.id] = subject
    return answers.text(subject.id, 200 if known else 201)


def make_subject(site: Site, request: Request) -> Reply:
    """POST /data/projects/P/subjects?label=L; 409 where the label exists (F226)."""
    request.names["subject"] = request.query.get("label")
    if site.store.subject(request.names["project"], request.names["subject"]):
        raise Refused(409)
    return put_subject(site, request)


def _check_right(site: Site, user: str, project: str, verb: str) -> None:
    if not site.may_edit(user, project):
        words = f"Specified user account has insufficient {verb} privileges for subjects in this project."
        raise Refused(403, words)


def _new_subject(site: Site, request: Request, project: str, name: str, accession: str) -> StoredSubject:
    """Return a new subject, which keeps an accession ID that it was given."""
    if not LABEL.fullmatch(name):
        raise Refused(500)
    return StoredSubject(accession or site.store.accession("S"), name, project, request.user, site.now())


def _check_identity(site: Site, project: str, known: StoredSubject | None, values: Parameters) -> None:
    """Refuse another ID or project for an existing subject, and the ID of another project's for a new one (F218)."""
    if known is None:
        found = site.store.subjects.get(values.get("ID", default=""))
        if found is not None and found.project != project:
            raise Refused(409, OTHER_PROJECT)
        return
    if values.get("ID", default=known.id) != known.id:
        raise Refused(400, "ID cannot be modified")
    if values.get("project", default=known.project) != known.project:
        raise Refused(400, OTHER_PROJECT)


def _rename(site: Site, subject: StoredSubject, label: str) -> Reply:
    """Rename a subject; all other parameters of the request are ignored (F44, F216)."""
    if label == subject.label:
        return Reply()
    if any(label == taken for taken, _ in site.store.subjects_in(subject.project)):
        raise Refused(409, "Specified label is already in use.")
    if not LABEL.fullmatch(label):
        raise Refused(500)
    if not site.is_old and any(one.is_in_the_making(site.now()) for one in sessions_of(site, subject)):
        raise Refused(409)
    subject.label = label
    return Reply()


def delete_subject(site: Site, request: Request) -> Reply:
    """DELETE .../subjects/S with its sessions, for owners only (F50, F56)."""
    subject, project = find_subject(site, request), request.names.get("project", "")
    if project in subject.shares and site.may_delete(request.user, project):
        unshare(site, subject, project)
        return Reply()
    if not site.may_delete(request.user, subject.project):
        raise Refused(403, f"User cannot delete subjects for project {subject.project}")
    remove_subject(site, subject)
    return Reply()


def unshare(site: Site, subject: StoredSubject, project: str) -> None:
    """Remove a subject and its sessions from a project into which they are shared (F223, F236)."""
    subject.shares.pop(project)
    for experiment in sessions_of(site, subject):
        experiment.shares.pop(project, None)


def sessions_of(site: Site, subject: StoredSubject) -> list[Experiment]:
    """Return the sessions of a subject."""
    return [one for one in site.store.experiments.values() if one.subject_id == subject.id]


def remove_subject(site: Site, subject: StoredSubject) -> None:
    """Delete a subject and its sessions."""
    for experiment in sessions_of(site, subject):
        remove_experiment(site, experiment)
    site.store.subjects.pop(subject.id)


def delete_project(site: Site, request: Request) -> Reply:
    """DELETE /data/projects/P with its content, for owners only; 200 also where it is gone already (F56)."""
    name = request.names["project"]
    if name in site.store.projects and not site.may_delete(request.user, name):
        raise Refused(403)
    for experiment in [one for one in site.store.experiments.values() if one.project == name]:
        remove_experiment(site, experiment)
    for subject in [one for one in site.store.subjects.values() if one.project == name]:
        remove_subject(site, subject)
    for row in site.store.rows_of(name):
        remove(site, row)
    site.store.projects.pop(name, None)
    return Reply()


def experiment_item(site: Site, request: Request) -> Reply:
    """GET an experiment by any of its paths (F125, F203)."""
    found = find_experiment(site, request)
    if request.query.get("format") == "xml":
        return answers.xml(session_xml(found.session, context_of(found), request.site_url))
    return answers.items(items.experiment(found))


def find_experiment(site: Site, request: Request) -> Experiment:
    """Return the experiment that a path names: by label or ID below a project, else by ID only."""
    name, project = from_path(site, request.names["experiment"]), request.names.get("project", "")
    found = site.store.experiment(project, name) if project else site.store.experiments.get(name)
    if found is None or not site.may_read(request.user, project or found.project):
        raise Refused(404, NO_EXPERIMENT)
    subject = from_path(site, request.names.get("subject", ""))
    owner = site.store.subject(project, subject) if subject else None
    if subject and (owner is None or owner.id != found.subject_id):
        raise Refused(404, NO_EXPERIMENT)
    return found


def put_experiment(site: Site, request: Request) -> Reply:
    """PUT values into an experiment; by its URI without a project, newer servers store nothing (F227)."""
    experiment = find_experiment(site, request)
    if not site.may_edit(request.user, experiment.project):
        raise Refused(403)
    label = request.query.get("label")
    if label and label != experiment.label and "subject" in request.names:  # a rename, as for a subject (F44)
        if any(one.label == label for one in site.store.experiments.values() if one.project == experiment.project):
            raise Refused(409, "Specified label is already in use.")
        experiment.label = label
        return Reply()
    if "project" in request.names or site.is_old:
        _store_values(experiment, request.query)
    return answers.text(experiment.id)


def _store_values(experiment: Experiment, values: Parameters) -> None:
    for name, value in values.pairs:
        if field := EXPERIMENT_FIELD.fullmatch(name):
            experiment.fields[field["name"].lower()] = value
        elif name == "note":
            experiment.values[name] = value


def delete_experiment(site: Site, request: Request) -> Reply:
    """DELETE an experiment, for owners only (F50)."""
    experiment = find_experiment(site, request)
    if not site.may_delete(request.user, experiment.project):
        raise Refused(403, f"User cannot delete experiments for project {experiment.project}")
    remove_experiment(site, experiment)
    return Reply()


def remove_experiment(site: Site, experiment: Experiment) -> None:
    """Delete an archived session and its files."""
    site.store.experiments.pop(experiment.id)
    rmtree(site.store.session_folder(experiment), ignore_errors=True)


def scans(site: Site, request: Request) -> Reply:
    """GET .../scans."""
    return lists.scans(site, find_experiment(site, request), request)


def scan_item(site: Site, request: Request) -> Reply:
    """GET .../scans/S (F125)."""
    experiment = find_experiment(site, request)
    return answers.items(items.scan(experiment, _scan(experiment, request)))


def session_resources(site: Site, request: Request) -> Reply:
    """GET .../experiments/E/resources[?all=true] (F53)."""
    return lists.resources(site, find_experiment(site, request), request)


def scan_resources(site: Site, request: Request) -> Reply:
    """GET .../scans/S/resources (F53)."""
    return lists.resource_table(_resources(find_experiment(site, request), request))


def files(site: Site, request: Request) -> Reply:
    """GET .../scans/S/files and .../scans/S/resources/R/files (F53)."""
    experiment = find_experiment(site, request)
    if request.query.get("format") == "zip":
        scans_asked = {scan.id: scan for scan, _ in _resources(experiment, request)}
        return zip_of(site, scans_asked.values(), experiment.label)
    base = f"/data/experiments/{experiment.id}"
    if "subject" in request.names and "resource" in request.names:
        base = f"/data/projects/{request.names['project']}/subjects/{experiment.subject_id}/experiments/{experiment.id}"
    return lists.file_table(_resources(experiment, request), base, with_digest=not site.is_old)


def session_files(site: Site, request: Request) -> Reply:
    """GET .../experiments/E/files: the files of the session itself, not of its scans, i.e. none (F53)."""
    find_experiment(site, request)
    return lists.file_table([], "", with_digest=False)


def file(site: Site, request: Request) -> Reply:
    """GET one file: its bytes (F53)."""
    for _, resource in _resources(find_experiment(site, request), request):
        if found := resource.files.get(request.names["file"]):
            return Reply(200, found.path, "application/octet-stream")
    raise Refused(404)


def _scan(experiment: Experiment, request: Request) -> StoredScan:
    found = experiment.session.scans.get(request.names["scan"])
    if found is None:
        raise Refused(404, NO_SCAN)
    return found


def _resources(experiment: Experiment, request: Request) -> list[tuple[StoredScan, Resource]]:
    """Return the resources that a path names, by label, by number or all, of one scan or of `ALL`."""
    everything = request.names["scan"] == "ALL"
    chosen = list(experiment.session.scans.values()) if everything else [_scan(experiment, request)]
    wanted = request.names.get("resource")
    return [
        (scan, resource)
        for scan in chosen
        for resource in scan.resources.values()
        if wanted in {None, resource.label, str(resource.number)}
    ]
