"""By a glance at its directory it is known of most ZIPs that they will not go to XNAT as they are."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from xnat_watchd.adapters.dicom.zip_file import no_beat
from xnat_watchd.adapters.dicom.zip_glance import members_of_tidy_zip


def seen(folder: Path, content: bytes) -> int:
    path = folder / "one.zip"
    path.write_bytes(content)
    return members_of_tidy_zip(path, no_beat)


def packed(*names: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in names:
            archive.writestr(name, b"" if name.endswith("/") else bytes(1000))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "names",
    [("1.dcm", "2.dcm"), ("a/", "a/IM0001"), ("a/1.2.840.113619.2", "b/1.2.840.113619.3"), ("x.IMA", "y.DICOM")],
)
def test_a_zip_of_images_alone_is_worth_it(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert seen(tmp_path, packed(*names)) == 2
    assert seen(tmp_path, packed(*names, method=zipfile.ZIP_STORED)) == 2


@pytest.mark.parametrize("name", ["DICOMDIR", "viewer/run.exe", "__MACOSX/._1.dcm", ".DS_Store", "README", "a.txt"])
def test_a_zip_with_something_beside_the_images_is_not(tmp_path: Path, name: str) -> None:
    assert seen(tmp_path, packed("1.dcm", name)) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"", b"no ZIP", packed("1.dcm")[:-30], packed("1.dcm") + b"more",
        packed("1.dcm", method=zipfile.ZIP_BZIP2),
        packed("1.dcm").replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"),
    ],
    ids=["empty", "no ZIP", "cut", "with a tail", "packed otherwise", "encrypted"],
)  # fmt: skip
def test_a_zip_that_cannot_go_as_it_is_is_not(tmp_path: Path, content: bytes) -> None:
    assert seen(tmp_path, content) == 0
