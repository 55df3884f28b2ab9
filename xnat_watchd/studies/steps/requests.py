"""The requests that carry one new study into XNAT, in their order, each with what it proves that no other does.

A test compares this table with what is sent. Not in it, because they do not go with each study: those of a login, and
the list of projects, which is asked for when it was not in the last minutes. Nothing here has an answer that grows with
the number of projects, subjects or sessions of a site.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """A request. In `query` are the names of parameters or of columns by which it differs from others."""

    step: str
    method: str
    path: str
    proves: str
    query: tuple[str, ...] = ()
    only: str = ""  #: the dialect that it is for; empty for both
    each_scan: bool = False  #: it is repeated for each scan


REQUESTS = (
    StudyRequest(
        "upload", "GET", "/data/experiments",
        "The archive has nothing of this study, under whatever label. Otherwise only what is missing is sent.",
        ("UID",),
    ),
    StudyRequest(
        "upload", "POST", "/data/services/import",
        "XNAT has taken the ZIP, to the place that was chosen for it, and does not work on it any more.",
        ("dest", "session"),
    ),
    StudyRequest(
        "upload", "GET", "PLACE",
        "A session is built of it: with which study and series, for which subject, and where its files are.",
        ("format=xml",),
    ),
    StudyRequest(
        "upload", "GET", "PLACE/resources",
        "Each series has as many images as were sent. A place of a newer server is nobody else's, so this is enough.",
        only="1.8",
    ),
    StudyRequest(
        "upload", "GET", "PLACE/scans/SCAN/resources/LABEL/files",
        "Each image is there by its name, and no other: other imports may get into a place of 1.6.",
        only="1.6", each_scan=True,
    ),
    StudyRequest(
        "archive", "GET", "/data/experiments",
        "Nobody has archived the study during the upload, under whatever label.",
        ("UID",),
    ),
    StudyRequest(
        "archive", "GET", "/data/projects/P/subjects/SUBJECT",
        "Whether the archiving creates the subject, and else what XNAT knows of it: no value is written over another.",
    ),
    StudyRequest(
        "archive", "GET", "/data/projects/P/experiments/SESSION",
        "No session has the label. If one had it, XNAT would refuse, and leave a new subject without any session.",
    ),
    StudyRequest(
        "archive", "POST", "/data/services/archive",
        "XNAT has archived the row.",
        ("src", "subject", "session"),
    ),
    StudyRequest(
        "archive", "GET", "/data/experiments",
        "The session came from our place and is the only one of the study. It belongs to the right subject and has all "
        "images of each series.",
        ("UID", "prearchivePath", "scan/file/file_count"),
    ),
    StudyRequest(
        "demographics", "GET", "/data/services/dicomdump",
        "What the images say of the patient as XNAT keeps them, and that they are of this study.",
        ("src", "field"),
    ),
    StudyRequest(
        "demographics", "PUT", "/data/projects/P/subjects/ID",
        "XNAT has accepted the values, for this subject: neither for who has its label by now, nor for who has its "
        "accession ID as a label. With the ID among the values, XNAT refuses them for any other.",
    ),
    StudyRequest(
        "demographics", "GET", "/data/subjects",
        "It has stored them: it answers 200 to values that it ignores.",
        ("ID", "columns"), only="1.6",
    ),
    StudyRequest(
        "demographics", "GET", "/data/subjects/ID",
        "It has stored them: it answers 200 to values that it ignores.",
        only="1.8",
    ),
)  # fmt: skip
