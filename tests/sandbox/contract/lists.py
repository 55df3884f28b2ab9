"""The users of a project, and lists."""

from tests.sandbox.contract.rows import Row
from tests.sandbox.contract.shapes import html, nothing, page, table

USERS = "GROUP_ID displayname login firstname lastname email"
EXPERIMENTS = "ID project date xsiType label insert_date URI xnat:subjectassessordata/id"

PEOPLE = (
    Row("users", "", "GET /data/projects/P1/users?format=json", 200, table(USERS, 3, '"displayname":"Members"'),
        who="owner"),
    Row("users", "", "GET /data/projects/NOPE/users?format=json", 404, page(), who="owner"),
    Row("users", "", "GET /data/projects/P1/users?format=json", 403, page()),
    Row("users", "", "PUT /data/projects/P1/users/P1_member/outsider?format=json", 200, table(USERS, 4), who="owner"),
    Row("users", "", "PUT /data/projects/P1/users/member/outsider?format=json", 200, table(USERS, 4), who="owner"),
    Row("users", "", "PUT /data/projects/P1/users/Members/outsider?format=json", 200, table(USERS, 4), who="owner"),
    Row("users", "", "PUT /data/projects/P1/users/Members/tech?format=json", 200, table(USERS, 3), who="owner"),
    Row("users", "", "PUT /data/projects/P1/users/Owners/tech?format=json", 200,
        table(USERS, 3, '"GROUP_ID":"P1_owner","displayname":"Owners","login":"tech"'), who="owner"),
    Row("users", "", "PUT /data/projects/P1/users/Members/nobody_knows?format=json", 200, table(USERS, 3), who="owner"),
    Row("users", "", "DELETE /data/projects/P1/users/Members/tech?format=json", 200, table(USERS, 2), who="owner"),
    Row("users", "", "DELETE /data/projects/P1/users/Members/outsider?format=json", 200, table(USERS, 3), who="owner"),
    Row("users", "", "PUT /data/projects/P1/users/Members/outsider", 403),
    Row("users", "", "PUT /data/projects/NOPE/users/Members/outsider", 404, page(), who="owner"),
    Row("users", "", "PUT /data/projects/P1/users/Banana/outsider", 404, page(), who="owner"),
    Row("users", "", "PUT /data/projects/P1/users/Members/guest", 412, page(), who="owner"),
    Row("users", "", "GET /xapi/users/nobody_knows", 404, who="root"),
    Row("users", "a row", "POST /data/services/archive?src={row}", 200),
    Row("users", "a row", "POST /data/services/archive?src={row}", 403, who="collab"),
    Row("users", "an archived session", "GET {session}?format=json", 200, who="collab"),
    Row("users", "an archived session", "DELETE {session}", 403, page()),
    Row("users", "an archived session", "DELETE {session}", 200, nothing, who="owner"),
)  # fmt: skip

LISTS = (
    Row("lists", "", "GET /data/projects?format=json", 200,
        table("ID secondary_ID name description pi_firstname pi_lastname URI", 3, '"totalRecords": "3"')),
    Row("lists", "a subject", "GET /data/projects/P1/subjects?format=json", 200,
        table("ID project label insert_date insert_user URI", 1, '"URI":"/data/subjects/XNAT_S00001"')),
    Row("lists", "an archived session", "GET /data/projects/P1/experiments?format=json", 200,
        table(EXPERIMENTS, 1, '"URI":"/data/experiments/XNAT_E00001"')),
    Row("lists", "an archived session", "GET {subject}/experiments?format=json", 200, table(EXPERIMENTS, 1)),
    Row("lists", "an archived session", "GET /data/experiments?format=json", 200,
        table("ID project date xsiType label insert_date URI", 1)),
    Row("lists", "an archived session", "GET {session}/scans?format=json", 200,
        table("xnat_imagescandata_id ID type quality xsiType note series_description URI", 1)),
    Row("lists", "a subject", "GET /data/projects/P1/subjects?columns=ID,label,gender&format=json", 200,
        table("ID label gender URI", 1, '"gender":"female"')),
    Row("lists", "a subject", "GET /data/projects/P1/subjects?format=json&columns=label,"
        "xnat:subjectData/demographics[@xsi:type=xnat:demographicData]/gender", 200,
        table("label xnat:subjectdata/demographics[@xsi:type=xnat:demographicdata]/gender URI", 1)),
    Row("lists", "a subject", "GET /data/projects/P1/subjects?columns=ID,banana&format=json", 200, table("ID URI", 1)),
    Row("lists", "an archived session", "GET /data/projects/P1/experiments?xsiType=xnat:imageSessionData&format=json"
        "&columns=ID,label,subject_label,UID&UID={study}", 200,
        table("ID label subject_label UID URI xnat:imagesessiondata/id", 1)),
    Row("lists", "an archived session", "GET /data/projects/P1/experiments?xsiType=xnat:imageSessionData&format=json"
        "&columns=ID,UID&UID=9.9", 200, table(rows=0)),
    Row("lists", "an archived session", "GET /data/projects/P1/experiments?label=E*&format=json", 200, table(rows=1)),
    Row("lists", "an archived session",
        "GET /data/projects/P1/experiments?label=E%25,X&format=json", 200, table(rows=1)),
    Row("lists", "two subjects", "GET /data/projects/P1/subjects?sortBy=label&sortOrder=DESC&format=json", 200,
        table(rows=2, holds='"label":"S2".*"label":"S1"')),
    Row("lists", "two subjects", "GET /data/projects/P1/subjects?sortBy=label&offset=1&format=json", 200,
        table(rows=1, holds=r'^(?!.*totalRecords).*"label":"S2"')),
    Row("lists", "two subjects", "GET /data/projects/P1/subjects?sortBy=label&offset=0&limit=1&format=json", 200,
        table(rows=1, holds='"label":"S1"')),
    Row("lists", "two subjects", "GET /data/projects/P1/subjects?offset=0&limit=*&format=json", 200, table(rows=2)),
    Row("lists", "", "GET /data/projects?data=writable&format=json", 200, table(rows=2)),
    Row("lists", "", "GET /data/projects?data=readable&format=json", 200, table(rows=1, holds="P1"), who="collab"),
    Row("lists", "", "GET /data/projects?data=banana&format=json", 400, page()),
    Row("lists", "", "GET /data/projects?owner=true&format=json", 200, table(rows=0)),
    Row("lists", "", "GET /data/projects?member=true&format=json", 200, table(rows=2)),
    Row("lists", "", "GET /data/projects?collaborator=true&format=json", 200, table(rows=1), who="collab"),
    Row("lists", "", "GET /data/projects?accessible=true&format=json", 200,
        table(rows=3, holds='"user_role_3":"Members"')),
    Row("lists", "policy 4", "GET /data/projects?prearc_code=true&format=json", 200, table(holds="4")),
    Row("lists", "", "GET /data/projects/NOPE/subjects?format=json", 404, page()),
    Row("lists", "", "GET /data/projects/P1/subjects?format=json", 403, page(), who="outsider"),
    Row("lists", "a subject", "POST /data/projects/P1/subjects?label=S1", 409, page()),
    Row("lists", "", "GET /data/projects/P1/prearchive_code", 200, html("^0$")),
    Row("lists", "policy 5", "GET /data/projects/P1/prearchive_code", 200, html("^5$")),
    Row("lists", "", "PUT /data/projects/P1/prearchive_code/4", 200, who="owner"),
    Row("lists", "", "PUT /data/projects/P1/prearchive_code/4", 403, page()),
    Row("lists", "an archived session", "GET /data/projects/P1/experiments?columns=ID,label&format=json", 200,
        table("ID label URI xsiType project xnat:subjectassessordata/id", 1)),
    Row("lists", "an archived session", "GET {session}?format=json", 200),
    Row("writing subjects", "an archived session", "PUT /data/experiments/XNAT_E00001?note=x", 200, after="no .*note"),
)  # fmt: skip

ROWS = (*PEOPLE, *LISTS)
