"""The program under test as a process of its own, from any checkout of it: only its commands and files are used."""

from __future__ import annotations

import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.figures import Bench
from benchmarks.practice import PASSWORD, PROJECT, USER

INSIDE = Path(__file__).with_name("inside")
DEADLINE = 1800.0  #: seconds after which a service that makes no progress is given up
QUIET = 0.5  #: seconds that a ZIP stands still before it is taken
POLL = 0.01  #: seconds between two looks into the done folder


class Slow(Exception):
    """It did not come to an end in time."""


def environment(checkout: Path) -> dict[str, str]:
    """Return the environment in which Python imports the program from this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XNAT_WATCHD_")}
    login = {"XNAT_WATCHD_XNAT__USER": USER, "XNAT_WATCHD_XNAT__PASSWORD": PASSWORD}
    as_its_unit = {"MALLOC_ARENA_MAX": "2"}
    return {**kept, **login, **as_its_unit, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": ""}


def cpu_of(command: Sequence[str], checkout: Path, *, codes: Iterable[int] = (0,)) -> float:
    """Run a command to its end, and return the CPU seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, cwd=checkout, env=environment(checkout), capture_output=True, timeout=DEADLINE, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in codes:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def inside(bench: Bench, script: str, *arguments: object) -> str:
    """Run a script of `benchmarks/inside` with the modules of the checkout, and return what it printed."""
    done = subprocess.run(
        [sys.executable, str(INSIDE / script), *map(str, arguments)], cwd=bench.checkout, text=True,
        env=environment(bench.checkout), stdout=subprocess.PIPE, timeout=DEADLINE, check=True,
    )  # fmt: skip
    return done.stdout


class Program:
    """One workstation: its settings and folders."""

    def __init__(
        self, bench: Bench, url: str, extra: Mapping[str, str] | None = None, *, quiet_for: float = QUIET
    ) -> None:
        self.checkout = bench.checkout
        folder = bench.new_folder("watchd")
        self.root, self.config, self.counts = folder / "root", folder / "config.toml", folder / "counts"
        self.root.mkdir()
        self.drop_folder.mkdir()
        sections = {"intake": f'quiet_for = "{int(quiet_for * 1000)}ms"\n', "limits": 'keep_free = "1MB"\n'}
        for section, lines in (extra or {}).items():
            sections[section] = sections.get(section, "") + lines
        tables = "".join(f"[{section}]\n{lines}" for section, lines in sections.items())
        self.config.write_text(
            f'[xnat]\nserver = "{url}"\nproject = "{PROJECT}"\n[folders]\nroot = "{self.root}"\n{tables}', "utf-8"
        )

    @property
    def drop_folder(self) -> Path:
        """Where ZIPs are dropped."""
        return self.root / "drop"

    def command(self, *words: str) -> list[str]:
        """Return the command line of one command."""
        return [sys.executable, "-m", "xnat_watchd", "--config", str(self.config), *words]

    def drop(self, zips: Mapping[str, bytes | Path]) -> float:
        """Drop these ZIPs, each with a rename, and return when the last one was there."""
        for name, content in zips.items():
            part = self.drop_folder / f".{name}.part"
            if isinstance(content, Path):
                content.rename(part)
            else:
                part.write_bytes(content)
        for name in zips:
            (self.drop_folder / f".{name}.part").rename(self.drop_folder / name)
        return time.monotonic()

    def done(self) -> int:
        """Return how many deliveries are finished."""
        return sum(1 for _ in (self.root / "done").glob("*/*.zip"))


class Service:
    """`run` as a process. With `counted`, every statement of the ledger is counted."""

    def __init__(self, program: Program, *, counted: bool = False) -> None:
        self._program = program
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = program.config.with_name("notify")
        address.unlink(missing_ok=True)
        self._socket.bind(str(address))
        self._socket.settimeout(60)
        self._journal = program.config.with_name("journal.txt")
        line = program.command("run")
        if counted:
            line[1:3] = [str(INSIDE / "counted.py"), str(program.counts)]
        with self._journal.open("ab") as journal:
            self._process = subprocess.Popen(
                line, stderr=journal, cwd=program.checkout,
                env={**environment(program.checkout), "NOTIFY_SOCKET": str(address)},
            )  # fmt: skip

    def __enter__(self) -> Self:
        self.wait_for("READY=1")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it in order, and kill it where it does not end."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(60)
        self._socket.close()

    def wait_for(self, words: str) -> None:
        """Wait for a notify datagram with these words."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                if words in self._socket.recv(65536).decode():
                    return
            except TimeoutError:
                continue
        raise Slow(f"never said {words!r}: {self._journal.read_text('utf-8')[-2000:]}")

    def wait_until_done(self, deliveries: int) -> float:
        """Wait until so many deliveries are finished, and return when they were."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end and self._process.poll() is None:
            if self._program.done() >= deliveries:
                return time.monotonic()
            time.sleep(POLL)
        raise Slow(f"{self._program.done()} of {deliveries} done: {self._journal.read_text('utf-8')[-2000:]}")

    @property
    def cpu(self) -> float:
        """The CPU seconds that its threads have taken."""
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text("ascii").split()[0]) for task in tasks) / 1e9

    def memory(self, what: str = "VmHWM") -> float:
        """Return its peak memory in MB, or with `VmRSS` what it has now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text("ascii")
        return next(int(line.split()[1]) * 1024 / 1e6 for line in status.splitlines() if line.startswith(what))

    def counts(self) -> tuple[int, int, int, int]:
        """Return its statements about tables, its pragmas, and its commits that changed anything, so far.

        The last number is of those of the statements that take ZIPs in and carry studies.
        """
        with self._program.counts.open("rb") as file, mmap.mmap(file.fileno(), 32, access=mmap.ACCESS_READ) as seen:
            statements, looks, commits, carrying = struct.unpack("4q", seen[:])
        return statements, looks, commits, carrying
