"""What the page on many workstations says of setting up a database is done here, with a PostgreSQL of the tests."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.docs.pages import DOCS
from tests.postgres.cluster import Cluster
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.postgres_opening import open_postgres
from xnat_watchd.core.errors import Occupied
from xnat_watchd.settings.sections import _address_without_password

PAGE = (DOCS / "fleet.md").read_text("utf-8")
PATIENCE = 5.0


@pytest.fixture
def server() -> Iterator[Cluster]:
    """Yield a server on which somebody has typed what the page says."""
    made = Cluster.made()
    lines = re.findall(r"^sudo -u postgres (createuser|createdb|psql) (.*)$", PAGE, re.MULTILINE)
    assert [program for program, _ in lines] == ["createuser", "createdb", "psql"]
    for program, words in lines[:2]:
        typed = [word for word in words.split() if word != "--pwprompt"]
        made.run(program, "--host", str(made.folder), "--username", "watchd", *typed)
    made.tell("ALTER ROLE xnat_watchd PASSWORD 'PASSWORD'")
    (rule,) = re.findall(r"^echo 'hostssl (\w+ \w+) \S+ (\S+)'", PAGE, re.MULTILINE)
    rules = made.folder / "data" / "pg_hba.conf"
    rules.write_text(f"local {' '.join(rule)}\n{rules.read_text('utf-8')}", "utf-8")
    made.tell("SELECT pg_reload_conf()")
    yield made
    made.close()


def test_a_station_begins_with_the_password_in_its_file_and_with_no_other(server: Cluster, tmp_path: Path) -> None:
    (settings,) = re.findall(r"```toml\n(\[ledger\]\n.*?)```", PAGE, re.DOTALL)
    url = _address_without_password(tomllib.loads(settings)["ledger"]["url"])
    asked = urlsplit(url)
    (line,) = re.findall(r"^echo '(db\.example\.org:\S+)' \| sudo install", PAGE, re.MULTILINE)
    name, port, database, user, password = line.split(":")
    assert (name, port, database, user) == (asked.hostname, "5432", asked.path[1:], asked.username)
    assert parse_qs(asked.query)["passfile"] == ["/etc/xnat-watchd/pgpass"]
    for word, fits in (("another", False), (password, True)):
        (tmp_path / "pgpass").write_text(f"{server.folder}:{port}:{database}:{user}:{word}\n", "utf-8")
        (tmp_path / "pgpass").chmod(0o600)
        here = f"postgresql://{user}@/{database}?host={server.folder}&passfile={tmp_path}/pgpass"
        if fits:
            ledger = Ledger(open_postgres(here, patience=PATIENCE))
            assert ledger.fleet.stations() == []
            ledger.close()
        else:
            with pytest.raises(Occupied):
                open_postgres(here, patience=PATIENCE)


def test_what_the_page_quotes_is_said_by_the_program() -> None:
    source = "\n".join(path.read_text("utf-8") for path in (DOCS.parent / "xnat_watchd").rglob("*.py"))
    table = PAGE.partition("## When something fails")[2].partition("## ")[0]
    quoted = re.findall("`([^`]+)`", "\n".join(row.split("|")[2] for row in table.splitlines() if row.startswith("| ")))
    assert len(quoted) > 4
    assert [said for said in quoted if said.replace("mr-1", "{process.name}") not in source] == []
