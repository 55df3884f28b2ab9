"""What the settings ask for one project, in the core's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xnat_watchd.core.states import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRules:
    """How labels are made. An empty `subject` means: as XNAT derives it from the DICOM header."""

    subject: str = ""
    session: str = "{subject}_{study_date}T{study_time}_{modality}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemographicRules:
    """What is written about a subject, and where it is read."""

    from_zip: bool = False  #: else from XNAT's header dump of the archived session
    fields: Mapping[str, str] = field(
        default_factory=lambda: {"age": "subject_age", "birth_date": "subject_dob", "sex": "subject_gender"}
    )  #: custom variables, by what they hold
    standard: bool = True  #: XNAT's own demographics too
    birth_date: bool = True
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRules:
    """All that may differ between projects."""

    labels: LabelRules = LabelRules()
    demographics: DemographicRules = DemographicRules()
    until: Progress = Progress.COMPLETE
    append: bool = True  #: add to our study when XNAT has part of it; else hold
    trigger_pipelines: bool = True
