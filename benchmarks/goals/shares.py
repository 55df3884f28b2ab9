"""Goal 9: rows of a share table over five projects: the first sweep, and one in which nothing changed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from benchmarks import loops
from benchmarks.figures import Bench, Figure, Goal
from benchmarks.practice import DESTINATIONS, PROJECT, Asked, Practice
from benchmarks.program import Program, Service

SESSIONS = 5  #: of each subject
EVERY = 10.0  #: seconds between two sweeps
LONGEST = 300.0  #: seconds until an idle sweep is given up
PAUSE = 4.0  #: seconds without a request after which a sweep has ended


def measure(bench: Bench) -> Iterator[Figure]:
    """Share every subject with one of four projects, beside a loop that only asks for each share."""
    rows = bench.sizes.share_rows
    pairs = [(f"S{n:05}", DESTINATIONS[n % len(DESTINATIONS)]) for n in range(rows)]
    for dialect in bench.sizes.dialects:
        blind = _blindly(bench, dialect, pairs)
        first, idle = _ours(bench, dialect, pairs)
        name = f"{rows} rows, {dialect}"
        yield Figure(
            name=f"first sweep, {name}", unit="requests", ours=len(first), reference=rows * (1 + SESSIONS),
            against="one for each share of a subject or session", ratio_at_most=1.0,
        )  # fmt: skip
        took = first[-1].ended - first[0].began
        yield Figure(
            name=f"time of the first sweep, {name}", unit="s", ours=took, reference=blind,
            against="a loop that only asks for each share",
        )  # fmt: skip
        projects = len(DESTINATIONS) + 1
        yield Figure(
            name=f"idle sweep, {name}", unit="requests", ours=len(idle), reference=2 * projects,
            against="two per project", at_most=2 * projects,
        )  # fmt: skip


def _blindly(bench: Bench, dialect: str, pairs: Sequence[tuple[str, str]]) -> float:
    with (
        Practice(bench.new_folder("xnat"), dialect, subjects=len(pairs), sessions=SESSIONS) as xnat,
        closing(loops.Line(xnat.url)) as line,
    ):
        began = time.monotonic()
        sessions = _sessions(line)
        for subject, destination in pairs:
            path = f"/data/projects/{PROJECT}/subjects/{subject}"
            line.ask("PUT", f"{path}/projects/{destination}")
            for session in sessions[subject]:
                line.ask("PUT", f"{path}/experiments/{session}/projects/{destination}")
        return time.monotonic() - began


def _ours(bench: Bench, dialect: str, pairs: Sequence[tuple[str, str]]) -> tuple[list[Asked], list[Asked]]:
    """Return the requests of the first sweep, and of one in which nothing changed, without those of logins."""
    with Practice(bench.new_folder("xnat"), dialect, subjects=len(pairs), sessions=SESSIONS) as xnat:
        program = Program(bench, xnat.url, {"shares": f'apply_every = "{EVERY:.0f}s"\n'})
        shares = program.root / "shares"
        shares.mkdir()
        lines = "".join(f"{subject},{PROJECT},{destination}\n" for subject, destination in pairs)
        (shares / "table.csv").write_text(f"subject,source,destination\n{lines}", encoding="utf-8")
        with Service(program) as service:
            service.wait_for(f"share rows: {len(pairs)} shared")
            first = _without_logins(xnat)
            idle = _next_sweep(xnat)
    return first, idle


def _without_logins(xnat: Practice) -> list[Asked]:
    return [one for one in xnat.requests() if not one.is_login]


def _next_sweep(xnat: Practice) -> list[Asked]:
    """Wait for a sweep, and until nothing more is asked for some time; return what it asked."""
    asked: list[Asked] = []
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        asked += _without_logins(xnat)
        if asked and time.monotonic() - asked[-1].ended > PAUSE:
            return asked
        time.sleep(PAUSE / 8)
    raise RuntimeError("no idle sweep was seen")


def _sessions(line: loops.Line) -> dict[str, list[str]]:
    """Return the accession IDs of the sessions of each subject."""
    path, columns = f"/data/projects/{PROJECT}", {"format": "json"}
    subjects = json.loads(line.ask("GET", f"{path}/subjects", {"columns": "ID,label", **columns}))
    known = {one["ID"]: one["label"] for one in subjects["ResultSet"]["Result"]}
    found: dict[str, list[str]] = {label: [] for label in known.values()}
    sessions = json.loads(line.ask("GET", f"{path}/experiments", {"columns": "ID,label,subject_ID", **columns}))
    for one in sessions["ResultSet"]["Result"]:
        found[known[one["subject_ID"]]].append(one["ID"])
    return found


GOAL = Goal(number="9", title="share tables", measure=measure)
