"""What other readers read to its end, we send, and what they cannot read, we hold: over files as they are, and spoilt.

Where we and another reader part, one row of a table says why; a disagreement without a row is a fault of ours.
"""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement

from tests.shared import shared
from xnat_watchd.adapters.dicom.byte_source import Source
from xnat_watchd.adapters.dicom.data_set import FileKind, walk_file
from xnat_watchd.adapters.dicom.inflating import Allowance
from xnat_watchd.adapters.dicom.instance import facts_of
from xnat_watchd.core.limits import Limits
from xnat_watchd.sandbox.samples import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, study

PUBLIC = shared("public")
LARGEST = 400_000  #: bytes of a file that is spoilt over and over
SENT, READ = "sent", "read"

#: (ours, theirs) -> why we part, by the beginning of what each says
PARTED = {
    # pydicom is more careful than XNAT, which passes over what it does not know.
    (SENT, "NotImplementedError"): "a VR or a delimiter that nobody knows: passed over by XNAT, PS3.5 7.1.2",
    (SENT, "BytesLengthException"): "a number of the wrong length: no reader stops at it but when it is asked for",
    (SENT, "ValueError"): "a value that cannot be converted, in an element that nobody needs",
    (SENT, "KeyError"): "as before",
    (SENT, "OSError"): "an item breaks off inside of a sequence whose length is told, which is passed over whole",
    (SENT, "short"): "bytes slipped in among the pixels: what is pushed behind them is no element, and is not judged",
    (SENT, "refused"): "as the two before: DCMTK looks into sequences whose length is told, and behind the pixels",
    (
        SENT,
        "without",
    ): "of frames that end without their delimiter, pydicom gives nothing at all; XNAT stops before them",
    # pydicom guesses, or ends in silence, where an image may have been lost.
    ("cut short", READ): "pydicom ends in silence inside a sequence whose length is not told",
    ("not readable", READ): "pydicom reads zeros and broken items as elements",
    ("nested too deeply", READ): "other readers recurse and die",
    ("its transfer syntax", READ): "pydicom guesses; XNAT believes the transfer syntax",
    ("zeros instead", READ): "pydicom reads zeros as elements: the pixels were overwritten, or never written",
    ("two SOP classes", READ): "of which object it is, nobody knows",
    ("invalid", READ): "pydicom takes any text for a UID, and XNAT makes names of files of it",
    ("no transfer syntax", READ): "pydicom guesses; XNAT refuses it",
    ("no ", READ): "pydicom shows an empty value",
    ("directory", READ): "clutter",
    ("other", READ): "its head is lost",
}


def ours(content: bytes) -> str:
    """Return what becomes of a member: sent, why it is damaged, or what it is if it is no instance."""
    header = walk_file(Source(iter([content])), Allowance(Limits(), len(content)))
    return (facts_of(header).problem or SENT) if header.kind is FileKind.INSTANCE else header.kind.value


def pydicoms(content: bytes) -> str:
    """Return whether pydicom reads a file to its end with every value as long as declared; else why not."""
    try:
        data_set = dcmread(io.BytesIO(content))
        for one in list(data_set._dict.values()):
            if isinstance(one, RawDataElement) and one.length != 0xFFFFFFFF and len(one.value or b"") != one.length:
                return "short"
        for _ in data_set.iterall():
            pass
        needed = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
        return next((f"without {name}" for name in needed if not data_set.get(name)), READ)
    except Exception as error:  # noqa: BLE001 - a foreign reader raises what it likes
        return type(error).__name__


def dcmdumps(content: bytes, folder: Path) -> str:
    path = folder / "file.dcm"
    path.write_bytes(content)
    done = subprocess.run(["dcmdump", "-q", path], capture_output=True, check=False, timeout=60)  # noqa: S603, S607 - Debian's
    return READ if done.returncode == 0 and b"Unknown" not in done.stderr else "refused"


def whole() -> Iterator[tuple[str, bytes]]:
    """Yield unchanged files: our samples in every transfer syntax, and the smallest and largest of each export."""
    for syntax in (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED):
        yield syntax, study(1, images=1, syntax=syntax)[0][1]
    for path in sorted(PUBLIC.glob("*.[zZ][iI][pP]")):
        with zipfile.ZipFile(path) as archive:
            members = sorted((one for one in archive.infolist() if not one.is_dir()), key=lambda one: one.file_size)
            for member in dict.fromkeys([*members[:3], members[-1]]):
                content = archive.read(member)
                if content[128:132] == b"DICM":
                    yield f"{path.name}/{member.filename}", content


def spoilt(chance: random.Random, content: bytes) -> bytes:
    """Cut a file, or overwrite a block of it with zeros, or shift what follows by a few bytes."""
    at = chance.randrange(132, len(content))
    how = chance.randrange(4)
    if how == 0:
        return content[:at]
    if how == 1:
        block = chance.choice([16, 512, 4096])
        return content[:at] + bytes(len(content[at : at + block])) + content[at + block :]
    at, by = min(at, chance.randrange(132, 4000)), chance.choice([1, 2, 4, 16])
    return content[:at] + content[at + by :] if how == 2 else content[:at] + bytes(by) + content[at:]


def parted(said: str, theirs: str) -> bool:
    """Return whether we differ from a reader without a reason that stands in the table."""
    if (said == SENT) == (theirs == READ):
        return False
    return not any(said.startswith(one) and theirs.startswith(other) for one, other in PARTED)


def compared(count: int, reader: Callable[[bytes], str]) -> Counter[tuple[str, str]]:
    """Count the disagreements without a reason over so many spoilt files. The same each time."""
    chance = random.Random(20261128)
    files = [content for _, content in whole() if len(content) < LARGEST]
    found: Counter[tuple[str, str]] = Counter()
    for _ in range(count):
        content = spoilt(chance, chance.choice(files))
        said, theirs = ours(content), reader(content)
        if parted(said, theirs):
            found[said, theirs] += 1
    return found


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize(("name", "content"), list(whole()), ids=[name for name, _ in whole()])
def test_what_came_from_a_scanner_is_read_by_both(name: str, content: bytes) -> None:
    if name.endswith("/DICOMDIR"):
        assert ours(content) == FileKind.DIRECTORY.value
    else:
        assert (ours(content), pydicoms(content)) == (SENT, READ)


def test_spoilt_files_are_sent_only_if_pydicom_reads_them_and_held_if_it_does_not() -> None:
    assert not compared(150, pydicoms)


@pytest.mark.thorough
def test_thousands_of_spoilt_files_are_judged_as_pydicom_does() -> None:
    assert not compared(2000, pydicoms)


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("dcmdump") is None, reason="dcmdump is not here: Debian's dcmtk")
def test_what_dcmdump_cannot_read_is_not_sent_and_what_it_reads_is(tmp_path: Path) -> None:
    for name, content in whole():
        if not name.endswith("/DICOMDIR"):
            assert (ours(content), dcmdumps(content, tmp_path)) == (SENT, READ), name
    assert not compared(400, lambda content: dcmdumps(content, tmp_path))
