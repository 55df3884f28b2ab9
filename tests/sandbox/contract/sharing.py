"""Sections 8.1 to 8.3, and 17.1 and 17.2: sharing."""

from tests.sandbox.contract.rows import Row
from tests.sandbox.contract.shapes import html, nothing, page, table, text

PUT = "PUT {subject}/projects/"
COLUMNS = "label ID Secondary_ID Name"
EXPERIMENT = "PUT {session}/projects/"
IN_PROJECT = "PUT /data/projects/P1/experiments/E1/projects/"
FLAT = "PUT /data/experiments/XNAT_E00001/projects/"

SUBJECTS = (
    Row("8.1", "", PUT + "P3?label=L", 403, page("Sharing is not allowed")),
    Row("8.1", "", "PUT /data/projects/NOPE/subjects/S1/projects/P3", 403, page("Sharing is not allowed")),
    Row("8.1", "a subject", PUT + "P2?label=L", 403, page(), who="outsider"),
    Row("8.1", "a subject", PUT + "NOPE?label=L", 404, page("Unable to identify project: NOPE")),
    Row("8.1", "a subject", PUT + "PRIV?label=L", 404, page("Unable to identify project: PRIV")),
    Row("8.1", "shared as L", PUT + "P2?label=L", 409, page("Already assigned to project:P2"), who="owner"),
    Row("8.1", "shared as L", PUT + "P2", 409, page("Already assigned to project:P2"), who="owner"),
    Row("8.1", "shared as L", PUT + "P2?label=M", 200, html("<table"), who="owner",
        after="share subject S1 in P2 as M"),
    Row("8.1", "two subjects, S2 in P2", PUT + "P2?label=S2", 409, page("Label already in use:S2"), who="owner"),
    Row("8.1", "a subject", PUT + "P2?label=L", 403, page("insufficient create privileges")),
    Row("8.1", "a subject", PUT + "P3?label=L", 200, html("<table"), after="share subject S1 in P3 as L"),
    Row("8.1", "an archived session", PUT + "P3?label=L", 200,
        after="share subject S1 in P3 as L;no share session E1 in P3"),
    Row("8.1", "a subject", PUT + "P3?label=L&format=json", 200, table(COLUMNS)),
    Row("8.1", "a subject", PUT + "P3", 200, html("<table"), after="share subject S1 in P3 as $"),
    Row("8.1", "a subject", PUT + "P1?label=S1", 409, page()),
    Row("8.1", "a subject", PUT + "P1", 200, html("<table")),
    Row("8.1", "a subject", PUT + "P2?label=L&primary=true", 403, page()),
    Row("8.1", "a subject", PUT + "P2?label=L&primary=true", 200, who="owner", after="subject P2/L;no subject P1/S1"),
    Row("8.1", "a subject", "PUT /data/subjects/XNAT_S00001/projects/P3?label=L", 200, html("<table")),
    Row("8.1", "a subject", "PUT /data/subjects/S1/projects/P3?label=L", 403, page("Sharing is not allowed")),
)  # fmt: skip

EXPERIMENTS = (
    Row("8.2", "an archived session", EXPERIMENT + "P3?label=L", 200, text("XNAT_E00001"),
        after="share session E1 in P3 as L"),
    Row("8.2", "an archived session", IN_PROJECT + "P3?label=L", 200, text("XNAT_E00001")),
    Row("8.2", "an archived session", FLAT + "P3?label=L", 201, text("XNAT_E00001")),
    Row("8.2", "shared as L", EXPERIMENT + "P2?label=L", 409, page("Already assigned"), who="owner"),
    Row("8.2", "shared as L", IN_PROJECT + "P2", 409, page("Already assigned"), who="owner"),
    Row("8.2", "shared as L", FLAT + "P2?label=M", 409, page("Already assigned"), who="owner",
        after="share session E1 in P2 as M"),
    Row("8.2", "shared without label", EXPERIMENT + "P2?label=M", 500, page(), who="owner"),
    Row("8.2", "an archived session, E1_COPY in P3 as L", EXPERIMENT + "P3?label=L", 409,
        page("Label already in use:L")),
    Row("8.2", "an archived session, E1_COPY in P3 as L", FLAT + "P3?label=L", 409, page("Label already in use:L")),
    Row("8.2", "an archived session", EXPERIMENT + "P1?label=E1", 409, page()),
    Row("8.2", "an archived session", EXPERIMENT + "P2?label=L", 403, page("insufficient create privileges")),
    Row("8.2", "an archived session", IN_PROJECT + "P2?label=L", 403, page("insufficient create privileges")),
    Row("8.2", "an archived session", EXPERIMENT + "NOPE?label=L", 404, page("Unable to identify project")),
    Row("8.2", "an archived session", FLAT + "NOPE?label=L", 404, page("Unable to identify project")),
    Row("8.2", "a subject", EXPERIMENT + "P3?label=L", 404, page()),
    Row("8.2", "a subject", IN_PROJECT + "P3?label=L", 417, page("Need PUT Contents")),
    Row("8.2", "a subject", FLAT + "P3?label=L", 417, page("Need PUT Contents")),
    Row("8.2", "an archived session", EXPERIMENT + "P2?label=L", 404, page(), who="outsider"),
    # trap 24
    Row("8.2", "an archived session", EXPERIMENT + "P3?label=L", 200, after="no share subject S1 in P3"),
    Row("8.2", "an archived session", EXPERIMENT + "P2?label=L&primary=true", 403, page()),
    Row("8.2", "an archived session", EXPERIMENT + "P2?label=L&primary=true", 200, who="owner",
        after="session P2/L;no session P1/E1"),
)  # fmt: skip

UNDOING = (
    Row("8.3", "shared as L", "GET {subject}/projects?format=json", 200,
        table(COLUMNS, 2, r'Result":\[\{"label":"S1","ID":"P1".*"label":"L","ID":"P2"'), who="owner"),
    Row("8.3", "shared as L", "GET {session}/projects?format=json", 200, table(COLUMNS, 2), who="owner"),
    Row("8.3", "shared as L", "GET {subject}?format=json", 200, who="owner"),
    Row("8.3", "shared as L", "DELETE {subject}/projects/P2", 200, nothing, who="owner",
        after="no share subject S1 in P2;no share session E1 in P2;subject P1/S1"),
    Row("8.3", "a subject", "DELETE {subject}/projects/P2", 403, page("not assigned"), who="owner"),
    Row("8.3", "shared as L", "DELETE {subject}/projects/P2", 403, page(), after="share subject S1 in P2 as L"),
    Row("8.3", "shared as L", "DELETE {session}/projects/P2", 200, nothing, who="owner",
        after="no share session E1 in P2;share subject S1 in P2 as L"),
    Row("8.3", "shared as L", "DELETE {session}/projects/P2", 403, page()),
    Row("8.3", "shared as L", "DELETE /data/projects/P2/subjects/L", 200, nothing, who="owner",
        after="no share subject S1 in P2;subject P1/S1"),
    Row("8.3", "shared as L", "GET /data/projects/P2/subjects?format=json", 200,
        table("ID project label insert_date insert_user URI", 1, '"project":"P1","label":"L"'), who="owner"),
    Row("8.3", "shared as L", "GET /data/projects/P2/subjects?label=L&format=json", 200, table(rows=0), who="owner"),
    Row("8.3", "shared as L", "GET /data/projects/P2/subjects?label=S1&format=json", 200, table(rows=1), who="owner"),
    Row("8.3", "shared without label", "GET /data/projects/P2/subjects?format=json", 200,
        table(rows=1, holds='"label":"XNAT_S00001"'), who="owner"),
    Row("17.1", "an archived session", "DELETE {subject}/projects/P1", 200, who="owner", after="no subject P1/S1"),
    Row("17.1", "an archived session", "DELETE {session}/projects/P1", 200, who="owner", after="no session P1/E1"),
    Row("17.2", "an archived session", "DELETE {session}/projects/P2", 200, nothing, who="owner"),
)  # fmt: skip

ROWS = (*SUBJECTS, *EXPERIMENTS, *UNDOING)
