"""Make what is installed: `python -m release COMMAND`. It runs on Linux with the oldest Python that the program takes.

Everything is made in `dist`, or where `--into` says, from this checkout and packages whose hashes are in
`wheels.lock` and `tools.lock`. The same sources give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from release import bundle, deb, distributions, lock
from release.tools import REPOSITORY

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def main(arguments: Sequence[str]) -> None:
    """Carry one command out, and print what was made."""
    told = _parser().parse_args(arguments)
    into: Path = told.into.absolute()
    into.mkdir(parents=True, exist_ok=True)
    if told.command == "lock":
        made = lock.renew()
    elif told.command == "files":
        from release import files  # noqa: PLC0415 - alone it needs the program and what that needs

        made = files.write()
    elif told.command == "distributions":
        made = distributions.make(into)
    elif told.command == "bundle":
        made = [bundle.make(into, told.python)]
    else:
        made = [deb.make(into, told.suite, times=2 if told.twice else 1)]
    for path in made:
        sys.stdout.write(f"{path}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    parser.add_argument("--into", type=Path, default=REPOSITORY / "dist", metavar="DIR", help="where it is put")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("lock", help="choose the versions of all packages anew, and write down their hashes")
    commands.add_parser("files", help="write the manual pages and the completion of shells anew")
    commands.add_parser("distributions", help="make wheel and sdist")
    bundled = commands.add_parser("bundle", help="make the archive for machines without internet")
    bundled.add_argument("--python", default=PYTHON, metavar="X.Y", help=f"the Python over there (here: {PYTHON})")
    packaged = commands.add_parser("deb", help="make the package for Debian; as root, with mmdebstrap")
    packaged.add_argument("--suite", choices=sorted(bundle.PYTHONS), default="bookworm")
    packaged.add_argument("--twice", action="store_true", help="make it twice, and fail where the two differ")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
