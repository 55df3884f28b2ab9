"""Workstations of a fleet: real services, each a process that can be killed, frozen, or cut off from the ledger."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.postgres.line import Line
from tests.soak import hurried
from tests.soak.practice import PASSWORD

SPEED = 20.0  #: a minute of the service's time is three seconds of ours
CONFIG = """\
[xnat]
server = "{server}"
project = "P1"
read_timeout = "1m"
[folders]
root = "{root}"
[ledger]
{ledger}
[intake]
quiet_for = "10s"
incomplete_after = "2m"
rescan_every = "20s"
[limits]
keep_free = "1MB"
"""


class Host:
    """One workstation. `line` leads to the ledger, where that is in a PostgreSQL."""

    def __init__(
        self, name: str, folder: Path, root: Path, server: str, *, began: float, ledger: str, line: Line | None
    ) -> None:
        """`began`: when the clock of all of them began to run faster."""
        self.name, self.root, self.line = name, root, line
        self.frozen = False
        self.down = False  #: it was killed, and nobody is to start it yet
        self._config, self._journal = folder / f"{name}.toml", folder / f"{name}.txt"
        self._began = began
        self._process: ForkServerProcess | None = None
        (root / "drop").mkdir(parents=True, exist_ok=True)
        self._config.write_text(CONFIG.format(server=server, root=root, ledger=ledger), "utf-8")

    @property
    def lives(self) -> bool:
        """Whether its service runs, frozen or not."""
        return self._process is not None and self._process.is_alive()

    def start(self) -> None:
        """Start the service, if it does not run."""
        self.down = False
        if self.lives:
            return
        self._gone()
        given = (self._config, self._journal, self._environment(), SPEED, self._began)
        self._process = _processes().Process(target=hurried.live, args=given)
        self._process.start()

    def ended_with(self) -> int | None:
        """Return the exit code of a service that has ended."""
        return self._process.exitcode if self._process is not None else None

    def stop(self) -> None:
        """Ask it to stop, and wait for it."""
        self.thaw()
        if self._process is not None:
            self._process.terminate()
            self._process.join(30)
        self.kill()

    def kill(self) -> None:
        """End it without a word."""
        self.frozen = False
        if self._process is not None:
            self._process.kill()
        self._gone()

    def freeze(self) -> None:
        """Let it stand still, as a virtual machine does that is moved or snapshotted."""
        self._signal(signal.SIGSTOP)
        self.frozen = self.lives

    def thaw(self) -> None:
        """Let it go on where it stood, in the middle of whatever it did."""
        if self.frozen:
            self._signal(signal.SIGCONT)
        self.frozen = False

    def status(self) -> dict[str, Any]:
        """Return what `status` says; nothing where it cannot be said."""
        said = self.type("status", "--json")
        found: dict[str, Any] = json.loads(said) if said.startswith("{") else {}
        return found

    def type(self, *command: str) -> str:
        """Type a command and return what it prints."""
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "xnat_watchd", "--config", str(self._config), *command],
            env=self._environment(), capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.stdout

    def journal(self) -> str:
        """Return what it has said in all of its lives."""
        return self._journal.read_text("utf-8", errors="replace") if self._journal.exists() else ""

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, number)

    def _gone(self) -> None:
        if self._process is not None:
            self._process.join()
            self._process.close()
        self._process = None

    def _environment(self) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XNAT_WATCHD_")}
        return {**kept, "XNAT_WATCHD_XNAT__USER": "tech", "XNAT_WATCHD_XNAT__PASSWORD": PASSWORD}


def _processes() -> Any:
    """Return what forks services off a process that has imported the program: it takes no second then."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["xnat_watchd.interfaces.cli.run", "xnat_watchd.daemon", hurried.__name__])
    return context
