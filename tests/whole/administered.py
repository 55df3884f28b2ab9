"""A workstation as its administrator deals with it: no login in the environment, folders as systemd gives them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from tests import warm
from tests.whole.conftest import DEADLINE, Program


@dataclass
class Administered(Program):
    """The same program; what it is told about folders is in `given`."""

    given: dict[str, str] = field(default_factory=dict)

    def type(self, *command: str, typed: str = "", expect: int | None = 0) -> str:
        """Run one command with what somebody types; give all that it printed."""
        done = warm.run(self._words(*command), self._environment(), typed=typed, timeout=DEADLINE)
        self.said += [done.stdout, done.stderr]
        if expect is not None:
            assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def login(self, password: str = "", *words: str, expect: int = 0) -> str:
        return self.type("login", *words, typed=f"tech\n{password or self.password}\n", expect=expect)

    def logged(self) -> str:
        """Return what the service has written to its journal so far."""
        return self.config.with_name("journal.txt").read_text("utf-8")

    def stored(self) -> Path:
        return self.root / "login" / "credentials.json"

    def use_runtime_folder(self, folder: Path) -> Path:
        """Let the service have a folder as `RuntimeDirectory=` does; return the path of the status file in it."""
        folder.mkdir()
        self.given["RUNTIME_DIRECTORY"] = str(folder)
        return folder / "status.json"

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XNAT_WATCHD_")}
        kept.pop("STATE_DIRECTORY", None)
        return {**kept, "HOME": str(self.root), **self.given}

    def secrets_told(self, *but: str) -> list[str]:
        """Return every canary that stands where it must not: in the journal, the status, the output of commands."""
        shown = [path.read_text("utf-8") for path in self._shown()]
        self.said += shown
        return super().secrets_told(*but)

    def _shown(self) -> list[Path]:
        runtime = self.given.get("RUNTIME_DIRECTORY", str(self.root))
        return [path for path in (Path(runtime) / "status.json",) if path.exists()]
