"""What the settings say about one project, in the types of the core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from xnat_watchd.core.states import Progress


class Letters(StrEnum):
    """What is sent instead of a session label whose letters the server would spoil."""

    ROMANISED = "romanised"  #: the label in Latin letters, with characters of its digest
    PATIENT_ID = "patient_id"  #: with the PatientID in place of the subject
    HOLD = "hold"  #: a person chooses
    AS_STORED = "as_stored"  #: the form that the server makes of it


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRules:
    """How labels are made. An empty `subject` means: as XNAT derives it from the DICOM header."""

    subject: str = ""
    session: str = "{subject}_{study_date}T{study_time}_{modality}"
    letters: Letters = Letters.ROMANISED


@dataclass(frozen=True, slots=True, kw_only=True)
class DemographicRules:
    """Which demographics are written to a subject, and where they are read from."""

    from_zip: bool = False  #: else from XNAT's header dump of the archived session
    fields: Mapping[str, str] = field(
        default_factory=lambda: {"age": "subject_age", "birth_date": "subject_dob", "sex": "subject_gender"}
    )  #: names of the custom variables, by what they hold
    standard: bool = True  #: XNAT's own demographics too
    birth_date: bool = True
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRules:
    """Everything that may differ between projects."""

    labels: LabelRules = LabelRules()
    demographics: DemographicRules = DemographicRules()
    until: Progress = Progress.COMPLETE
    append: bool = True  #: if XNAT has part of a study of ours, add to it; False: hold the study
    trigger_pipelines: bool = True
