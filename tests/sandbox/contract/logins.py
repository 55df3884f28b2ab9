"""Section 1: logging in, login sessions, alias tokens, and the token of the pages."""

from tests.sandbox.contract.rows import Row
from tests.sandbox.contract.shapes import html, item, json, nothing, page, table, text

SESSION = r"[0-9A-F]{32}"
TOKEN = (
    "alias secret xdatUserId singleUse estimatedExpirationTime validIPAddresses id enabled created timestamp disabled"
)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"
PROJECTS = table("ID secondary_ID name description pi_firstname pi_lastname URI", 3)

ROWS = (
    Row("1.1", "", "GET /data/projects?format=json", 200, PROJECTS, told=r"JSESSIONID=[0-9A-F]{32};.*HttpOnly"),
    Row("1.1", "", "GET /data/projects?format=json", 401, told='WWW-Authenticate: Basic realm="', who="mistaken"),
    Row("1.1", "", "GET /data/projects?format=json", 401, told='WWW-Authenticate: Basic realm="', who="a stranger"),
    Row("1.1", "twenty mistakes", "GET /data/projects?format=json", 401),
    Row("1.1", "", "POST /data/JSESSION", 200, text(SESSION)),
    Row("1.1", "", "GET /data/JSESSION", 200, text(SESSION)),
    Row("1.1", "", "GET /data/JSESSION?CSRF=true", 200, text(SESSION + ";XNAT_CSRF=[0-9a-f-]{36}")),
    Row("1.1", "logged in", "DELETE /data/JSESSION", 200, nothing, who="cookie"),
    Row("1.1", "", "GET /data/auth", 200, text("User 'tech' is logged in")),
    Row("1.1", "", "GET /data/auth", 401, who="nobody"),
    Row("1.1", "", "PUT /data/services/auth", 200, text(SESSION), who="nobody",
        form={"username": "tech", "password": "secret"}, told="JSESSIONID="),
    Row("1.1", "", "POST /data/services/auth", 200, text(SESSION), who="nobody",
        form={"username": "tech", "password": "secret"}),
    Row("1.1", "", "PUT /data/services/auth", 200, text(SESSION), who="nobody",
        form={"j_username": "tech", "j_password": "secret"}),
    Row("1.1", "", "PUT /data/services/auth", 401, who="nobody", form={"username": "tech", "password": "wrong"}),
    Row("1.1", "", "PUT /data/services/auth", 400, who="nobody",
        form={"username": "tech", "password": "secret", "provider": "nowhere"}),
    Row("1.1", "", "GET /data/services/auth", 404, page()),
    Row("1.1", "", "PUT /data/services/auth", 404, page(), who="nobody"),
    Row("1.1", "", "GET /data/services/tokens/issue", 200, json(TOKEN, r'"secret":"\w{64}"')),
    Row("1.1", "", "GET /data/services/tokens/issue/user/tech", 200, json(TOKEN, '"xdatUserId":"tech"'), who="root"),
    Row("1.1", "", "GET /data/services/tokens/issue/user/root", 403, page()),
    Row("1.1", "a token", "GET /data/services/tokens/show", 200, json(TOKEN)),
    Row("1.1", "a token", "GET /data/services/tokens/validate/{alias}/{secret}", 200, json("valid", '"tech"')),
    Row("1.1", "a token", "GET /data/services/tokens/validate/{alias}/wrong", 200, json("")),
    Row("1.1", "a token", "GET /data/services/tokens/validate/{alias}", 401),
    Row("1.1", "", "GET /data/services/tokens/validate/nobody/knows", 404),
    Row("1.1", "a token", "GET /data/services/tokens/invalidate/{alias}/{secret}", 200, text('{"result": "OK"}')),
    Row("1.1", "a token", "GET /data/services/tokens/invalidate/{alias}", 200, text('{"result": "OK"}')),
    Row("1.1", "", "GET /data/services/tokens/invalidate/nobody", 404),
    Row("1.1", "", "GET /xapi/users/username", 200, text("tech")),
    Row("1.1", "", "GET /xapi/users/username", 401, who="nobody"),
    Row("1.2", "", "GET /data/JSESSION", 200, text(SESSION), who="nobody"),
    Row("1.2", "logged in", "GET /data/auth", 200, text("User 'tech' is logged in"), who="cookie"),
    Row("1.2", "logged in, twenty minutes", "GET /data/auth", 401, who="cookie"),
    Row("1.2", "logged in, twenty minutes", "GET /xapi/users/username", 401, who="cookie"),
    Row("1.2", "logged in, twenty minutes", "GET /data/projects", 302, nothing, who="cookie", agent=BROWSER,
        told="Location: /app/template/Login.vm"),
    Row("1.2", "logged in, a killed login", "GET /data/auth", 401, who="cookie"),
    Row("1.2", "logged in, twenty minutes", "GET /data/JSESSION", 200, text(SESSION), who="cookie"),
    Row("1.2", "logged in, logged in", "GET /data/auth", 401, options={"session_limit": 2}),
    Row("1.2", "logged in, twenty logins, a killed login", "GET /data/auth", 401, options={"session_limit": 1}),
    Row("1.3", "an expired password", "GET /data/projects", 403, html("expired")),
    # trap 19
    Row("1.3", "logged in, an expired password", "GET /data/projects", 302, nothing, who="cookie",
        told="Location: /app/template/ChangePassword.vm"),
    Row("1.3", "logged in, an expired password", "GET /xapi/users/username", 302, nothing, who="cookie"),
    Row("1.3", "an inactive account", "GET /data/projects", 401),
    Row("1.4", "a token", "GET /data/auth", 200, text("User 'tech' is logged in"), who="token"),
    Row("1.4", "a token, that token invalidated", "GET /data/auth", 401, who="token"),
    Row("1.4", "a token, three days", "GET /data/auth", 401, who="token"),
    Row("1.4", "a token, three days", "GET /data/services/tokens/validate/{alias}/{secret}", 200,
        json("valid", "tech")),
    Row("17.3", "a token, another password", "GET /data/auth", 401, who="token"),
    Row("1.5", "logged in", "PUT /data/projects/P1/subjects/S1", 500, page("INVALID CSRF"), who="cookie",
        agent=BROWSER),
    Row("1.5", "logged in", "PUT /data/projects/P1/subjects/S1?XNAT_CSRF={csrf}", 201, who="cookie", agent=BROWSER),
    Row("1.5", "logged in", "PUT /data/projects/P1/subjects/S1", 201, who="cookie"),
    Row("1.5", "logged in", "GET /data/projects/P1?format=json", 200, item("xnat:projectData"), who="cookie",
        agent=BROWSER),
)  # fmt: skip
