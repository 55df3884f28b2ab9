"""The practice XNAT as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from base64 import b64encode
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

PASSWORD = "not-the-password-of-anybody"


class Practice:
    """It survives our kills, and tells at its control address what it holds."""

    def __init__(self, folder: Path, dialect: str) -> None:
        line = ["--port", "0", "--control", "0", "--dialect", dialect, "--project", "P1", "--project", "P2"]
        line += ["--user", f"tech:{PASSWORD}", "--data"]
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "xnat_watchd.sandbox", *line, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url, self._control = self._said("listens at"), self._said("control:")

    def ask(self, method: str, what: str, plan: dict[str, Any] | None = None) -> Any:
        """Ask the control address, or plan a fault there."""
        body = None if plan is None else json.dumps(plan).encode()
        request = urllib.request.Request(f"{self._control}{what}", body, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def rows(self) -> list[str]:
        """Return the prearchive as XNAT lists it; a row may have no files."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/data/prearchive/projects/P1?format=json", headers={"Authorization": f"Basic {_login()}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return [row["url"] for row in json.load(answer)["ResultSet"]["Result"]]

    def import_zip(self, content: bytes, dest: str) -> None:
        """Import as another client of the account does; a fault that was planned for somebody else may hit it."""
        query = urlencode({"dest": dest, "session": dest.rsplit("/", 1)[-1], "import-handler": "SI"})
        headers = {"Authorization": f"Basic {_login()}", "Content-Type": "application/zip"}
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/data/services/import?{query}", content, headers, method="POST"
        )
        with suppress(OSError, HTTPException), urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            answer.read()

    def stop(self) -> int:
        """End it; anything but 0 says that it failed itself."""
        with self.process:
            self.process.send_signal(signal.SIGTERM)
        return self.process.returncode

    def _said(self, words: str) -> str:
        assert self.process.stdout is not None
        return str(next(line.split()[-1] for line in self.process.stdout if words in line))


def _login() -> str:
    return b64encode(f"tech:{PASSWORD}".encode()).decode()
