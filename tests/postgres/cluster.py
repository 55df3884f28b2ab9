"""A real PostgreSQL for tests: a cluster of their own below a temporary folder, spoken to on its Unix socket.

It survives `SIGQUIT` as it survives `pg_ctl stop -m immediate`, but no power cut: it does not wait for the disk.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

import psycopg
import pytest

NEEDED = "XNAT_WATCHD_NEED_POSTGRES"
CHOSEN = "TEST_LEDGER"  #: `postgres`: every ledger of the suites is in one
USER = "watchd"
PATIENCE = 60.0  #: seconds within which a server starts, stops or is copied
ROOT_MAY_NOT = "postgres"  #: the user whose server it is if we are root, who may not run one; Debian makes it
LOCALE = ("--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
"""Of a language, as in most hospitals: texts are in the order of a dictionary where nothing else is asked for."""

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",  # as nothing is torn where the machine goes on
    "shared_buffers": "32MB",
    "max_connections": "200",
    "wal_level": "replica",
    "wal_keep_size": "256MB",
    "hot_standby": "on",
    "log_min_messages": "warning",
}


def programs() -> Path:
    """Return the folder of PostgreSQL's programs. Skip the test where there is none, unless it is needed."""
    known = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = [Path(known).resolve()] if known else debian
    if not found:
        is_needed = os.environ.get(NEEDED) or os.environ.get(CHOSEN)
        (pytest.fail if is_needed else pytest.skip)("needs a PostgreSQL, of Debian's package postgresql")
    return found[-1].parent


class Cluster:
    """One server with its databases. It ends with the process that has started it, however that one ends."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None) -> None:
        """Have a folder that exists for it alone; `settings` are those of postgresql.conf, besides ours."""
        self.folder, self._data, self.socket = folder, folder / "data", folder / ".s.PGSQL.5432"
        self._settings = {**SETTINGS, "unix_socket_directories": str(folder), **(settings or {})}
        self._programs, self._numbers, self._of = programs(), count(1), dict[Path, str]()
        self._watching = dict[str, psycopg.Connection[tuple[Any, ...]]]()
        self._process: subprocess.Popen[bytes] | None = None
        owned(folder)

    @classmethod
    def made(cls, **settings: str) -> Self:
        """Make one in a temporary folder, and start it."""
        line = ["--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--wal-segsize=1", *LOCALE]
        return cls._begun("initdb", *line, settings=settings)

    @classmethod
    def copied(cls, primary: Cluster) -> Self:
        """Make a standby that follows a server, and start it."""
        line = ["--no-sync", "--checkpoint=fast", "--write-recovery-conf", f"--username={USER}"]
        return cls._begun("pg_basebackup", *line, "--host", str(primary.folder))

    @classmethod
    def _begun(cls, program: str, *line: str, settings: Mapping[str, str] | None = None) -> Self:
        """Have its files made in a folder that nobody else may enter, so that no password is needed; start it."""
        one = cls(Path(tempfile.mkdtemp(prefix="xnat-watchd-pg-")), settings=settings)
        try:
            one.run(program, *line, "--pgdata", str(one._data))
            one.start()
        except BaseException:
            one.close()
            raise
        return one

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a program of PostgreSQL
                [*as_owner("--pdeathsig", "QUIT"), str(self._programs / "postgres"), "-D", str(self._data), *options],
                stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip
        end = time.monotonic() + PATIENCE
        while not self._answers():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
                raise RuntimeError(self.log()[-2000:])
            if time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL does not start: {self.log()[-2000:]}")

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it in good order: connections are cut off. After SIGQUIT, it finds at its start that it crashed."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None

    def restart(self) -> None:
        """Do what `pg_ctl restart -m immediate` does."""
        self.stop(signal.SIGQUIT)
        self.start()

    def follow_no_more(self) -> None:
        """Let a standby hear nothing from here on: what the primary commits now is lost by a promotion."""
        self.tell("ALTER SYSTEM SET primary_conninfo = ''")
        self.tell("SELECT pg_reload_conf()")
        self.wait_until("SELECT count(*) = 0 FROM pg_stat_wal_receiver")

    def catch_up_with(self, primary: Cluster) -> None:
        """Wait until a standby has all that the primary has committed."""
        ((position,),) = primary.tell("SELECT pg_current_wal_lsn()")
        self.wait_until(f"SELECT pg_last_wal_replay_lsn() >= '{position}'")

    def promote(self) -> None:
        """Make a standby a primary, on another timeline."""
        self.tell("SELECT pg_promote()")
        self.wait_until("SELECT NOT pg_is_in_recovery()")

    def history(self) -> tuple[int, str]:
        """Return what tells one history of commits from another: the system identifier and the timeline."""
        ((system, file),) = self.tell(
            "SELECT system_identifier, pg_walfile_name(pg_current_wal_lsn()) FROM pg_control_system()"
        )
        return int(str(system)), str(file)[:8]

    def close(self) -> None:
        """Stop it and remove its files."""
        while self._watching:
            self._watching.popitem()[1].close()
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def url(self, database: str, **more: str) -> str:
        """Return the address of a database on the socket."""
        return f"postgresql:///{quote(database)}?{urlencode({'host': self.folder, 'user': USER, **more})}"

    def database(self, name: str = "", *, of: str = "template0") -> str:
        """Make a database, a copy of another one to which nobody is connected, and return its address."""
        made = name or f"ledger_{next(self._numbers)}"
        self.tell(f"CREATE DATABASE {made} TEMPLATE {of}")
        return self.url(made)

    def database_of(self, folder: Path, *, of: str = "template0") -> str:
        """Return the address of the database that stands in for the ledger's file in a folder, at first a copy.

        It is removed when another one is asked for and the folder is no longer there.
        """
        for gone in [other for other in self._of if not other.exists()]:
            self.forget(gone)
        if folder not in self._of:
            self._of[folder] = f"ledger_{next(self._numbers)}"
            self.database(self._of[folder], of=of)
        return self.url(self._of[folder])

    def forget(self, *folders: Path) -> None:
        """Remove the databases of these folders, or of all."""
        for folder in folders or [*self._of]:
            self.drop(self._of.pop(folder))

    def watching(self, url: str, options: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a connection to a database that lasts as long as the database does."""
        if url not in self._watching:
            self._watching[url] = psycopg.connect(url, options=options, autocommit=True)
        return self._watching[url]

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        if watching := self._watching.pop(self.url(name), None):
            watching.close()
        self.tell(f"DROP DATABASE {name} WITH (FORCE)")

    def tell(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement outside of a transaction; return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as db:
            done = db.execute(statement.encode())
            return done.fetchall() if done.description else []

    def run(self, program: str, *words: str) -> str:
        """Run a program of PostgreSQL as the cluster's owner, and return what it says."""
        done = subprocess.run(  # noqa: S603 - as named
            [*as_owner(), str(self._programs / program), *words],
            capture_output=True, text=True, check=False, cwd=self.folder, timeout=PATIENCE,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")
        return done.stdout

    def log(self) -> str:
        """Return what it has said since it was made."""
        return (self.folder / "log").read_text("utf-8", errors="replace")

    def wait_until(self, so: str) -> None:
        """Ask until the answer is yes. Raises if it never is."""
        end = time.monotonic() + PATIENCE
        while self.tell(so) != [(True,)]:
            if time.monotonic() > end:
                raise RuntimeError(f"never: {so}")
            self.tell("SELECT pg_sleep(0.02)")

    def _answers(self) -> bool:
        try:
            self.tell("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def owned(folder: Path) -> None:
    """Let the user of the server have a folder, and nobody else."""
    if os.geteuid() == 0:
        user = pwd.getpwnam(ROOT_MAY_NOT)
        os.chown(folder, user.pw_uid, user.pw_gid)
    folder.chmod(0o700)


def as_owner(*more: str) -> Sequence[str]:
    """Return the beginning of a line by which a program is run as the user of the server."""
    changed = [f"--reuid={ROOT_MAY_NOT}", f"--regid={ROOT_MAY_NOT}", "--init-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *changed, *more] if changed or more else []
