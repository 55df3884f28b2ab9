"""Sharing."""

from tests.sandbox.contract.rows import Row
from tests.sandbox.contract.shapes import html, nothing, page, table, text

PUT = "PUT {subject}/projects/"
COLUMNS = "label ID Secondary_ID Name"
EXPERIMENT = "PUT {session}/projects/"
IN_PROJECT = "PUT /data/projects/P1/experiments/E1/projects/"
FLAT = "PUT /data/experiments/XNAT_E00001/projects/"

SUBJECTS = (
    Row("subject shares", "", PUT + "P3?label=L", 403, page("Sharing is not allowed")),
    Row("subject shares", "", "PUT /data/projects/NOPE/subjects/S1/projects/P3", 403, page("Sharing is not allowed")),
    Row("subject shares", "a subject", PUT + "P2?label=L", 403, page(), who="outsider"),
    Row("subject shares", "a subject", PUT + "NOPE?label=L", 404, page("Unable to identify project: NOPE")),
    Row("subject shares", "a subject", PUT + "PRIV?label=L", 404, page("Unable to identify project: PRIV")),
    Row("subject shares", "shared as L", PUT + "P2?label=L", 409, page("Already assigned to project:P2"), who="owner"),
    Row("subject shares", "shared as L", PUT + "P2", 409, page("Already assigned to project:P2"), who="owner"),
    Row("subject shares", "shared as L", PUT + "P2?label=M", 200, html("<table"), who="owner",
        after="share subject S1 in P2 as M"),
    Row("subject shares", "two subjects, S2 in P2",
        PUT + "P2?label=S2", 409, page("Label already in use:S2"), who="owner"),
    Row("subject shares", "a subject", PUT + "P2?label=L", 403, page("insufficient create privileges")),
    Row("subject shares", "a subject", PUT + "P3?label=L", 200, html("<table"), after="share subject S1 in P3 as L"),
    Row("subject shares", "an archived session", PUT + "P3?label=L", 200,
        after="share subject S1 in P3 as L;no share session E1 in P3"),
    Row("subject shares", "a subject", PUT + "P3?label=L&format=json", 200, table(COLUMNS)),
    Row("subject shares", "a subject", PUT + "P3", 200, html("<table"), after="share subject S1 in P3 as $"),
    Row("subject shares", "a subject", PUT + "P1?label=S1", 409, page()),
    Row("subject shares", "a subject", PUT + "P1", 200, html("<table")),
    Row("subject shares", "a subject", PUT + "P2?label=L&primary=true", 403, page()),
    Row("subject shares", "a subject",
        PUT + "P2?label=L&primary=true", 200, who="owner", after="subject P2/L;no subject P1/S1"),
    Row("subject shares", "a subject", "PUT /data/subjects/XNAT_S00001/projects/P3?label=L", 200, html("<table")),
    Row("subject shares", "a subject",
        "PUT /data/subjects/S1/projects/P3?label=L", 403, page("Sharing is not allowed")),
)  # fmt: skip

EXPERIMENTS = (
    Row("session shares", "an archived session", EXPERIMENT + "P3?label=L", 200, text("XNAT_E00001"),
        after="share session E1 in P3 as L"),
    Row("session shares", "an archived session", IN_PROJECT + "P3?label=L", 200, text("XNAT_E00001")),
    Row("session shares", "an archived session", FLAT + "P3?label=L", 201, text("XNAT_E00001")),
    Row("session shares", "shared as L", EXPERIMENT + "P2?label=L", 409, page("Already assigned"), who="owner"),
    Row("session shares", "shared as L", IN_PROJECT + "P2", 409, page("Already assigned"), who="owner"),
    Row("session shares", "shared as L", FLAT + "P2?label=M", 409, page("Already assigned"), who="owner",
        after="share session E1 in P2 as M"),
    Row("session shares", "shared without label", EXPERIMENT + "P2?label=M", 500, page(), who="owner"),
    Row("session shares", "an archived session, E1_COPY in P3 as L", EXPERIMENT + "P3?label=L", 409,
        page("Label already in use:L")),
    Row("session shares", "an archived session, E1_COPY in P3 as L",
        FLAT + "P3?label=L", 409, page("Label already in use:L")),
    Row("session shares", "an archived session", EXPERIMENT + "P1?label=E1", 409, page()),
    Row("session shares", "an archived session",
        EXPERIMENT + "P2?label=L", 403, page("insufficient create privileges")),
    Row("session shares", "an archived session",
        IN_PROJECT + "P2?label=L", 403, page("insufficient create privileges")),
    Row("session shares", "an archived session", EXPERIMENT + "NOPE?label=L", 404, page("Unable to identify project")),
    Row("session shares", "an archived session", FLAT + "NOPE?label=L", 404, page("Unable to identify project")),
    Row("session shares", "a subject", EXPERIMENT + "P3?label=L", 404, page()),
    Row("session shares", "a subject", IN_PROJECT + "P3?label=L", 417, page("Need PUT Contents")),
    Row("session shares", "a subject", FLAT + "P3?label=L", 417, page("Need PUT Contents")),
    Row("session shares", "an archived session", EXPERIMENT + "P2?label=L", 404, page(), who="outsider"),
    # F233
    Row("session shares", "an archived session", EXPERIMENT + "P3?label=L", 200, after="no share subject S1 in P3"),
    Row("session shares", "an archived session", EXPERIMENT + "P2?label=L&primary=true", 403, page()),
    Row("session shares", "an archived session", EXPERIMENT + "P2?label=L&primary=true", 200, who="owner",
        after="session P2/L;no session P1/E1"),
)  # fmt: skip

UNDOING = (
    Row("undoing shares", "shared as L", "GET {subject}/projects?format=json", 200,
        table(COLUMNS, 2, r'Result":\[\{"label":"S1","ID":"P1".*"label":"L","ID":"P2"'), who="owner"),
    Row("undoing shares", "shared as L", "GET {session}/projects?format=json", 200, table(COLUMNS, 2), who="owner"),
    Row("undoing shares", "shared as L", "GET {subject}?format=json", 200, who="owner"),
    Row("undoing shares", "shared as L", "DELETE {subject}/projects/P2", 200, nothing, who="owner",
        after="no share subject S1 in P2;no share session E1 in P2;subject P1/S1"),
    Row("undoing shares", "a subject", "DELETE {subject}/projects/P2", 403, page("not assigned"), who="owner"),
    Row("undoing shares", "shared as L",
        "DELETE {subject}/projects/P2", 403, page(), after="share subject S1 in P2 as L"),
    Row("undoing shares", "shared as L", "DELETE {session}/projects/P2", 200, nothing, who="owner",
        after="no share session E1 in P2;share subject S1 in P2 as L"),
    Row("undoing shares", "shared as L", "DELETE {session}/projects/P2", 403, page()),
    Row("undoing shares", "shared as L", "DELETE /data/projects/P2/subjects/L", 200, nothing, who="owner",
        after="no share subject S1 in P2;subject P1/S1"),
    Row("undoing shares", "shared as L", "GET /data/projects/P2/subjects?format=json", 200,
        table("ID project label insert_date insert_user URI", 1, '"project":"P1","label":"L"'), who="owner"),
    Row("undoing shares", "shared as L",
        "GET /data/projects/P2/subjects?label=L&format=json", 200, table(rows=0), who="owner"),
    Row("undoing shares", "shared as L",
        "GET /data/projects/P2/subjects?label=S1&format=json", 200, table(rows=1), who="owner"),
    Row("undoing shares", "shared without label", "GET /data/projects/P2/subjects?format=json", 200,
        table(rows=1, holds='"label":"XNAT_S00001"'), who="owner"),
    Row("undoing shares", "an archived session",
        "DELETE {subject}/projects/P1", 200, who="owner", after="no subject P1/S1"),
    Row("undoing shares", "an archived session",
        "DELETE {session}/projects/P1", 200, who="owner", after="no session P1/E1"),
    Row("undoing shares", "an archived session", "DELETE {session}/projects/P2", 200, nothing, who="owner"),
)  # fmt: skip

ROWS = (*SUBJECTS, *EXPERIMENTS, *UNDOING)
