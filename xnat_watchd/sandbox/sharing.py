"""Sharing a subject or a session into another project, under a label of its own there (F46 to F48)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import answers
from .answers import Refused, Reply
from .records import find_experiment, find_subject, remove_experiment, remove_subject, unshare
from .request import Request
from .site import Site
from .store import Experiment, StoredSubject

Shared = StoredSubject | Experiment
COLUMNS = ("label", "ID", "Secondary_ID", "Name")


def share_subject(site: Site, request: Request) -> Reply:
    """PUT .../subjects/S/projects/DEST; the answer is a table of the shares before (F46, F230)."""
    subject = _subject_to_share(site, request)
    target = _target(site, request)
    label = request.query.get("label")
    before = shares_of(site, subject)
    if request.query.get("primary") == "true":
        return _move_subject(site, request, subject, target)
    _check_target(site, subject, target, label)
    if target in subject.shares:
        if label in {"", subject.shares[target]}:
            raise Refused(409, f"Already assigned to project:{target}")
        _check_label(label, (name for name, _ in site.store.subjects_in(target)))
        subject.shares[target] = label
        return _table(request, [{**row, "label": label} for row in shares_of(site, subject)])  # F46
    _check_label(label, (name for name, _ in site.store.subjects_in(target)))
    _check_right(site, request.user, target, "subjects")
    subject.shares[target] = _share_label(site, label, subject)
    return _table(request, before)


def share_experiment(site: Site, request: Request) -> Reply:
    """PUT an experiment's `projects/DEST` by any of its paths (F47, F234)."""
    experiment = _experiment_to_share(site, request)
    target = _target(site, request)
    label = request.query.get("label")
    by_full_path = "subject" in request.names
    if by_full_path and target == experiment.project:
        raise Refused(409, f"Already assigned to project:{target}")
    if request.query.get("primary") == "true":
        return _move_experiment(site, request, experiment, target)
    if target in experiment.shares:
        _relabel(site, experiment, target, label)
        raise Refused(409, f"Already assigned to project:{target}")
    _check_label(label, (name for name, _ in site.store.experiments_in(target)))
    _check_right(site, request.user, target, "experiments")
    experiment.shares[target] = _share_label(site, label, experiment)
    return answers.text(experiment.id, 200 if "project" in request.names else 201)


def _move_subject(site: Site, request: Request, subject: StoredSubject, target: str) -> Reply:
    """Make the target the subject's own project; 1.6.5 does so, but answers 500 (F239)."""
    if not site.may_delete(request.user, subject.project):
        raise Refused(403)
    label = request.query.get("label") or subject.shares.get(target) or subject.label
    subject.shares.pop(target, None)
    subject.project, subject.label = target, label
    if site.is_old:
        raise Refused(500)
    return _table(request, shares_of(site, subject))


def _move_experiment(site: Site, request: Request, experiment: Experiment, target: str) -> Reply:
    """Make the target the experiment's own project; where the label is taken it moves, but is answered 409 (F239)."""
    if not site.may_delete(request.user, experiment.project):
        raise Refused(403)
    label = request.query.get("label", default=experiment.label)
    taken = label in {name for name, _ in site.store.experiments_in(target)}
    home = site.store.session_folder(experiment)
    experiment.shares.pop(target, None)
    experiment.project, experiment.label = target, label
    _move_files(site, experiment, home)
    if taken:
        raise Refused(409, f"Label already in use:{label}")
    return answers.text(experiment.id)


def _move_files(site: Site, experiment: Experiment, old: Path) -> None:
    """Move the files of an experiment to the folder of its new project."""
    new = site.store.session_folder(experiment)
    new.parent.mkdir(parents=True, exist_ok=True)
    old.replace(new)
    for file in experiment.session.files:
        file.path = new / file.path.relative_to(old)


def subject_shares(site: Site, request: Request) -> Reply:
    """GET .../subjects/S/projects, the primary project first (F235)."""
    return _table(request, shares_of(site, find_subject(site, request)), form="json")


def experiment_shares(site: Site, request: Request) -> Reply:
    """GET .../experiments/E/projects."""
    return _table(request, shares_of(site, find_experiment(site, request)), form="json")


def unshare_subject(site: Site, request: Request) -> Reply:
    """DELETE .../subjects/S/projects/DEST with its sessions; in its own project this deletes the subject (F237)."""
    subject, target = find_subject(site, request), request.names["target"]
    _check_removal(site, request.user, target)
    if target == subject.project:
        remove_subject(site, subject)
        return Reply()
    if target not in subject.shares:
        raise Refused(403, f"Subject is not assigned to specified project {target}")
    unshare(site, subject, target)
    return Reply()


def unshare_experiment(site: Site, request: Request) -> Reply:
    """DELETE .../experiments/E/projects/DEST; without such a share 1.6.5 answers 403, others 200 (F237, F238)."""
    experiment, target = find_experiment(site, request), request.names["target"]
    _check_removal(site, request.user, target)
    if target == experiment.project:
        remove_experiment(site, experiment)
    elif site.is_old and target not in experiment.shares:
        raise Refused(403, f"Experiment is not assigned to specified project {target}")
    experiment.shares.pop(target, None)
    return Reply()


def shares_of(site: Site, one: Shared) -> list[dict[str, Any]]:
    """Return the projects of a subject or experiment, the primary one first."""
    places = {one.project: one.label, **one.shares}
    return [
        {"label": label, "ID": name, "Secondary_ID": name, "Name": site.store.projects[name].name}
        for name, label in places.items()
    ]


def _subject_to_share(site: Site, request: Request) -> StoredSubject:
    try:
        return find_subject(site, request)
    except Refused as refusal:
        words = "Specified user account has insufficient privileges for subjects in this project."
        raise Refused(403, words if site.is_old else "Sharing is not allowed.") from refusal


def _experiment_to_share(site: Site, request: Request) -> Experiment:
    try:
        return find_experiment(site, request)
    except Refused as refusal:
        if "subject" in request.names and not site.is_old:
            raise
        raise Refused(417, "Need PUT Contents") from refusal


def _target(site: Site, request: Request) -> str:
    target = request.names["target"]
    if not site.may_see(request.user, target):
        raise Refused(404, f"Unable to identify project: {target}")
    return target


def _check_target(site: Site, subject: StoredSubject, target: str, label: str) -> None:
    """Refuse a share into the subject's own project; the newer dialect accepts it without a label (F232)."""
    if target == subject.project and (label or site.is_old):
        raise Refused(409, f"Label already in use:{label}" if label else f"Already assigned to project:{target}")


def _check_label(label: str, taken: Iterable[str]) -> None:
    if label and label in set(taken):
        raise Refused(409, f"Label already in use:{label}")


def _check_right(site: Site, user: str, target: str, what: str) -> None:
    if not site.may_edit(user, target):
        words = f"Specified user account has insufficient create privileges for {what} in the {target} project."
        raise Refused(403, words)


def _check_removal(site: Site, user: str, target: str) -> None:
    """Refuse a user who may not delete in the target project, as members may not (F236)."""
    if not site.may_delete(user, target):
        raise Refused(403)


def _relabel(site: Site, experiment: Experiment, target: str, label: str) -> None:
    """Change the label of a share, although the answer is a refusal (F47)."""
    if label and not experiment.shares[target]:
        raise Refused(500)
    if label and label not in {name for name, _ in site.store.experiments_in(target)}:
        experiment.shares[target] = label


def _share_label(site: Site, label: str, one: Shared) -> str:
    """Return the label to store; without one, 1.6.5 stores the original label, newer servers none (F231)."""
    return label or (one.label if site.is_old else "")


def _table(request: Request, rows: list[dict[str, Any]], form: str = "html") -> Reply:
    asked = request.query.get("format", default=form)
    return answers.html_table(rows, COLUMNS) if asked == "html" else answers.table(rows)
