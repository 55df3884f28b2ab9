"""The archive service."""

from tests.sandbox.contract.rows import Row
from tests.sandbox.contract.shapes import json, nothing, page, table, uris, xml

POST = "POST /data/services/archive?src={row}"
OTHER = "POST /data/services/archive?src={other}&subject=S1&session=E1"
LABELS = "&subject=S1&session=E1"
ARCHIVED = "/data/archive/projects/P1/subjects/S1/experiments/E1"
IN_ONE_SESSION = "session P1/E1 of S1: 1:2"

REQUESTS = (
    Row("asking to archive", "a row", POST + LABELS, 200, uris(ARCHIVED), after=IN_ONE_SESSION + ";no row P1"),
    Row("asking to archive", "a row", "POST /data/services/archive?src=/data{row}" + LABELS, 200, uris(ARCHIVED)),
    Row("asking to archive", "a row", "POST /data/services/archive", 200, uris(ARCHIVED), form={"src": "{row}"}),
    Row("asking to archive", "a row", "POST /data/services/archive?project=P1&PREARC_TIMESTAMP=20240131_101112001"
        "&PREARC_SESSION_FOLDER=E1", 200, uris(ARCHIVED)),
    Row("asking to archive", "a row",
        POST + "&subject=S2&label=X", 200, uris("/data/archive/projects/P1/subjects/S2/experiments/X")),
    Row("asking to archive", "a row",
        POST + "&EXPT_LABEL=X", 200, uris("/data/archive/projects/P1/subjects/S1/experiments/X")),
    Row("asking to archive", "a row", POST + "&xnat:mrSessionData/label=X", 200,
        uris("/data/archive/projects/P1/subjects/S1/experiments/X")),
    Row("asking to archive", "a row",
        POST + "&project=P3", 200, uris(ARCHIVED), after="session P3/E1;no session P1/E1"),
    Row("asking to archive", "a row",
        POST + "&redirect=true", 303, told=f"Location: http://.*{ARCHIVED}", after="session P1/E1"),
    Row("asking to archive", "a row", POST + "&auto-archive=true", 303, told=f"Location: http://.*{ARCHIVED}"),
    Row("asking to archive", "policy 4, a row", POST + "&auto-archive=false", 303, told="Location: "),
    Row("asking to archive", "a row, policy 4", POST, 303, told="Location: "),
    Row("asking to archive", "a row, policy 4", POST + "&auto-archive=false", 200, uris(ARCHIVED)),
    # F191
    Row("asking to archive", "a row", POST + "&http-session-listener=H", 303, nothing, told="Location: .*/app/",
        after="session P1/E1"),
    Row("asking to archive", "a row, archived and heard as H", "GET /xapi/event_tracking/H", 200,
        json("key payload succeeded finalMessage",
             '"succeeded":true.*Archive:/archive/projects/P1/subjects/S1/experiments/E1')),
    Row("asking to archive", "a row", POST + "&dest=/archive/projects/P1", 500, page()),
    Row("asking to archive", "a row, another row", POST + "&src={other}", 200, xml("ResultSet", "ARCHIVING")),
    Row("asking to archive", "a row, another row", POST + "&src={other}&format=json", 200, table(rows=2)),
)  # fmt: skip

RUNS = (
    Row("how archiving ends", "policy 4, a row", POST, 303, nothing, told=f"Location: http://.*{ARCHIVED}"),
    Row("how archiving ends", "an archived session, the same again", OTHER, 500,
        page("FAILED: Unable to archive E2: Operation Failed: Session already exists with matching files"),
        after="row P1/E2 CONFLICT"),
    Row("how archiving ends", "a row of no files, built",
        POST, 500, page("FAILED: Unable to archive"), after="row P1/E1 ERROR"),
    Row("how archiving ends", "a row",
        POST + LABELS, 500, page("time-out"), options={"archiving_takes": 0.2, "archive_timeout": 0.05},
        after="row P1/E1 (_?ARCHIVING)"),
    Row("how archiving ends", "a row, another row", POST + "&src={other}", 200, after="session P1/E1;session P1/E2"),
    Row("how archiving ends", "a row, another row", POST + "&src={other}", 403, who="collab", after="row P1/E1 READY"),
    Row("merging", "an archived session, another series", OTHER, 200, uris(ARCHIVED),
        after="session P1/E1 of S1: 1:2 2:1;no row P1"),
    Row("merging", "an archived session, the same again", OTHER + "&overwrite=append", 200, uris(ARCHIVED),
        after=IN_ONE_SESSION),
    Row("merging", "an archived session, the same again", OTHER + "&overwrite=delete", 200, uris(ARCHIVED),
        after=IN_ONE_SESSION),
    Row("merging", "an archived session, the same again", OTHER + "&overwrite=banana", 500, page("matching files")),
    Row("merging", "an archived session, policy 5, the same again", OTHER, 303, after=IN_ONE_SESSION),
    Row("merging", "an archived session, the same again", OTHER + "&overwrite_files=true", 500, page("matching files")),
    Row("merging", "an archived session, a row, another series called E1", OTHER + "&src={row}", 200,
        after="row P1/E2 CONFLICT;row P1/E1 CONFLICT"),
    Row("merging", "an archived session, a row, another series called E1", OTHER + "&src={row}&overwrite=append", 200,
        after="session P1/E1 of S1: 1:2 2:1;row P1/E1 CONFLICT"),
    Row("merging", "an archived session, a row, another series called E1",
        OTHER + "&src={row}&overwrite=append&overwrite_files=true", 200,
        after="session P1/E1 of S1: 1:2 2:1;no row P1"),
    Row("merging", "an archived session, a row, another series called E1", OTHER + "&src={row}&overwrite=delete", 200,
        after="session P1/E1 of S1: 1:2 2:1;no row P1"),
    Row("merging", "an archived session, another row of that label", "POST /data{row}?action=commit&AA=true", 500,
        page("matching files"), after="row P1/E1 CONFLICT"),
    Row("merging", "an archived session, policy 4, more by import, six minutes", "GET {listing}", 200, table(rows=0),
        after="session P1/E1 of S1: 1:2 2:1"),
)  # fmt: skip

REFUSALS = (
    Row("refusals", "", "POST /data/services/archive?src=/banana", 400, page()),
    Row("refusals", "", "POST /data/services/archive?src=/archive/projects/P1/subjects/S1", 400, page()),
    Row("refusals", "a row", POST, 403, page(), who="collab", after="row P1/E1 READY"),
    Row("refusals", "an unassigned row", "POST /data/services/archive?src={unassigned}", 403, page()),
    Row("refusals", "a locked row", POST, 403, page("(?i)already in progress")),
    Row("refusals", "", "POST /data/services/archive", 404, page()),
    Row("refusals", "", "POST /data/services/archive?project=P1&PREARC_TIMESTAMP=20240131_101112001", 404, page()),
    Row("refusals", "", "POST /data/services/archive?src={gone}", 404, page()),
    Row("refusals", "an archived session", POST, 404, page()),
    Row("refusals", "", "POST /data/services/archive?src={nowhere}", 500, page()),
    Row("refusals", "a row, its entry lost", POST, 500, page()),
    Row("refusals", "", "GET /data/services/archive?src={row}", 405, page()),
)  # fmt: skip

CONFLICTS = (
    Row("conflicts", "an archived session, a CT of that UID", OTHER, 500, page("modality"), after="row P1/E2 CONFLICT"),
    Row("conflicts", "an archived session, a CT of that UID", OTHER + "&overwrite=delete", 500, page("modality")),
    Row("conflicts", "an archived session, another series",
        "POST /data/services/archive?src={other}&subject=S2&session=E1", 500, page("Exists for another Subject"),
        after="row P1/E2 CONFLICT;subject P1/S2"),
    Row("conflicts", "an archived session, another series",
        "POST /data/services/archive?src={other}&subject=S2&session=E1&overwrite=delete", 500,
        page("Exists for another Subject")),
    Row("conflicts", "an archived session, another study", OTHER, 500, page("session UID"), after="row P1/E2 CONFLICT"),
    Row("conflicts", "an archived session, another study", OTHER + "&overwrite=append", 200, uris(ARCHIVED),
        after="session P1/E1 of S1: 1:2 1-MR1:1"),
    Row("conflicts", "an archived session, another series of that number", OTHER, 200, uris(ARCHIVED),
        after="session P1/E1 of S1: 1:2 1-MR1:1"),
    Row("conflicts", "an archived session, that series under another number", OTHER, 500, page("same UID")),
    Row("conflicts", "an archived session, that series under another number", OTHER + "&overwrite=append", 200,
        uris(ARCHIVED), after="session P1/E1 of S1: 1:3"),
    Row("conflicts", "an archived session in the making, another series", OTHER, 500, page("in progress"),
        after="row P1/E2 CONFLICT", options={"pipelines_take": 60}),
    Row("conflicts", "an archived session in the making, another series",
        OTHER + "&overwrite=append", 200, uris(ARCHIVED),
        options={"pipelines_take": 60}),
    Row("conflicts", "an archived session, the same again",
        "POST /data/services/archive?src={other}&subject=S1&session=E1_COPY", 200,
        uris("/data/archive/projects/P1/subjects/S1/experiments/E1_COPY"), after="session P1/E1;session P1/E1_COPY"),
    Row("conflicts", "a subject, a row", POST + "&subject=s1", 200, uris(ARCHIVED)),
    Row("conflicts", "a subject, a row", POST + "&subject=XNAT_S00001", 200, uris(ARCHIVED)),
    Row("conflicts", "a row", POST + "&subject=S.1&session=E%201", 200,
        uris("/data/archive/projects/P1/subjects/S_1/experiments/E_1")),
    Row("conflicts", "an unassigned row", "POST /data/services/archive?src={unassigned}", 500, page(), who="root"),
    Row("conflicts", "a row",
        POST.replace("services/archive", "services/validate-archive") + LABELS, 200, xml("ResultSet")),
    Row("conflicts", "an archived session, the same again",
        OTHER.replace("services/archive", "services/validate-archive") + "&format=json", 200,
        table("code type message", 1, "matching files")),
)  # fmt: skip

ROWS = (*REQUESTS, *RUNS, *REFUSALS, *CONFLICTS)
