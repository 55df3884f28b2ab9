"""The ledger in a PostgreSQL that is set up otherwise than ours: by a role, a database, a pooler, or rights."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.ledger_conformance.engines import Engine, Recorder, study
from tests.postgres.cluster import USER, as_owner, owned
from tests.postgres.databases import cluster
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.postgres_database import SCHEMA, PostgresDatabase
from xnat_watchd.adapters.ledger.postgres_opening import open_postgres
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.core.delivery import Person
from xnat_watchd.core.errors import LedgerUnusable, Refusal

SETTINGS = [
    "datestyle = 'German'", "datestyle = 'SQL, DMY'", "datestyle = 'Postgres'", "intervalstyle = 'sql_standard'",
    "timezone = 'Pacific/Kiritimati'", "standard_conforming_strings = off", "search_path = public",
    "bytea_output = 'escape'", "default_transaction_isolation = 'repeatable read'",
    "default_transaction_isolation = 'serializable'", "client_encoding = 'LATIN1'", "lc_messages = 'C'",
    "statement_timeout = '5s'", "enable_seqscan = off", "plan_cache_mode = force_generic_plan",
]  # fmt: skip
ADD_DELIVERY = "INSERT INTO deliveries (name, project, identity, state, arrived) VALUES ('a','P','1','arriving','2026')"
PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")


@pytest.fixture
def name() -> Iterator[str]:
    """Yield the name of an empty database."""
    made = cluster().database().partition("///")[2].partition("?")[0]
    yield made
    cluster().drop(made)


def opened(url: str) -> PostgresDatabase:
    return open_postgres(url, patience=10)


def carry(url: str, folder: Path) -> Recorder:
    """Have a study of a person with letters of many languages be recorded and done."""
    recorder = Recorder(Engine("postgres", lambda _: Ledger(opened(url))), folder)
    recorder.receive(study("1.2.3", person=Person(name="Dvořák^Ñandú^猫", id="Ž-1")))
    recorder.complete()
    assert recorder.ledger.studies.next_due(recorder.now) is None
    return recorder


@pytest.mark.parametrize("setting", SETTINGS)
def test_whatever_is_set_for_the_database_a_ledger_is_as_always(name: str, setting: str, tmp_path: Path) -> None:
    cluster().tell(f"ALTER DATABASE {name} SET {setting}")
    recorder = carry(cluster().url(name), tmp_path)
    stations = recorder.ledger.stations
    stations.enroll(StationProcess("ct-1", "0.2.0"))
    shown = stations.renew(timedelta(0))
    assert shown is not None
    assert abs(shown - datetime.now(UTC)) < timedelta(minutes=1)
    assert not recorder.ledger.commit_history.has_changed(recorder.now)
    assert recorder.ledger.import_starts.reserve() >= 0
    recorder.ledger.close()


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_who_has_waited_for_a_change_sees_what_it_wrote(name: str, level: str) -> None:
    cluster().tell(f"ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")
    url, begun, seen = cluster().url(name), threading.Event(), list[int]()
    with closing(opened(url)) as one, closing(opened(url)) as other:

        def count() -> None:
            begun.wait()
            with other.change() as db:
                seen.append(db.execute("SELECT count(*) AS n FROM clutter").fetchall()[0]["n"])

        waiting = threading.Thread(target=count)
        waiting.start()
        with one.change() as db:
            db.execute(ADD_DELIVERY)
            begun.set()
            cluster().wait_until("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")
            db.execute("INSERT INTO clutter (delivery, kind, count) SELECT id, 'log', 1 FROM deliveries")
        waiting.join()
    assert seen == [1]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_has_no_place_for_every_name_is_refused(encoding: str) -> None:
    name = f"in_{encoding.lower()}"
    cluster().tell(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0")
    try:
        with pytest.raises(Refusal, match=f"has the encoding {encoding}"):
            opened(cluster().url(name))
    finally:
        cluster().drop(name)


def test_a_standing_order_to_write_nothing_is_kept_to(name: str) -> None:
    url = cluster().url(name)
    opened(url).close()
    cluster().tell(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with closing(opened(url)) as database, pytest.raises(LedgerUnusable, match="takes no writes"):
        database.must_take_writes()


def test_a_right_that_was_revoked_is_told_and_work_goes_on_when_it_is_back(name: str) -> None:
    cluster().tell(f"CREATE ROLE of_{name} LOGIN")
    cluster().tell(f"GRANT CREATE ON DATABASE {name} TO of_{name}")
    with closing(opened(cluster().url(name).replace(f"user={USER}", f"user=of_{name}"))) as database:
        cluster().tell(f"REVOKE SELECT ON {SCHEMA}.deliveries FROM of_{name}", name)  # noqa: S608 - names of ours
        with pytest.raises(LedgerUnusable, match="lacks a right"):
            database.rows("SELECT * FROM deliveries")
        cluster().tell(f"GRANT SELECT ON {SCHEMA}.deliveries TO of_{name}", name)
        assert database.rows("SELECT * FROM deliveries") == []


def test_columns_that_a_newer_station_adds_stop_nobody(name: str) -> None:
    with closing(opened(cluster().url(name))) as database:
        for _ in range(10):  # so often that the statement is prepared
            database.rows("SELECT * FROM deliveries")
        cluster().tell(f"ALTER TABLE {SCHEMA}.deliveries ADD COLUMN more BIGINT", name)
        with pytest.raises(LedgerUnusable, match="tables of the ledger were changed") as told:
            database.rows("SELECT * FROM deliveries")
        assert told.value.passes
        assert database.rows("SELECT * FROM deliveries") == []


@pytest.fixture
def pooler() -> Iterator[str]:
    """Yield how pgbouncer is reached that passes sessions on to the cluster."""
    if PGBOUNCER is None:
        pytest.skip("needs pgbouncer")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as made:
        folder = Path(made)
        (folder / "users").write_text(f'"{USER}" ""\n')
        (folder / "ini").write_text(
            f"[databases]\n* = host={cluster().folder} user={USER}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users\n"
            "pool_mode = session\n"
        )
        owned(folder)
        line = [*as_owner("--pdeathsig", "TERM"), PGBOUNCER, "-q", str(folder / "ini")]
        process = subprocess.Popen(line, cwd="/")  # noqa: S603 - as named
        try:
            must_listen(port)
            yield f"postgresql://{USER}@127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def hears(database: PostgresDatabase) -> bool:
    """Return whether a change of others is heard of within some seconds: notices come when they come."""
    end = time.monotonic() + 10
    while not database.changed():
        if time.monotonic() > end:
            return False
        database.row("SELECT pg_sleep(0.01)")
    return True


def must_listen(port: int) -> None:
    """Wait until somebody listens there."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with closing(socket.socket()) as line:
            if not line.connect_ex(("127.0.0.1", port)):
                return
    raise TimeoutError


def test_behind_pgbouncer_in_session_mode_a_ledger_is_as_always(name: str, pooler: str, tmp_path: Path) -> None:
    recorder = carry(f"{pooler}/{name}", tmp_path)
    with closing(opened(f"{pooler}/{name}")) as other:
        assert other.changed() is recorder.ledger.changed() is False
        recorder.receive(study("1.2.4"), sha256="b" * 64)
        assert hears(other)
        assert recorder.ledger.changed() is False
    recorder.ledger.close()
    asked = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'studies'"
    assert cluster().tell(asked, name) == [(SCHEMA,)]
