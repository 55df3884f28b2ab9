"""A CD with a viewer: what the viewer brings along needs nobody's word, and what may be an image still does."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adapters.openings import open_zip
from tests.adapters.zips import Part, instance, zip_of
from xnat_watchd.core.limits import Limits

BINARY = b"\x13\7\xfe" + random.Random(3).randbytes(3000)
EXE, DLL = b"MZ\x90\0" + BINARY, b"MZ\x90\0" + BINARY
VIEWER = {  # as viewers of the usual PACS have it
    b"viewer.exe": EXE,
    b"core.dll": DLL,
    b"plugins/codec.ocx": DLL,
    b"lib/viewer.jar": zip_of([Part(b"META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n"), Part(b"a.dat", BINARY)]),
    b"data/tables.dat": BINARY,
    b"data/init.bin": BINARY,
    b"data/studies.db": BINARY,
    b"viewer.ini": b"[viewer]\r\nlanguage=de\r\n",
    b"viewer.cfg": BINARY,
    b"lang/german.lng": BINARY,
    b"lang/de.mo": b"\xde\x12\4\x95" + BINARY,
    b"help/viewer.chm": b"ITSF" + BINARY,
    b"report.xsl": b"<?xml version='1.0'?><xsl:stylesheet/>",
    b"icons/logo.svg": b"<svg/>",
    b"fonts/arial.ttf": b"\0\1\0\0" + BINARY,
    b"profiles/srgb.icm": BINARY,
    b"jre/lib/tzdb.dat": b"\1\0\4TZDB" + BINARY,
}
DAMAGED = {
    "zeros": bytes(5000),
    "nothing": b"",
    "shifted": instance(9)[3:],
    "its first block lost": bytes(4096) + instance(9),
    "of another file, then the image": BINARY[:500] + instance(9),
}


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., tuple[dict[str, int], int]]:
    """Return the clutter by kind, and how many files a person must check, of a ZIP with two images and these files."""

    def open_one(files: dict[bytes, bytes], images: bytes = b"DICOM/IM%d") -> tuple[dict[str, int], int]:
        path = tmp_path / "cd.zip"
        parts = [Part(name, content) for name, content in files.items()]  # before the images, as often as behind them
        path.write_bytes(zip_of([*parts[::2], *(Part(images % n, instance(n)) for n in (1, 2)), *parts[1::2]]))
        (study,) = open_zip(path, Limits()).studies
        assert len(study.instances) == 2
        return dict(open_zip(path, Limits()).clutter_kinds), sum(one.count for one in study.findings)

    return open_one


Opened = Callable[..., tuple[dict[str, int], int]]


@pytest.mark.parametrize("folder", [b"VIEWER/", b"Some CD/viewer/", b"viewer\\win32\\", b""])
def test_a_viewer_needs_nobodys_word(opened: Opened, folder: bytes) -> None:
    slash = b"\\" if b"\\" in folder else b"/"
    viewer = {folder + name.replace(b"/", slash): content for name, content in VIEWER.items()}
    if not folder:  # in the root of the CD, a folder below it may hold images as well as the program's files
        viewer = {name: content for name, content in viewer.items() if b"/" not in name}

    clutter, unexplained = opened(viewer)

    assert unexplained == 0
    assert sum(clutter.values()) == len(viewer)


@pytest.mark.parametrize("how", DAMAGED)
@pytest.mark.parametrize("extension", [b".dat", b".bin"])
def test_what_may_be_an_image_is_unexplained_even_in_the_folder_of_a_program(
    opened: Opened, how: str, extension: bytes
) -> None:
    assert opened({b"VIEWER/viewer.exe": EXE, b"VIEWER/data" + extension: DAMAGED[how]})[1] == 1


@pytest.mark.parametrize(
    ("files", "images"),
    [
        ({b"VIEWER/viewer.exe": EXE, b"VIEWER/3.dat": BINARY}, b"DICOM/%d.dat"),
        ({b"VIEWER/viewer.exe": EXE, b"VIEWER/3": BINARY}, b"DICOM/%d.dcm"),
        ({b"VIEWER/viewer.exe": EXE, b"VIEWER/3.dat": BINARY}, b"VIEWER/%d.dcm"),
        ({b"VIEWER/viewer.exe": EXE, b"VIEWER/a/3.dat": BINARY}, b"VIEWER/b/%d.dcm"),
        ({b"start.exe": EXE, b"DICOM2/3.dat": BINARY}, b"DICOM/%d"),
        ({b"VIEWER/viewer.exe": BINARY, b"VIEWER/3.dat": BINARY}, b"DICOM/%d"),
        ({b"VIEWER/readme.txt": b"text", b"VIEWER/3.dat": BINARY}, b"DICOM/%d"),
        ({b"VIEWER/viewer.exe": EXE, b"VIEWER2/3.dat": BINARY}, b"DICOM/%d"),
    ],
    ids=[
        *("named like the images", "without extension", "images beside it", "images below the program"),
        *("another folder of the CD", "no program by its content", "no program", "a folder of nearly that name"),
    ],
)
def test_elsewhere_a_file_of_that_kind_is_unexplained(opened: Opened, files: dict[bytes, bytes], images: bytes) -> None:
    assert opened(files, images)[1] >= 1
