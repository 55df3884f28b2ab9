"""Subjects, demographics, custom variables."""

from tests.sandbox.contract.rows import Row
from tests.sandbox.contract.shapes import item, nothing, page, text

PUT = "PUT {subject}"
PATH = "xnat:subjectData/demographics[@xsi:type%3Dxnat:demographicData]/"
FIELD = "xnat:subjectData/fields/field[name%3DVisit]/field"
ID = text("XNAT_S00001")
DOB = "subject P1/S1 .*'dob': '{}'"

WRITING = (
    Row("writing subjects", "", PUT, 201, ID, after="subject P1/S1"),
    Row("writing subjects", "a subject", PUT + "?gender=male", 200, ID, after="subject P1/S1 .*'gender': 'male'"),
    Row("writing subjects", "a subject", "PUT /data/projects/P1/subjects/XNAT_S00001?yob=1980", 200, ID,
        after="subject P1/S1 .*'yob': 1980"),
    Row("writing subjects", "a subject",
        PUT, 200, ID, form={"gender": "male"}, after="subject P1/S1 .*'gender': 'male'"),
    Row("writing subjects", "", PUT, 201, ID, form={"gender": "male"}, after="subject P1/S1 .*'gender': 'male'"),
    Row("writing subjects", "a subject", PUT + f"?{PATH}dob=1981-02-03", 200, ID, after=DOB.format("1981-02-03")),
    Row("writing subjects", "a subject", PUT + f"?{FIELD}=3", 200, ID, after="subject P1/S1 .*'visit': '3'"),
    Row("writing subjects", "a subject", PUT + "?gender=FEMALE", 200, ID, after="subject P1/S1 .*'gender': 'FEMALE'"),
    Row("writing subjects", "a subject", PUT + "?gender=banana", 400, page("Must Match"),
        after="subject P1/S1 .*'gender': 'female'"),
    Row("writing subjects", "a subject",
        PUT + "?handedness=left", 200, ID, after="subject P1/S1 .*'handedness': 'left'"),
    Row("writing subjects", "a subject", PUT + "?handedness=both", 400, page()),
    Row("writing subjects", "a subject", PUT + "?age=old", 400, page("Integer")),
    Row("writing subjects", "a subject", PUT + "?yob=soon", 400, page("Integer")),
    Row("writing subjects", "a subject", PUT + "?ses=high", 400, page()),
    Row("writing subjects", "a subject", PUT + "?education=31", 400, page()),
    Row("writing subjects", "a subject", PUT + "?education=30", 200, ID),
    Row("writing subjects", "a subject",
        PUT + "?weight=70.5&height=180", 200, ID, after="subject P1/S1 .*'weight': '?70.5"),
    Row("writing subjects", "a subject", PUT + "?dob=02/03/1981", 200, ID, after=DOB.format("1981-02-03")),
    Row("writing subjects", "a subject", PUT + "?dob=02.03.1981", 200, ID, after=DOB.format("1981-02-03")),
    Row("writing subjects", "a subject", PUT + "?dob=19810203", 200, ID, after=DOB.format("1981-02-03")),
    Row("writing subjects", "a subject", PUT + "?dob=2000-13-45", 200, ID, after=DOB.format("2001-02-14")),
    Row("writing subjects", "a subject", PUT + "?dob=notadate", 400, page("Date"), after=DOB.format("1980-01-31")),
    Row("writing subjects", "a subject",
        PUT + "?yob=1980&age=44", 200, ID, after=".*'dob': '1980-01-31', 'yob': 1980, 'age': 44"),
    Row("writing subjects", "a subject", PUT + "?label=NEW&gender=male", 200, nothing,
        after="subject P1/NEW .*'gender': 'female';no subject P1/S1"),
    Row("writing subjects", "a subject",
        PUT + "?label=S1&gender=male", 200, nothing, after="subject P1/S1 .*'gender': 'female'"),
    Row("writing subjects", "two subjects", PUT + "?label=S2", 409, page(), after="subject P1/S1;subject P1/S2"),
    Row("writing subjects", "an archived session in the making",
        PUT + "?label=NEW", 409, page(), options={"pipelines_take": 60}),
    Row("writing subjects", "a subject", PUT + "?nonsense=1&group=g", 200, ID),
    Row("writing subjects", "", PUT + "?xnat:subjectData/nonsense=1", 201, ID),
    Row("writing subjects", "a subject", PUT + "?race=", 200, ID, after="subject P1/S1 .*'race': ''"),
    Row("writing subjects", "a subject", PUT + "?yob=", 200, ID, after="no subject P1/S1 .*yob"),
    Row("writing subjects", "a subject", PUT + "?dob=", 200, ID, after=DOB.format("1980-01-31")),
    Row("writing subjects", "a subject", PUT + "?dob=NULL", 200, ID, after="no subject P1/S1 .*dob"),
    Row("writing subjects", "a subject", PUT + "?gender=NULL", 200, ID, after="no subject P1/S1 .*gender"),
    Row("writing subjects", "a subject", PUT + f"?{FIELD}=O'Neil", 200, ID, after="subject P1/S1 .*O&apos;Neil"),
    Row("writing subjects", "", "PUT /data/projects/P1/subjects/A%20B", 500, page()),
    Row("writing subjects", "", "PUT /data/projects/P1/subjects/A!", 500, page()),
    Row("writing subjects", "", PUT, 403, page("create"), who="collab"),
    Row("writing subjects", "a subject", PUT + "?gender=male", 403, page("edit"), who="collab"),
    Row("writing subjects", "", "PUT /data/projects/NOPE/subjects/S1", 422, page()),
    Row("writing subjects", "", "PUT /data/projects/PRIV/subjects/S1", 422, page()),
    Row("writing subjects", "a subject", PUT + "?ID=XNAT_S00099", 400, page()),
    Row("writing subjects", "a subject", PUT + "?project=P3", 400, page()),
    Row("writing subjects", "",
        PUT, 201, ID, xml='<xnat:Subject xmlns:xnat="http://nrg.wustl.edu/xnat" label="S1" project="P1">'
        '<xnat:demographics><xnat:dob>1970-01-01</xnat:dob></xnat:demographics></xnat:Subject>',
        after=DOB.format("1970-01-01")),
    Row("writing subjects", "", PUT, 422, page(), xml='<xnat:Project xmlns:xnat="http://nrg.wustl.edu/xnat" ID="P1"/>'),
    Row("writing subjects", "", PUT, 417, page(), xml="<broken"),
    Row("writing subjects", "", PUT, 417, page(), xml='<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
    Row("writing subjects", "shared subject", "PUT /data/projects/P2/subjects/S1_P2?gender=male", 200, ID, who="owner",
        after="subject P1/S1 .*'gender': 'male'"),
)  # fmt: skip

READING = (
    Row("reading subjects", "a subject",
        "GET {subject}?format=json", 200, item("xnat:subjectData", "label=S1", "project=P1")),
    Row("reading subjects", "a subject", "GET {subject}?format=json", 200,
        item("xnat:subjectData", "gender=female", "dob=1980-01-31", of="demographics")),
    Row("reading subjects", "a subject with a field", "GET {subject}?format=json", 200,
        item("xnat:subjectData", "name=visit", "field=3", of="fields/field")),
    Row("reading subjects", "", "GET {subject}?format=json", 404, page()),
    Row("reading subjects", "a subject", "GET {subject}?format=json", 404, page(), who="outsider"),
    Row("reading subjects", "a subject",
        "GET /data/subjects/XNAT_S00001?format=json", 200, item("xnat:subjectData", "label=S1")),
    Row("reading subjects", "a subject", "GET /data/subjects/S1?format=json", 404, page()),
    Row("reading subjects", "a subject", "GET /data/projects/P3/subjects/XNAT_S00001?format=json", 200,
        item("xnat:subjectData", "project=P1")),
    Row("reading subjects", "a subject", "GET /data/projects/P3/subjects/S1?format=json", 404, page()),
    Row("reading subjects", "a subject", "DELETE {subject}", 403, page()),
    Row("reading subjects", "a subject",
        "DELETE {subject}?removeFiles=true", 200, nothing, who="owner", after="no subject P1/S1"),
    Row("reading subjects", "", "DELETE {subject}", 404, page(), who="owner"),
    Row("reading subjects", "shared subject", "DELETE /data/projects/P2/subjects/S1_P2", 200, nothing, who="owner",
        after="subject P1/S1;no subject P2/S1_P2"),
)  # fmt: skip

ROWS = (*WRITING, *READING)
