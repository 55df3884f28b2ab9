"""Take the safeguards out, one by one, and see that their tests fail: `python -m tests.safeguards [WORD ...]`.

Each patch is applied to a copy of the checkout of its own, and the tests that it names run there. WORDs choose patches
by a part of their name. Ends with 1 where a test stays green.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from tests.safeguards.patch import ROOT, Patch, copy_checkout, patches

LONGEST = 60  #: seconds for a test, which without its safeguard may wait for ever
RESULT = re.compile(r"^(PASSED|FAILED|ERROR) (.*?)(?: - .*)?$", re.MULTILINE)


def main(words: Sequence[str]) -> int:
    """Try the patches whose names hold one of these words, or all; print a table."""
    chosen = [patch for patch in patches() if not words or any(word in patch.name for word in words)]
    tests = collected(sorted({red.partition("::")[0] for patch in chosen for red in patch.red}))
    green = 0
    for patch in chosen:
        named = {red: matching(red, tests) for red in patch.red}
        passed = tried(patch, sorted({test for found in named.values() for test in found}))
        for red, found in named.items():
            outcome = verdict(found, passed)
            green += outcome != "red"
            print(f"{outcome:9} {patch.name:56} {red.partition('::')[2]}", flush=True)  # noqa: T201 - a command
    print(f"{len(chosen)} patches; {green} tests are not red without their safeguard")  # noqa: T201 - as above
    return 1 if green or not chosen else 0


def collected(files: Iterable[str]) -> list[str]:
    """Give every test of these files."""
    return [line for line in _pytest(ROOT, ["--collect-only", *files]).splitlines() if "::" in line]


def matching(red: str, tests: Iterable[str]) -> list[str]:
    """Give the tests that a patch names; only `*` stands for more than itself, and a name for all its cases."""
    pattern = red.replace("[", "[[]")
    return [test for test in tests if fnmatchcase(test, pattern) or fnmatchcase(test, f"{pattern}[[]*")]


def tried(patch: Patch, tests: Sequence[str]) -> Mapping[str, bool]:
    """Run tests on a copy without the safeguard; says of each whether it passed."""
    with tempfile.TemporaryDirectory(prefix="safeguards-") as folder:
        copy_checkout(Path(folder))
        if trouble := patch.apply(Path(folder)):
            raise SystemExit(f"{patch.name} does not apply: {trouble}")
        said = _pytest(Path(folder), ["-rA", "--tb=no", f"--timeout={LONGEST}", *tests]) if tests else ""
    return {name: outcome == "PASSED" for outcome, name in RESULT.findall(said)}


def verdict(tests: Sequence[str], passed: Mapping[str, bool]) -> str:
    """Say how the tests ended of which none may pass."""
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
