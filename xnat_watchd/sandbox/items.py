"""Subjects, experiments and scans in XNAT's item format: fields and children (F125)."""

from __future__ import annotations

from typing import Any

from .answers import item
from .parameters import as_fields, parameters
from .session_xml import catalog_path, context_of
from .store import Experiment, StoredScan, StoredSubject

Node = dict[str, Any]


def subject(one: StoredSubject, experiments: list[Experiment]) -> Node:
    """Return a subject with its sessions in the item format (F125)."""
    fields = {"ID": one.id, "label": one.label, "project": one.project, **one.values}
    children = {
        "fields/field": _fields("xnat:subjectData_field", one),
        "demographics": _demographics(one),
        "sharing/share": _shares("xnat:projectParticipant", one, {"subject_ID": one.id}),
        "experiments/experiment": [experiment(each) for each in experiments],
    }
    return item("xnat:subjectData", fields, children, one.insert_date)


def experiment(one: Experiment) -> Node:
    """Return an experiment with its scans in the item format (F125)."""
    session = one.session
    header = session.header
    fields = {
        "ID": one.id, "id": one.id, "label": one.label, "project": one.project, "subject_ID": one.subject_id,
        "UID": session.uid, "modality": session.modality, "prearchivePath": one.prearchive_path, "date": header.date,
        "time": header.time, "dcmPatientId": header.patient_id, "dcmPatientName": header.patient_name,
        "dcmPatientBirthDate": header.birth_day, "dcmAccessionNumber": header.accession,
        "session_type": header.study_description, "acquisition_site": header.institution, "scanner": header.station,
        "scanner/manufacturer": header.manufacturer, "scanner/model": header.model, **one.values,
    }  # fmt: skip
    children = {
        "fields/field": _fields("xnat:experimentData_field", one),
        "sharing/share": _shares("xnat:experimentData_share", one, {}),
        "scans/scan": [scan(one, each) for each in session.scans.values()],
    }
    kept = {name: value for name, value in fields.items() if value}
    return item(session.kind, kept, children, one.insert_date)


def scan(experiment: Experiment, one: StoredScan) -> Node:
    """Return a scan in the item format, where its file counts are numbers (F260)."""
    header = one.header
    fields = {
        "ID": one.id, "UID": one.uid, "type": header.series_description, "frames": one.frames,
        "series_description": header.series_description, "modality": "" if header.is_primary else header.modality,
        "quality": "usable", "image_session_ID": experiment.id, "xnat_imagescandata_id": one.number,
        "xnat_imageScanData_id": one.number, "startTime": header.clock, "scanner": header.station,
        "scanner/manufacturer": header.manufacturer, "scanner/model": header.model,
    }  # fmt: skip
    taken = parameters(one)
    kept = {name: value for name, value in fields.items() if value} | as_fields(taken)
    spot = {"focalSpot": taken.get("focalSpots/focalSpot"), "xnat_ctScanData_focalSpot_id": one.number}
    spots = [item("xnat:ctScanData_focalSpot", spot, {}, experiment.insert_date)] if spot["focalSpot"] else []
    children = {"file": _catalogs(experiment, one), "parameters/focalSpots/focalSpot": spots}
    return item(one.kind, kept, children, experiment.insert_date)


def _catalogs(experiment: Experiment, scan: StoredScan) -> list[Node]:
    home = context_of(experiment).home
    return [
        item(
            "xnat:resourceCatalog",
            {
                "label": resource.label, "file_count": len(resource.files), "file_size": resource.size,
                "format": "DICOM", "content": "RAW", "xnat_abstractresource_id": resource.number,
                "xnat_abstractResource_id": resource.number, "URI": catalog_path(scan, resource.label, home),
            },
            {},
            experiment.insert_date,
        )
        for resource in scan.resources.values()
    ]  # fmt: skip


def _fields(kind: str, one: StoredSubject | Experiment) -> list[Node]:
    own = f"{kind.replace(':', '_')}_id"
    return [
        item(kind, {"name": name, "field": value, own: number}, {}, one.insert_date)
        for number, (name, value) in enumerate(one.fields.items(), 1)
    ]


def _demographics(one: StoredSubject) -> list[Node]:
    if not one.demographics:
        return []
    number = int(one.id.rpartition("_S")[2])
    numbers = {"xnat_abstractDemographicData_id": number, "xnat_abstractdemographicdata_id": number}
    return [item("xnat:demographicData", {**one.demographics, **numbers}, {}, one.insert_date)]


def _shares(kind: str, one: StoredSubject | Experiment, more: Node) -> list[Node]:
    own = f"{kind.replace(':', '_')}_id"
    return [
        item(kind, {"project": project, "label": label, own: number, **more}, {}, one.insert_date)
        for number, (project, label) in enumerate(one.shares.items(), 1)
    ]
