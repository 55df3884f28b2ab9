"""The real program as a process of its own, against the practice XNAT. Nothing is waited for by sleeping."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from tests import warm
from tests.dialects import NEWER_AND_THOROUGHLY_OLDER
from tests.dicom import CANARIES as SMALL
from tests.dicom import instance
from tests.station import zipped
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.sandbox.samples import CANARIES as SAMPLES

DEADLINE = 60.0  #: seconds after which a process that says nothing is believed to hang
PASSWORD = "not-the-password-of-anybody"
HURRIED = """
import time
from tests.soak.hurried import hurry
from xnat_watchd.__main__ import main
hurry({speed}, time.time())
main()
"""


@dataclass
class Program:
    """One workstation: its settings, its folders, and everything that the program ever said on it."""

    root: Path
    config: Path
    server: str
    said: list[str] = field(default_factory=list)
    password: str = PASSWORD

    def write(self, extra: str = "") -> None:
        self.config.write_text(
            f'[xnat]\nserver = "{self.server}"\nproject = "P1"\n[folders]\nroot = "{self.root}"\n'
            f'[intake]\nquiet_for = "500ms"\n[limits]\nkeep_free = "1MB"\n{extra}',
            encoding="utf-8",
        )

    def run(self, *command: str, expect: int | None = 0) -> str:
        """Run one command to its end and return what it printed, as if the settings were those of the machine."""
        done = warm.run(self._words(*command), self._environment(), timeout=DEADLINE)
        self.said += [done.stdout, done.stderr]
        if expect is not None:
            assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout.replace(f"--config {self.config} ", "")

    def once(self, expect: int = 0) -> str:
        return self.run("run", "--once", expect=expect)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json", expect=None))
        return found

    def drop(self, name: str, data: bytes | Path) -> Path:
        """Put a ZIP into the drop folder at once, as a rename does."""
        (self.root / "drop").mkdir(parents=True, exist_ok=True)
        part, path = self.root / "dropped.part", self.root / "drop" / name
        part.write_bytes(data.read_bytes() if isinstance(data, Path) else data)
        return part.rename(path)

    def start(self, speed: float = 1.0) -> Service:
        """Start the service, on a clock that runs so many times as fast."""
        return Service(self, speed)

    def secrets_told(self, *but: str) -> list[str]:
        """Return every canary that stands where it must not."""
        notes = [path.read_text("utf-8") for path in (self.root / "failed").glob("*.txt")]
        everything = "\n".join([*self.said, *notes])
        return [canary for canary in (*SMALL, *SAMPLES, PASSWORD) if canary in everything and canary not in but]

    def hurried(self, speed: float, *command: str) -> list[str]:
        """Return the line of a command on a clock that runs so many times as fast."""
        return [sys.executable, "-c", HURRIED.format(speed=speed), *self._words(*command)]

    def _line(self, *command: str) -> list[str]:
        return [sys.executable, "-m", "xnat_watchd", *self._words(*command)]

    def _words(self, *command: str) -> list[str]:
        return ["--config", str(self.config), *command]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XNAT_WATCHD_")}
        return {**kept, "XNAT_WATCHD_XNAT__USER": "tech", "XNAT_WATCHD_XNAT__PASSWORD": self.password}


class Service:
    """`run` as a process that tells by notify datagrams how it is, as it does under systemd."""

    def __init__(self, program: Program, speed: float) -> None:
        self._program = program
        line = program._line("run") if speed == 1.0 else program.hurried(speed, "run")
        path = program.config.with_name("notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(DEADLINE)
        self._journal = program.config.with_name("journal.txt")
        with self._journal.open("ab") as journal:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                line, stderr=journal, env={**program._environment(), "NOTIFY_SOCKET": str(path)}
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        self._socket.close()
        self._program.config.with_name("notify").unlink()
        self._program.said.append(self._journal.read_text("utf-8"))

    def wait_for(self, words: str) -> str:
        """Wait for a notify datagram with these words."""
        while True:
            told = self._socket.recv(65536).decode()
            self._program.said.append(told)
            if words in told:
                return told

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


@pytest.fixture(params=NEWER_AND_THOROUGHLY_OLDER)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def xnat(tmp_path: Path, dialect: str) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "xnat", dialect, users={"tech": PASSWORD}, projects=["P1"]) as sandbox:
        yield sandbox


@pytest.fixture
def program(tmp_path: Path, xnat: Sandbox) -> Iterator[Program]:
    """Yield a workstation; check at the end that no patient's name was written anywhere."""
    one = Program(tmp_path / "watchd", tmp_path / "config.toml", xnat.url)
    one.root.mkdir()
    one.write()
    yield one
    assert one.secrets_told() == []


@pytest.fixture
def scan() -> Callable[..., bytes]:
    """Return a function that makes small ZIPs."""

    def make(study: int = 1, images: int = 2, **about: Any) -> bytes:
        return zipped([(f"{n}.dcm", instance(study, 1, n, **about)) for n in range(1, images + 1)])

    return make


@pytest.fixture
def scans(tmp_path: Path, scan: Callable[..., bytes]) -> Path:
    """Return a folder with one ZIP."""
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "scan.zip").write_bytes(scan())
    return folder
