"""Somebody at a shell who has no configuration at all: only options and a password."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import warm
from tests.whole.conftest import DEADLINE, PASSWORD
from xnat_watchd.__main__ import main

TECH = ("tech", PASSWORD)
DOWN = "http://127.0.0.1:9"


@dataclass
class User:
    """Somebody with a home of their own."""

    home: Path
    server: str
    talk: list[str] = field(default_factory=list)  #: what was said on stderr
    name: str = "tech"
    password: str = PASSWORD

    def run(self, *command: str, expect: int = 0) -> str:
        """Run a command as a process of its own and give what it printed; what it said is kept."""
        words = [*self._who(), *command]
        done = warm.run(words, self.environment(), typed=f"{self.password}\n", timeout=DEADLINE)
        self.talk.append(done.stderr)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def try_(self, *command: str, expect: int = 0) -> str:
        """Run a command in this process, which is quicker; likewise."""
        said, printed = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(said):
            patch.setattr(sys, "argv", ["xnat-watchd", *self._who(), *command])
            patch.setattr(sys, "stdin", io.StringIO(f"{self.password}\n"))
            patch.setattr(os, "environ", self.environment())
            with pytest.raises(SystemExit) as ended:
                main()
        self.talk.append(said.getvalue())
        assert int(ended.value.code or 0) == expect, printed.getvalue() + said.getvalue()
        return printed.getvalue()

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XNAT_WATCHD_", "XDG_"))}
        small = {"XNAT_WATCHD_INTAKE__QUIET_FOR": "500ms", "XNAT_WATCHD_LIMITS__KEEP_FREE": "1MB"}
        return {**kept, **small, "HOME": str(self.home)}

    def _who(self) -> list[str]:
        return ["--server", self.server, "--user", self.name, "--password-stdin"]


class Terminal:
    """A command on a terminal of its own, 80 columns wide."""

    def __init__(self, environment: dict[str, str], *command: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.shown = ""
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "xnat_watchd", *command], env={**environment, "TERM": "xterm"},
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)

    def wait_for(self, *words: str) -> None:
        while not all(word in self.shown for word in words):
            self._read()

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so; the command draws meanwhile, and each drawing is a moment to look."""
        while not is_so():
            self._read()

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> int:
        try:
            while True:
                self._read()
        except OSError:  # the other end is closed
            os.close(self._master)
        return self.process.wait(DEADLINE)

    def _read(self) -> None:
        ready, _, _ = select.select([self._master], [], [], DEADLINE)
        assert ready, f"nothing was said for {DEADLINE} seconds:\n{self.shown}"
        self.shown += os.read(self._master, 65536).decode("utf-8", "replace")
