"""What happened to the real servers besides the recorded exchanges: their beginnings, and scripts that ran between."""

from __future__ import annotations

from collections.abc import Callable

from tests.sandbox.kit import Visitor
from tests.sandbox.recorded.replay import PASSWORD
from tests.sandbox.recorded.uploads import upload
from xnat_watchd.sandbox import Sandbox

STEP, PIPELINES_TAKE, QUEUE_TAKES = 0.5, 0.4, 0.2
STANDS_STILL = {213, *range(216, 225)}  # a move was seen in the making, and an AutoRun workflow was held open
RESTART, OTHER_VERSION, END = 457, 482, 529
IMPORTED_BY_SCRIPT = {
    "095534952/SUBJ20": "ct20", "095534957/SUBJ21": "ct21", "095535016/SUBJ22": "ct22", "095534950/SUBJ23": "ct23",
    "095534962/SUBJ24": "ct24", "095535003/SUBJ25": "ct25", "095535301/SUBJ26": "ct26", "095535304/SUBJ26": "ct26",
    "095535295/SUBJ26": "ct26", "095535308/SUBJ26": "ct26", "095536003": "two_studies_same_patient",
    "095536458": "two_studies", "095536865/SUBJ31": "ct31_mixed",
}  # fmt: skip


def first_server(xnat: Sandbox) -> None:
    """Set up the server of numbers 4 to 456."""
    _people(xnat)
    for project, name in (("P1", "Project One"), ("P2", "")):
        xnat.add_project(project, 4, name=name)
        xnat.grant("admin", project, "owner")


def more_projects(xnat: Sandbox) -> None:
    """Make the projects that numbers 55 to 61 made."""
    xnat.add_project("P3", 4, "private")
    xnat.grant("admin", "P3", "owner")
    xnat.add_project("P4", 4, name="Project Four", description="x")
    xnat.grant("admin", "P4", "owner")
    xnat.add_project("PT", 4, made_by="tech")
    xnat.grant("tech", "PT", "owner")


def concurrent_imports(xnat: Sandbox) -> None:
    """Do what `concurrent-*.json` did after number 404, and the exchanges that a first run of 406 to 410 left."""
    with _admin(xnat) as admin:
        row = next(one for one in xnat.rows("P1") if one["folder"] == "SUBJBIG")
        admin.archived(f"/prearchive/projects/P1/{row['timestamp']}/SUBJBIG", subject="SCONC", session="ECONC")
        for place, name in IMPORTED_BY_SCRIPT.items():
            admin.send(upload(name), dest=f"/prearchive/projects/P1/20261122_{place}")
        labels = {"subject": "TS", "session": "TE"}
        admin.send(upload("two_studies"), dest="/prearchive/projects/P1/20261122_095535616", **labels)


def second_server(xnat: Sandbox) -> None:
    """Set up the server of numbers 457 to 481, on which a client library had been tried."""
    first_server(xnat)
    with _admin(xnat) as admin:
        for name, subject, session in (("ctlib", "LIB_S1", "LIB_E1"), ("ct20", "XS1", "XE1"), ("ct23", "", "")):
            admin.archived(admin.sent(upload(name), dest="/prearchive", project="P1"), subject=subject, session=session)
        admin.put("/data/projects/P1/subjects/XNEW")
        admin.put("/data/projects/P1/subjects/LIB_S1/projects/P2", {"label": "LIB_S1"})
        admin.put("/data/projects/P1/subjects/XS1/projects/P2", {"label": "L2"})


def third_server(xnat: Sandbox) -> None:
    """Set up the 1.6.4 of numbers 482 to 528, as far as it was asked about."""
    _people(xnat)
    for project in ("P1", "P2", "P3"):
        xnat.add_project(project)
        for user, role in (("admin", "owner"), ("tech", "member")):
            xnat.grant(user, project, role)
    japanese = "やまだ_たろう_20080504T171715_CR"
    with _admin(xnat) as admin:
        for name, project, subject, session in (
            ("us_one", "P1", "US_ONE", "US_ONE_20200414T084806_US"),
            ("nm_one", "P1", "NM_ONE", "NM_ONE_20040826T185059_NM"),
            ("cr_one", "P3", "", japanese),
            ("mr_one", "P2", "S1", "E1"),
        ):
            place = f"/prearchive/projects/{project}/20261128_161720471/{name}"
            labels = {"session": session, **({"subject": subject} if subject else {})}
            admin.archived(admin.sent(upload(name), dest=place), **labels)
        values = {"gender": "other", "dob": "1970-01-01", "age": "0"}
        fields = {"subject_gender": "Other", "subject_dob": "1970-01-01", "subject_age": "0"}
        values |= {f"xnat:subjectData/fields/field[name={name}]/field": value for name, value in fields.items()}
        admin.put("/data/projects/P1/subjects/FIELDS_ONE", values)


def race(xnat: Sandbox) -> None:
    """Do what `concurrent-archive-one-new-subject.json` did: of four at once two succeed and two break (F38)."""
    with _admin(xnat) as admin:
        for number in (0, 1):
            row = next(one for one in xnat.rows("P1") if one["folder"] == f"SUBJ{24 + number}")
            src = f"/prearchive/projects/P1/{row['timestamp']}/{row['folder']}"
            admin.archived(src, subject="RACE", session=f"RACE_E{number}")
    for loser in xnat._site.store.rows_of("P1"):
        if loser.folder in {"SUBJ26", "SUBJ27"}:
            loser.status = "ERROR"


def parallel_fields(xnat: Sandbox) -> None:
    """Do what `concurrent-field-puts.json` did."""
    with _admin(xnat) as admin:
        for number in range(5):
            value = {f"xnat:subjectData/fields/field[name=f{number}]/field": str(number)}
            admin.put("/data/projects/P1/subjects/CL_A", value)


BEFORE: dict[int, Callable[[Sandbox], None]] = {
    62: more_projects, 405: concurrent_imports, 473: race, 476: parallel_fields,
}  # fmt: skip


def _people(xnat: Sandbox) -> None:
    for name in ("admin", "tech", "outsider", "collab"):
        xnat.add_user(name, PASSWORD, admin=name == "admin")


def _admin(xnat: Sandbox) -> Visitor:
    return Visitor(xnat, "admin", PASSWORD)
