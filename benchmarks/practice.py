"""A practice XNAT in a process of its own, whose answers are delayed as those of a server far away.

    python -m benchmarks.practice FOLDER DIALECT [--answer SECONDS] [--import SECONDS] [--sessions N] [--subjects N]

prints its URL. A line `requests` on stdin prints those since the last time as JSON, `archived` the number of archived
images, `described` that of subjects with custom fields; it ends when stdin does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from xnat_watchd.sandbox import Sandbox
from xnat_watchd.sandbox.answers import Reply
from xnat_watchd.sandbox.dicom import ObjectHeader
from xnat_watchd.sandbox.request import Request
from xnat_watchd.sandbox.server import RequestHandler
from xnat_watchd.sandbox.store import Experiment, StoredSession, StoredSubject

USER, PASSWORD, PROJECT = "tech", "benchmark", "P1"
DESTINATIONS = ("P2", "P3", "P4", "P5")
LOGIN = ("/data/services/auth", "/data/auth", "/data/JSESSION", "/data/version", "/xapi/siteConfig/buildInfo")
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Asked:
    """A request: when it began and was answered on the monotonic clock, and the bytes of the answer."""

    method: str
    path: str
    query: str
    began: float
    ended: float
    size: int

    @property
    def is_login(self) -> bool:
        """Whether it is about who we are or what the server is."""
        return self.path in LOGIN

    @property
    def is_import(self) -> bool:
        """Whether it uploads a study."""
        return self.path == "/data/services/import"


class Practice:
    """Our end of the line to that process."""

    def __init__(
        self, folder: Path, dialect: str, *, answer: float = 0.0, import_: float = 0.0, sessions: int = 0,
        subjects: int = 0,
    ) -> None:  # fmt: skip
        options = {"--answer": answer, "--import": import_, "--sessions": sessions, "--subjects": subjects}
        words = [str(word) for option in options.items() for word in option]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.practice", str(folder), dialect, *words], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.dialect, self.url = dialect, self._line()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it; raise where it has failed itself."""
        self._process.communicate(timeout=60)
        if error is None and self._process.returncode:
            raise RuntimeError("the practice XNAT has failed")

    def requests(self) -> list[Asked]:
        """Return the requests since the last time."""
        return [Asked(*one) for one in json.loads(self._ask("requests"))]

    def archived(self) -> int:
        """Return how many images lie in the archive."""
        return int(self._ask("archived"))

    def described(self) -> int:
        """Return how many subjects have custom fields."""
        return int(self._ask("described"))

    def _ask(self, word: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the practice XNAT has ended")
        return line.rstrip("\n")


class _Delayed(RequestHandler):
    """Records each request, and answers it late."""

    answer_takes = import_takes = 0.0
    recorded: list[tuple[Any, ...]]
    _began = 0.0

    def _request(self, *arguments: Any) -> Request:
        self._began = time.monotonic()
        return super()._request(*arguments)

    def _send(self, request: Request, answer: Reply) -> None:
        time.sleep(self.import_takes if request.path == "/data/services/import" else self.answer_takes)
        asked = (request.method, request.path, request.raw_query, self._began, time.monotonic(), answer.size)
        self.recorded.append(asked)
        super()._send(request, answer)


def _fill(xnat: Sandbox, subjects: int, sessions: int) -> None:
    """Put subjects with so many sessions each into the archive, which were never uploaded."""
    site = xnat._site  # noqa: SLF001 - as the tests of sharing do
    header = ObjectHeader("1.2.840.10008.5.1.4.1.1.4", "1", "1.2", "1.2.1", modality="MR", study_date="20240229")
    for n in range(subjects):
        one = StoredSubject(site.store.accession("S"), f"S{n:05}", PROJECT, "admin", site.now())
        site.store.subjects[one.id] = one
        for m in range(sessions):
            held = StoredSession(f"S{n:05}_{m}", one.label, f"1.2.{n}.{m}", "xnat:mrSessionData", "MR", header)
            accession = site.store.accession("E")
            site.store.experiments[accession] = Experiment(
                accession, held.label, PROJECT, one.id, held, "", "admin", site.now()
            )  # fmt: skip


def _delay(xnat: Sandbox, answer_takes: float, import_takes: float) -> list[tuple[Any, ...]]:
    """Let every answer take so many seconds, and return the list to which requests are added from now on."""
    recorded: list[tuple[Any, ...]] = []
    takes = {"answer_takes": answer_takes, "import_takes": answer_takes + import_takes, "recorded": recorded}
    server = cast("Any", xnat)._server  # noqa: SLF001 - nobody has connected yet
    server.RequestHandlerClass = type("Delayed", (_Delayed,), takes)
    return recorded


def _answer(word: str, xnat: Sandbox, recorded: list[tuple[Any, ...]]) -> object:
    """Return what is asked for on stdin."""
    if word == "archived":
        return sum(one.where == "archive" for one in xnat.instances())
    if word == "described":
        return sum(bool(one.fields) for one in xnat._site.store.subjects.values())  # noqa: SLF001 - as above
    seen = recorded[:]
    del recorded[: len(seen)]
    return seen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.practice")
    parser.add_argument("folder", type=Path)
    parser.add_argument("dialect")
    parser.add_argument("--answer", type=float, default=0.0, help="seconds that each answer takes")
    parser.add_argument("--import", type=float, default=0.0, dest="import_", help="and so many more for an import")
    parser.add_argument("--subjects", type=int, default=0, help="that are in the archive already")
    parser.add_argument("--sessions", type=int, default=0, help="of each of them")
    return parser


def main() -> None:
    """Serve until stdin ends."""
    told = _parser().parse_args()
    projects = [PROJECT, *DESTINATIONS]
    with Sandbox(told.folder, told.dialect, users={USER: PASSWORD}, projects=projects) as xnat:
        _fill(xnat, told.subjects, told.sessions)
        recorded = _delay(xnat, told.answer, told.import_)
        print(xnat.url, flush=True)
        for line in sys.stdin:
            print(json.dumps(_answer(line.strip(), xnat, recorded)), flush=True)


if __name__ == "__main__":
    main()
