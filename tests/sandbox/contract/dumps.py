"""The header dump."""

from tests.sandbox.contract.rows import Row
from tests.sandbox.contract.shapes import page, table

DUMP = "GET /data/services/dicomdump?format=json"
COLUMNS = "tag1 tag2 vr value desc"
NAME = r'"tag1":"\(0010,0010\)","tag2":"","vr":"PN","value":"Canary\^Kim","desc":"Patient.*Name"'

ROWS = (
    Row("dumps", "a row", DUMP + "&src={row}&field=PatientName", 200, table(COLUMNS, 1, NAME)),
    Row("dumps", "a row", DUMP + "&src={row}&field=00100010", 200, table(COLUMNS, 1, NAME)),
    Row("dumps", "a row", DUMP + "&src={row}&field=PatientName&field=PatientID", 200, table(COLUMNS, 2)),
    Row("dumps", "a row", DUMP + "&src={row}&field=Banana", 400, page()),
    Row("dumps", "a row", DUMP + "&src={row}&field=PatientName&field=PatientName", 400, page()),
    Row("dumps", "a row", DUMP + "&src={row}&field=PatientBirthName", 200, table(rows=0)),
    Row("dumps", "a row", DUMP + "&src={row}", 200, table(COLUMNS, holds="{study}.*Study Instance UID")),
    Row("dumps", "a row", DUMP + "&src={row}&field=StudyInstanceUID", 200, table(COLUMNS, 1, '"value":"{study}"')),
    Row("dumps", "a row", DUMP + "&src=/data{row}", 200, table(rows=0)),
    Row("dumps", "a row", DUMP + "&src={row}/scans/1&field=PatientID", 200, table(COLUMNS, 1)),
    Row("dumps", "a row", DUMP + "&src={row}/scans/9", 200, table(rows=0)),
    Row("dumps", "a row", DUMP + "&src={row}/scans/1/resources/DICOM/files/s1_2.dcm&field=InstanceNumber", 200,
        table(COLUMNS, 1, '"value":"2"')),
    Row("dumps", "a row", DUMP + "&src={row}&summary=true&field=PatientID", 200, table(COLUMNS, 1)),
    Row("dumps", "a row with a hostile comment", DUMP + "&src={row}&field=PatientComments", 200,
        table(COLUMNS, 1, r'"value":"a &lt;b&gt; &amp; c+"')),
    Row("dumps", "a row with a sequence", DUMP + "&src={row}", 200,
        table(COLUMNS, holds=r'"tag1":"\(0008,1140\)","tag2":"\(0008,1155\)"'),
        different="the header reader of the practice XNAT does not look into sequences"),
    Row("dumps", "an archived session",
        DUMP + "&src=/archive/projects/P1/subjects/S1/experiments/E1&field=PatientID", 200,
        table(COLUMNS, 1)),
    Row("dumps", "an archived session", DUMP + "&src=/archive/projects/P1/experiments/E1/scans/1&field=PatientID", 200,
        table(COLUMNS, 1)),
    Row("dumps", "an archived session", DUMP + "&src=/archive/experiments/XNAT_E00001", 200, table(rows=0)),
    Row("dumps", "", DUMP, 400, page()),
    Row("dumps", "a receiving row", DUMP + "&src={row}", 404, page()),
    Row("dumps", "a row", DUMP + "&src={row}", 404, page(), who="collab"),
    Row("dumps", "an archived session", DUMP + "&src=/archive/projects/P1/experiments/E1", 404, page(), who="outsider"),
)  # fmt: skip
