"""The package for Debian, made inside a throw-away Debian of that version by plain debhelper; see `debian/rules`."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from pathlib import Path

from release import bundle, distributions
from release.tools import run

RELEASES = {"bookworm": "deb12", "trixie": "deb13"}
NEEDED = "debhelper,libsystemd0,python3,python3-venv"  #: as in `debian/control`

# In another folder and with another umask each time, so that neither shows in what is made.
_BUILD = """\
cp -r /build/source /build/{number} && cd /build/{number} && umask {umask} && env --unset=SOURCE_DATE_EPOCH \
dpkg-buildpackage --build=binary --unsigned-source --unsigned-changes >/build/log 2>&1 \
|| {{ tail -50 /build/log; false; }}
mkdir -p /build/made/{number} && mv /build/*.deb /build/made/{number}
"""


def make(into: Path, suite: str, *, times: int) -> Path:
    """Make the package for a Debian. Made several `times`, all must be the same: raise `RuntimeError` if not."""
    with tempfile.TemporaryDirectory() as work:
        source = _source(Path(work), suite)
        made = Path(work) / "made"
        builds = [_BUILD.format(number=number, umask=("022", "077")[number % 2]) for number in range(times)]
        hooks = [
            'mkdir -p "$1/build/source"',
            f"sync-in {source} /build/source",
            *(f"chroot \"$1\" sh -euc '{build}'" for build in builds),
            f"sync-out /build/made {made}",
        ]
        made.mkdir()
        root = ("mmdebstrap", "--quiet", "--variant=buildd", "--dpkgopt=force-unsafe-io", f"--include={NEEDED}")
        run(*root, *(f"--customize-hook={hook}" for hook in hooks), suite, "/dev/null")
        packages = sorted(made.glob("*/*.deb"))
        if len({hashlib.sha256(package.read_bytes()).hexdigest() for package in packages}) != 1:
            raise RuntimeError(f"made {times} times, the package is not the same")
        return Path(shutil.copy(packages[0], into))


def _source(work: Path, suite: str) -> Path:
    """Return the sources of the package: what is in the sdist, with a bundle, and a version that names the Debian."""
    _, sdist = distributions.make(work)
    shutil.unpack_archive(sdist, work, filter="data")
    source = work / sdist.name.removesuffix(".tar.gz")
    archive = bundle.make(work, bundle.PYTHONS[suite])
    shutil.unpack_archive(archive, source / "debian", filter="data")
    (source / "debian" / archive.name.removesuffix(".tar")).rename(source / "debian/bundle")
    changelog = source / "debian/changelog"
    changelog.write_text(
        re.sub(r"\((.*?)\)", rf"(\1+{RELEASES[suite]})", changelog.read_text("utf-8"), count=1), "utf-8"
    )
    return source
