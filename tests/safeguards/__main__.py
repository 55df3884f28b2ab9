"""Take the safeguards out, one by one, and see that their tests fail: `python -m tests.safeguards [WORD ...]`.

Each mutation is made in a copy of the checkout of its own, and the tests that it names run there. WORDs choose
mutations by a part of their name, `--jobs N` tries N at once. Ends with 1 where a test stays green.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

from tests.safeguards.mutations import ROOT, Misfit, Mutation, copy_checkout, mutations

LONGEST = 60  #: seconds for a test, which without its safeguard may wait for ever
RESULT = re.compile(r"^(PASSED|FAILED|ERROR) (.*?)(?: - .*)?$", re.MULTILINE)


def main(arguments: Sequence[str]) -> int:
    """Try the mutations whose names hold one of these words, or all; print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.safeguards", description="Take safeguards out and see red.")
    parser.add_argument("words", metavar="WORD", nargs="*", help="a part of the names of the mutations to be tried")
    parser.add_argument("--jobs", type=int, default=1, help="how many are tried at once")
    told = parser.parse_args(arguments)
    chosen = [one for one in mutations() if not told.words or any(word in one.name for word in told.words)]
    tests = collected(sorted({red.partition("::")[0] for one in chosen for red in one.red}))
    with ThreadPoolExecutor(told.jobs) as pool:
        ended = pool.map(lambda one: tried(one, tests), chosen)
        green = sum(_told(one, passed, tests) for one, passed in zip(chosen, ended, strict=True))
    print(f"{len(chosen)} mutations; {green} tests are not red without their safeguard")  # noqa: T201 - a command
    return 1 if green or not chosen else 0


def _told(mutation: Mutation, passed: Mapping[str, bool], tests: Sequence[str]) -> int:
    """Print the verdicts on a mutation, and which tests pass that should not; return how many are not red."""
    green = 0
    for red in mutation.red:
        found = matching(red, tests)
        outcome = verdict(found, passed)
        green += outcome != "red"
        for name in [test for test in found if passed.get(test)] or [red]:
            print(f"{outcome:9} {mutation.name:56} {name.partition('::')[2]}", flush=True)  # noqa: T201 - a command
    return green


def collected(files: Iterable[str]) -> list[str]:
    """Return every test of these files."""
    return [line for line in _pytest(ROOT, ["--collect-only", *files]).splitlines() if "::" in line]


def matching(red: str, tests: Iterable[str]) -> list[str]:
    """Return the tests that a mutation names; only `*` stands for more than itself, and a name for all its cases."""
    pattern = red.replace("[", "[[]")
    return [test for test in tests if fnmatchcase(test, pattern) or fnmatchcase(test, f"{pattern}[[]*")]


def tried(mutation: Mutation, tests: Sequence[str]) -> Mapping[str, bool]:
    """Run the tests that a mutation names on a copy without the safeguard; return of each whether it passed."""
    chosen = sorted({test for red in mutation.red for test in matching(red, tests)})
    with tempfile.TemporaryDirectory(prefix="safeguards-") as folder:
        copy_checkout(Path(folder))
        try:
            mutation.apply(Path(folder))
        except Misfit as error:
            raise SystemExit(f"{mutation.name} does not fit: {error}") from error
        said = _pytest(Path(folder), ["-rA", "--tb=no", f"--timeout={LONGEST}", *chosen]) if chosen else ""
    return {name: outcome == "PASSED" for outcome, name in RESULT.findall(said)}


def verdict(tests: Sequence[str], passed: Mapping[str, bool]) -> str:
    """Return how the tests ended of which none may pass."""
    if not tests or not passed.keys() >= set(tests):
        return "NOT RUN"
    return "GREEN" if any(passed[test] for test in tests) else "red"


def _pytest(root: Path, arguments: Sequence[str]) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-m", "", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
