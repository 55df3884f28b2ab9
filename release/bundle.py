"""The archive for machines without internet: our wheel, the wheels of all that it needs, their list, and what they are.

It is for one version of Python on one kind of processor, since a few of the wheels are compiled. The package for
Debian is made from it.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from release import distributions, sbom
from release.tools import EPOCH, WHEELS, python, run

PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
"""The Python of each Debian that it is tried on."""
GLIBC = ("2_28", "2_17")  #: manylinux: both are older than every system that we name
README = """\
xnat-watchd and everything that it needs, for {python} on {machine}. As root, in this folder:

  python3 -m venv /opt/xnat-watchd
  /opt/xnat-watchd/bin/pip install --no-index --require-hashes --find-links=wheels --requirement=requirements.txt
  /opt/xnat-watchd/bin/xnat-watchd install

sbom.cdx.json lists what it consists of, for CycloneDX.
"""


def make(into: Path, version: str) -> Path:
    """Make the bundle for a version of Python, such as "3.11", and return the archive."""
    tag, machine = f"cp{version.replace('.', '')}", platform.machine()
    with tempfile.TemporaryDirectory() as work:
        wheels = Path(work) / "wheels"
        fetch_others(wheels, version)
        ours = distributions.make_wheel(wheels)
        name = f"xnat-watchd-{ours.name.split('-')[1]}-{tag}-{machine}"
        written = {
            "README.txt": README.format(python=f"Python {version}", machine=machine),
            "requirements.txt": "".join(_requirements(wheels)),
            "sbom.cdx.json": sbom.of(wheels, ours),
        }
        for file, text in written.items():
            (wheels.parent / file).write_text(text, "utf-8")
        return packed(wheels.parent, into / f"{name}.tar")


def packed(folder: Path, archive: Path) -> Path:
    """Pack a folder into an archive, whose name is that of its only folder. The same content gives the same bytes."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(folder, archive.name.removesuffix(".tar"), filter=_anonymous)
    return archive


def fetch_others(into: Path, version: str) -> None:
    """Fill a folder with the wheels of all that the program needs; what has no wheel is built."""
    into.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        places = [f"--platform=manylinux_{glibc}_{platform.machine()}" for glibc in GLIBC]
        kinds = [f"--abi={abi}" for abi in (f"cp{version.replace('.', '')}", "abi3", "none")]
        which = (f"--python-version={version}", "--implementation=cp", *kinds, *places)
        words = ("download", "--quiet", "--no-deps", "--require-hashes", f"--dest={work}", f"--requirement={WHEELS}")
        run(python(), "-m", "pip", *words, *which, "--no-build-isolation")
        build = ("wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", f"--wheel-dir={into}")
        run(python(), "-m", "pip", *build, *sorted(Path(work).glob("*.tar.gz")))
        for wheel in Path(work).glob("*.whl"):
            shutil.move(wheel, into)


def _requirements(wheels: Path) -> Iterator[str]:
    for wheel in sorted(wheels.iterdir()):
        name, version, _ = wheel.name.split("-", 2)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        yield f"{re.sub('[-_.]+', '-', name).lower()}=={version} --hash=sha256:{digest}\n"


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return a member as every computer and every user would make it."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = int(EPOCH)
    member.mode = 0o755 if member.isdir() else 0o644
    return member
