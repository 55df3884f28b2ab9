"""Sections 4.2 to 4.6: one session of the prearchive, and what may be done to it."""

from tests.sandbox.contract.rows import Row
from tests.sandbox.contract.shapes import archive, nothing, page, table, text, xml

COLUMNS = (
    "project timestamp lastmod uploaded scan_date scan_time subject folderName name tag status url autoarchive "
    "prevent_anon prevent_auto_commit SOURCE VISIT PROTOCOL TIMEZONE"
)

CONTENT = (
    Row("4.2", "a row", "GET /data{row}?format=json", 200, table(COLUMNS, 1, '"url":"{row}"')),
    Row("4.2", "", "GET /data{gone}?format=json", 200, table(rows=0)),
    Row("4.2", "a row", "GET /data{row}?format=json", 403, page(), who="collab"),
    Row("4.2", "", "GET /data{nowhere}?format=json", 500, page()),
    Row("4.2", "a row", "GET /data{row}", 200, xml("MRSession", '<xnat:scan ID="1"')),
    Row("4.2", "a row", "GET /data{row}?format=xml", 200, xml("MRSession", 'UID="{study}"')),
    Row("4.2", "a receiving row", "GET /data{row}?format=xml", 404, page()),
    Row("4.2", "a row", "GET /data{row}?format=zip", 200, archive(["s1_1.dcm", "s1_2.dcm"])),
    Row("4.2", "a row of no files, built", "GET /data{row}/logs?format=json", 200, table("id date entry", 1)),
    Row("4.2", "a row of no files, built", "GET /data{row}/logs?format=json&template=short", 200, table("id", 1)),
    Row("4.2", "a row of no files, built", "GET /data{row}/logs/last", 200, text(".*no files.*")),
    Row("4.2", "a row of no files, built", "GET /data{row}/logs/1", 200, text(".*no files.*")),
    Row("4.2", "a row", "GET /data{row}/logs/last", 200, nothing),
    Row("4.2", "a row", "GET /data{row}/scans?format=json", 200, table("ID xsiType series_description", 1)),
    Row("4.2", "a receiving row", "GET /data{row}/scans?format=json", 404, page()),
    Row("4.2", "a row", "GET /data{row}/scans?format=json", 403, page(), who="collab"),
    Row("4.2", "a row", "GET /data{row}/scans/1/resources?format=json", 200, table("label file_count file_size", 1)),
    Row("4.2", "a row", "GET /data{row}/scans/9/resources?format=json", 404, page()),
    Row("4.2", "a row", "GET /data{row}/scans/1/resources/DICOM/files?format=json", 200, table("Name Size URI", 2)),
    Row("4.2", "a row", "GET /data{row}/scans/9/resources/DICOM/files?format=json", 404, page()),
    Row("4.2", "a row", "GET /data{row}/resources?format=json", 200,
        table("category cat_id label file_count file_size", 1, '"file_count":"2"')),
    Row("4.2", "a receiving row", "GET /data{row}/resources?format=json", 404, page()),
    Row("4.2", "a row, another series on top", "GET /data{row}/scans?format=json", 200, table(rows=1)),
    Row("4.3", "a receiving row", "POST /data{row}?action=build", 200, after="row P1/E1 READY"),
    Row("4.3", "a row of no files", "POST /data{row}?action=build", 200, after="row P1/E1 ERROR"),
    Row("4.3", "a row queued", "POST /data/services/archive?src={row}", 200, after="session P1/E1"),
    Row("4.3", "a locked row", "POST /data/services/archive?src={row}", 403, after="row P1/E1 _ARCHIVING"),
    Row("4.4", "a row", "DELETE /data{row}", 200, nothing, after="no row P1/E1"),
    Row("4.4", "a row", "DELETE /data{row}", 403, page(), who="collab", after="row P1/E1 READY"),
    Row("4.4", "", "DELETE /data{gone}", 200, nothing),
    Row("4.4", "a row being deleted", "DELETE /data{row}", 200, nothing, after="row P1/E1 DELETING"),
    Row("4.4", "a locked row", "DELETE /data{row}", 200, nothing, after="row P1/E1 _ARCHIVING"),
    Row("4.4", "", "DELETE /data{nowhere}", 500, page()),
    Row("4.4", "an unassigned row", "DELETE /data{unassigned}", 403, page()),
    Row("4.4", "an unassigned row", "DELETE /data{unassigned}", 200, nothing,
        who="root", after="no row Unassigned"),
)  # fmt: skip

ACTIONS = (
    Row("4.5", "a receiving row", "POST /data{row}?action=build", 200, text("/data{row}", "text/uri-list")),
    Row("4.5", "policy 4, a receiving row", "POST /data{row}?action=build", 200, text("/data{row}", "text/uri-list"),
        after="row P1/E1 READY"),
    Row("4.5", "a locked row", "POST /data{row}?action=build", 409, page()),
    Row("4.5", "", "POST /data{gone}?action=build", 500, page()),
    Row("4.5", "a row", "POST /data{row}?action=build", 403, page(), who="collab"),
    Row("4.5", "a receiving row", "POST /data{row}?action=commit", 200, text("/data{row}", "text/uri-list"),
        after="row P1/E1 READY"),
    Row("4.5", "a receiving row", "POST /data{row}?action=commit&AA=true", 301,
        text("/data/archive/projects/P1/subjects/S1/experiments/E1"), after="session P1/E1"),
    Row("4.5", "policy 4, a receiving row", "POST /data{row}?action=commit", 301,
        text("/data/archive/projects/P1/subjects/S1/experiments/E1")),
    Row("4.5", "a receiving row", "POST /data{row}?action=commit&AA=true&http-session-listener=H", 200,
        text("Archival initiated"), after="session P1/E1"),
    Row("4.5", "a locked row", "POST /data{row}?action=commit", 409, page()),
    Row("4.5", "", "POST /data{gone}?action=commit", 404, page()),
    Row("4.5", "an archived session, another row of that label", "POST /data{row}?action=commit&AA=true", 500, page(),
        after="row P1/E1 CONFLICT"),
    Row("4.5", "a row", "POST /data{row}?action=move&newProject=P3", 301,
        text("/data{moved}"), after="row P3/E1 READY"),
    Row("4.5", "a row", "POST /data{row}?action=move&newProject=P2", 403, page(), after="row P1/E1 READY"),
    Row("4.5", "", "POST /data{gone}?action=move&newProject=P3", 404, page()),
    Row("4.5", "a row, that place taken in P3", "POST /data{row}?action=move&newProject=P3", 409, page()),
    Row("4.5", "a locked row", "POST /data{row}?action=move&newProject=P3", 200, nothing, after="row P1/E1 _ARCHIVING"),
    Row("4.5", "a row in ERROR", "POST /data{row}?action=reset-status", 200, after="row P1/E1 READY"),
    Row("4.5", "", "POST /data{gone}?action=reset-status", 500, page()),
    Row("4.5", "a row", "POST /data{row}?action=set-status&status=CONFLICT", 200, after="row P1/E1 CONFLICT"),
    Row("4.5", "a row", "POST /data{row}?action=set-status&status=_ARCHIVING", 400, page(), after="row P1/E1 READY"),
    Row("4.5", "a row", "POST /data{row}?action=set-status&status=BANANA", 400, page()),
    Row("4.5", "", "POST /data{gone}?action=set-status&status=READY", 400, page()),
    Row("4.5", "a row", "POST /data{row}", 400, page()),
    Row("4.5", "a row", "POST /data{row}?action=banana", 400, page("unsupported action")),
)  # fmt: skip

BATCH = "POST /data/services/prearchive/"
BATCHES = (
    Row("4.6", "a row", BATCH + "delete?src={row}&format=json", 200, table(COLUMNS, 1, "QUEUED_DELETING"),
        after="no row P1/E1"),
    Row("4.6", "a row", BATCH + "delete?src=/data{row}&format=json", 200, table(COLUMNS, 1)),
    Row("4.6", "a row", BATCH + "delete?format=json", 200, table(rows=1), form={"src": "{row}"}),
    Row("4.6", "a row", BATCH + "move?src={row}&newProject=P3&format=json", 200, table(COLUMNS, 1, "QUEUED_MOVING"),
        after="row P3/E1 READY"),
    Row("4.6", "a row", BATCH + "move?src={row}&newProject=P2&format=json", 200, after="row P2/E1 READY"),
    Row("4.6", "a row, that place taken in P3", BATCH + "move?src={row}&newProject=P3&format=json", 200,
        after="row P1/E1 ERROR"),
    Row("4.6", "policy 4, a receiving row", BATCH + "rebuild?src={row}&format=json", 200,
        table(COLUMNS, 1, "QUEUED_BUILDING"), after="row P1/E1 READY"),
    Row("4.6", "a row", BATCH + "delete?src={row}", 403, page(), who="collab", after="row P1/E1 READY"),
    Row("4.6", "", BATCH + "delete?src={gone}", 500, page()),
    Row("4.6", "", BATCH + "move?src={gone}&newProject=P3", 404, page()),
    Row("4.6", "", BATCH + "rebuild?src={gone}", 500, page()),
    Row("4.6", "", BATCH + "delete?src={nowhere}", 500, page()),
    Row("4.6", "", BATCH + "delete?src=/banana", 500, page()),
    # trap 14
    Row("4.6", "a locked row", BATCH + "delete?src={row}&format=json", 200, after="row P1/E1 _ARCHIVING"),
    Row("4.6", "a locked row", BATCH + "rebuild?src={row}&overrideLock=true&format=json", 200, after="row P1/E1 READY"),
    Row("4.6", "a row", BATCH + "delete?src={row}&src={gone}", 500, page(), after="row P1/E1 QUEUED_DELETING"),
)  # fmt: skip

ROWS = (*CONTENT, *ACTIONS, *BATCHES)
