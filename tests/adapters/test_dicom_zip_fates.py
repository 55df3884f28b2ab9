"""What becomes of a member that is no image: clutter by name and content, or unexplained, and then a person looks."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.adapters.openings import open_zip
from tests.adapters.zips import MR, Part, deflated, element, file_of, identity, instance, pixels, zip_of
from xnat_watchd.adapters.dicom.clutter import MARKER, MARKERS, TABLE, clutter_kind, name_key
from xnat_watchd.core.delivery import ZipContents
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.findings import FindingKind, holding
from xnat_watchd.core.limits import Limits
from xnat_watchd.sandbox.samples import EXPLICIT, IMPLICIT, as_file, dicomdir, uid

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
TEXT = "Größe 12 €\r\n".encode()
SAMPLES = [  # of every row of the table: what media really hold
    (b"__MACOSX/._IM1.dcm", b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(80), "AppleDouble"),
    (b"._IM2.dcm", b"\0\5\x16\7\0\2\0\0" + bytes(80), "AppleDouble"),
    (b".DS_Store", b"\0\0\0\1Bud1" + bytes(200), "system file"),
    (b"IMAGES/Thumbs.db", OLE, "system file"),
    (b"README.TXT", TEXT, "text"),
    (b"liesmich.txt", "Größe".encode("latin-1"), "text"),
    (b"utf16.txt", "Größe\r\n".encode("utf-16"), "text"),
    (b"AUTORUN.INF", b"[autorun]\r\nopen=viewer.exe\r\n", "text"),
    (b"desktop.ini", b"[.ShellClassInfo]", "text"),
    (b"LICENSE", b"Permission is hereby granted", "text"),
    (b"C2P__bold.pro", b"<XProtocol> {", "text"),
    (b"index.html", b"<!DOCTYPE html>", "web page"),
    (b"VIEWER\\css\\style.css", b"body {}", "web page"),
    (b"viewer/app.js", b"'use strict';", "web page"),
    (b"config.xml", b"<?xml version='1.0'?>", "web page"),
    (b"report/Befund M\xfcller.pdf", b"%PDF-1.4\n", "PDF"),
    (b"screenshot.png", b"\x89PNG\r\n\x1a\n" + bytes(30), "picture"),
    (b"foto.JPG", b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(30), "picture"),
    (b"viewer.ico", b"\0\0\1\0\1\0" + bytes(30), "picture"),
    (b"scan.tif", b"II*\0" + bytes(30), "picture"),
    (b"movie.avi", b"RIFF\x10\0\0\0AVI LIST", "movie"),
    (b"cine.mp4", b"\0\0\0\x18ftypmp42" + bytes(30), "movie"),
    (b"cine.mpg", b"\0\0\1\xba" + bytes(30), "movie"),
    (b"cine.wmv", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(30), "movie"),
    (b"dictation.wav", b"RIFF\x10\0\0\0WAVEfmt ", "sound"),
    (b"report.doc", OLE, "office file"),
    (b"report.rtf", b"{\\rtf1}", "office file"),
    (b"studies.mdb", b"\0\1\0\0Standard Jet DB\0" + bytes(30), "database"),
    (b"studies.db", b"SQLite format 3\0" + bytes(30), "database"),
    (b"VIEWER/START.EXE", b"MZ" + bytes(500), "program"),
    (b"VIEWER/core.dll", b"MZ" + bytes(500), "program"),
    (b"jre/lib/libjava.so", b"\x7fELF" + bytes(60), "program"),
    (b"Viewer.app/Contents/Resources/Main.nib", b"bplist00" + bytes(30), "program"),
    (b"a/B.class", b"\xca\xfe\xba\xbe" + bytes(30), "program"),
    (b"setup.cab", b"MSCF" + bytes(30), "program"),
    (b"help.chm", b"ITSF" + bytes(30), "program"),
    (b"arial.ttf", b"\0\1\0\0" + bytes(30), "font"),
    (b"icons.woff2", b"wOF2" + bytes(30), "font"),
    (b"converted.nii", b"\x5c\1\0\0" + bytes(400), "NIfTI"),
    *((name, b"", "empty marker") for name in (b"DICOM/.nomedia", b"Icon\r", b"AUTORUN.INF", b"viewer/__init__.py")),
    (b"DICOMDIR", b"see the folder IMAGES", "text"),  # a name that no image may have (PS3.10 8.6)
]


def tar_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def inner_zip(*parts: tuple[bytes, bytes]) -> bytes:
    return zip_of(Part(name, content) for name, content in parts)


def streamed_zip(name: str, content: bytes) -> bytes:
    """Return a ZIP as it is written to a pipe: sizes follow the data."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return pipe.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "export.zip"


def opened(path: Path, *parts: Part) -> ZipContents:
    path.write_bytes(zip_of(parts))
    return open_zip(path, Limits())


def beside(path: Path, name: bytes, content: bytes, images: bytes = b"IM%d.dcm") -> tuple[dict[str, int], str]:
    """Return the kinds of clutter and the reason to hold, for a member beside two images."""
    contents = opened(path, *(Part(images % n, instance(n)) for n in (1, 2)), Part(name, content))
    (study,) = contents.studies
    assert len(study.instances) == 2
    assert not contents.as_it_is
    assert sum(contents.clutter_kinds.values()) + sum(one.count for one in study.findings) == 1
    return dict(contents.clutter_kinds), study.trouble


def unexplained(reason: str) -> tuple[dict[str, int], str]:
    return {}, f"1 file may be an image that cannot be read ({reason})"


# Clutter, by a positive sign.


@pytest.mark.parametrize(("name", "content", "kind"), SAMPLES)
def test_name_and_content_that_agree_make_clutter(path: Path, name: bytes, content: bytes, kind: str) -> None:
    assert beside(path, name, content) == ({kind: 1}, "")


def test_every_kind_of_the_table_is_shown_by_a_sample() -> None:
    assert {row.kind for row in TABLE} | {MARKER} == {kind for _, _, kind in SAMPLES}


@pytest.mark.parametrize(("name", "content"), [(name, content) for name, content, _ in SAMPLES if content])
def test_the_same_name_without_the_content_is_unexplained(path: Path, name: bytes, content: bytes) -> None:
    assert beside(path, name, bytes(len(content)))[0] == {}
    assert not clutter_kind(name, bytes(5000))


@pytest.mark.parametrize(("name", "content"), [(name, content) for name, content, _ in SAMPLES if content])
def test_the_same_content_under_an_images_name_is_unexplained(path: Path, name: bytes, content: bytes) -> None:
    for image in (b"IM3.dcm", b"DICOM/IM3", b"x.IMA", b"1.2.840.10008.5"):
        assert beside(path, image, content)[0] == {}, name


@pytest.mark.parametrize(
    ("images", "name", "content"),
    [
        (b"IM%d.jpg", b"other.jpg", b"\xff\xd8\xff\xe0" + bytes(30)),
        (b"a%d/README", b"README", TEXT),  # whatever the folder
        (b"IMAGE%d/contents", b"LICENSE", TEXT),  # letters alone, as the images are
        (b"._%d", b"._IM", b"\0\5\x16\7" + bytes(30)),
    ],
)
def test_a_name_that_an_image_of_this_zip_could_have_is_no_clutter(
    path: Path, images: bytes, name: bytes, content: bytes
) -> None:
    assert beside(path, name, content, images) == unexplained("named like an image")
    assert beside(path, name, content)[1] == ""


@pytest.mark.parametrize("name", sorted({key for row in TABLE for key in row.names} - MARKERS))
def test_nothing_at_all_is_unexplained_under_any_name_of_the_table(path: Path, name: str) -> None:
    empty = (f"IM3{name}" if name_key(b"IM3" + name.encode()) == name else name).encode()

    assert beside(path, empty, b"") == unexplained("empty")


@pytest.mark.parametrize("name", sorted(MARKERS))
def test_an_empty_marker_is_clutter_by_its_whole_name_unless_an_image_could_have_it(path: Path, name: str) -> None:
    marker = name.encode()

    assert beside(path, b"CD/" + marker, b"") == ({MARKER: 1}, "")
    like_it = b"%d" + marker if name_key(marker).startswith(".") else b"%dicon\r"
    assert beside(path, marker, b"", like_it)[0] == ({} if name_key(like_it) == name_key(marker) else {MARKER: 1})
    assert beside(path, b"x" + marker, b"") == unexplained("empty")


@pytest.mark.parametrize("name", [b"DICOM/", b"DICOM\\"])
def test_a_folder_is_a_folder_whichever_slash_it_is_written_with(path: Path, name: bytes) -> None:
    contents = opened(path, Part(name, b""), Part(b"IM1.dcm", instance()))

    assert not contents.clutter_kinds
    assert not contents.studies[0].findings


def test_a_dicomdir_is_clutter_by_its_content_under_its_name_alone(path: Path) -> None:
    assert beside(path, b"DICOMDIR", dicomdir()) == ({"DICOMDIR": 1}, "")
    assert beside(path, b"DICOMDIR", dicomdir()[:-9])[0] == {"DICOMDIR": 1}
    assert beside(path, b"CD/dicomdir.bak", dicomdir()) == ({"DICOMDIR": 1}, "")
    assert beside(path, b"DICOMDIR", bytes(500)) == unexplained("only zeros at its beginning")
    assert beside(path, b"IM3.dcm", dicomdir()) == unexplained("a DICOMDIR under another name")


def test_a_hanging_protocol_is_clutter_under_any_name(path: Path) -> None:
    protocol = file_of(element(0x00080016, "UI", b"1.2.840.10008.5.1.4.38.1") + element(0x00080018, "UI", b"1.2.3\0"))

    assert beside(path, b"IM3.dcm", protocol) == ({"DICOM without a study": 1}, "")


# Unexplained.


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (b"IM3.dcm", bytes(5000), "only zeros at its beginning"),
        (b"IM3.dcm", b"", "empty"),
        (b"IM3.IMA", b"", "empty"),
        (b"DICOM/00000001/IM000003", b"", "empty"),
        (b"what.xyz", b"", "empty"),
        (b"README", b"", "empty"),  # where no content agrees, a name without extension says nothing
        (b"DICOMDIR", b"", "empty"),
        *((name, b"", "empty") for name in (b"notes.txt", b"IM3.jpg", b"DICOM/IM3.xml", b"._IM3.dcm", b"a.nomedia")),
        (b"IM3.dcm", b"<html><head><title>502 Bad Gateway", "no DICOM"),
        (b"IM3.dcm", bytes(4096) + instance(3), "only zeros at its beginning"),
        (b"IM3.dcm", b"x" + instance(3), "no DICOM"),
        (b"IM3.dcm", instance(3)[4:], "no DICOM"),
        (b"IM3.dcm", instance(3).replace(b"DICM", b"DICN", 1), "no DICOM"),
        (b"IM3.dcm", b"\xa5" * 512 + instance(3)[512:], "no DICOM"),
        (b"..", b"x", "no DICOM"),
        (b"what.xyz", TEXT, "no DICOM"),
        (b"raw.dat", b"\1\2\3", "no DICOM"),
    ],
)
def test_what_may_be_an_image_that_was_lost_holds_its_study(
    path: Path, name: bytes, content: bytes, reason: str
) -> None:
    assert beside(path, name, content) == unexplained(reason)


def test_what_is_unexplained_is_counted_in_one_finding_that_names_some(path: Path) -> None:
    lost = [Part(b"lost%d.dcm" % n, bytes(n % 2)) for n in range(30)]

    (study,) = opened(path, Part(b"IM1.dcm", instance()), *lost).studies

    (finding,) = study.findings
    assert (finding.kind, finding.count) == (FindingKind.UNEXPLAINED, 30)
    assert finding.why == "30 files may be images that cannot be read (empty, only zeros at its beginning)"
    assert finding.members == tuple(f"lost{n}.dcm" for n in range(20))


def test_of_several_studies_none_is_held_for_what_is_unexplained_and_it_is_held_by_itself(path: Path) -> None:
    studies = opened(
        path, Part(b"1", instance(1)), Part(b"2", instance(2, study="9.9")), Part(b"3", b"")
    ).studies  # fmt: skip

    assert [(one.uid, len(one.instances), bool(holding(one.findings))) for one in studies] == [
        ("1.2", 1, False), ("9.9", 1, False), ("", 0, True),
    ]  # fmt: skip


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.1.3.10", "1.2.840.10008.5.1.4.38.1", "1.2.840.10008.5.1.4.1.1.2"])
def test_an_object_of_two_sop_classes_is_held_with_the_study_that_whole_images_bear_too(
    path: Path, sop_class: str
) -> None:
    def of(study: str) -> bytes:
        meta = element(0x00020002, "UI", sop_class.encode() + b"\0" * (len(sop_class) % 2))
        return file_of(b"").replace(b"DICM", b"DICM" + meta) + identity(study=study, sop="1.2.3.9") + pixels()

    (one,) = opened(path, Part(b"1", instance(1)), Part(b"2", of("1.2"))).studies
    assert one.trouble == "1 of 2 images is damaged (two SOP classes)"
    two = [Part(b"1", instance(1)), Part(b"2", instance(2, study="9.9"))]
    assert [bool(one.trouble) for one in opened(path, *two, Part(b"3", of("9.9"))).studies] == [False, True]
    assert [one.uid for one in opened(path, *two, Part(b"3", of("6.6"))).studies] == ["1.2", "9.9", ""]


def test_one_sop_class_said_twice_is_sound(path: Path) -> None:
    meta = element(0x00020002, "UI", MR.encode() + b"\0" * (len(MR) % 2))
    sound = instance(3).replace(b"DICM", b"DICM" + meta)

    (study,) = opened(path, Part(b"1", sound)).studies

    assert not study.findings


@pytest.mark.parametrize(
    ("mode", "name", "kinds", "held"),
    [
        (0o120777, b"link.dcm", {}, True),
        (0o120777, b"up", {"link": 1}, False),
        (0o010644, b"fifo.dcm", {"pipe or device": 1}, False),
        (0o020644, b"dev.dcm", {"pipe or device": 1}, False),
    ],
)
def test_a_link_under_an_images_name_leads_to_an_image_that_did_not_come_and_pipes_hold_nothing(
    path: Path, mode: int, name: bytes, kinds: dict[str, int], *, held: bool
) -> None:
    contents = opened(path, Part(b"IM1.dcm", instance()), Part(name, b"/x" * (mode == 0o120777), mode=mode))

    assert (contents.clutter_kinds, bool(contents.studies[0].trouble)) == (kinds, held)


@pytest.mark.parametrize(
    ("mode", "content"), [(0o010644, bytes(500)), (0o020644, b"\xa5" * 500), (0o120777, bytes(500)), (0o120777, b"")]
)
def test_a_mode_makes_no_pipe_and_no_link_of_what_has_the_content_of_neither(
    path: Path, mode: int, content: bytes
) -> None:
    contents = opened(path, Part(b"IM1.dcm", instance()), Part(b"lost", content, mode=mode))

    assert (contents.clutter, len(contents.studies[0].findings)) == (0, 1)


# One odd member never refuses the ZIP.


@pytest.mark.parametrize(("method", "flags"), [(9, 0), (93, 0), (8, 1), (8, 0x41), (99, 1)])
def test_what_cannot_be_unpacked_is_clutter_by_its_name_or_unexplained(path: Path, method: int, flags: int) -> None:
    images = [Part(b"IM%d.dcm" % n, instance(n)) for n in (1, 2)]

    for name in (b"viewer/movie.avi", b"report.pdf"):
        contents = opened(path, *images, Part(name, b"packed", method=method, flags=flags, packed=b"packed"))
        assert (contents.clutter, contents.studies[0].trouble) == (1, "")
    for name in (b"IM3.dcm", b"IM0003", b"more.zip", b"movie", b"README", b"CONTENTS", b"DICOMDIR"):
        contents = opened(path, *images, Part(name, b"packed", method=method, flags=flags, packed=b"packed"))
        assert contents.clutter == 0
        assert [one.kind for one in contents.studies[0].findings] == [FindingKind.UNEXPLAINED]
        assert not contents.as_it_is


# Archives inside.

IMAGE, NOTE = instance(7), TEXT


@pytest.mark.parametrize(
    "content",
    [
        inner_zip((b"a.txt", NOTE)) + inner_zip((b"IM7", IMAGE)),
        inner_zip((b"a.txt", NOTE)) + IMAGE,
        zip_of([]) + inner_zip((b"IM7", IMAGE)),
        zip_of([Part(b"a.txt", NOTE)], behind=IMAGE),
        zip_of([Part(b"a.txt", NOTE), Part(b"b.txt", NOTE, gap=IMAGE)]),
        inner_zip((b"a.txt", NOTE)).replace(b"PK\1\2", b"PK\5\6"),
        inner_zip((b"a.txt", NOTE))[:-1],
        zip_of([Part(b"a.txt", NOTE)], comment=b"x" * 9)[:-1],
        zip_of([Part(b"a.txt", NOTE)])[: -22 - 5],
    ],
)
def test_a_zip_inside_that_holds_more_or_less_than_its_directory_names_is_unexplained(
    path: Path, content: bytes
) -> None:
    clutter, trouble = beside(path, b"docs.zip", content)

    assert not clutter
    assert trouble


def test_blanks_and_a_comment_hide_nothing_in_a_zip_inside(path: Path) -> None:
    content = zip_of([Part(b"a.txt", NOTE), Part(b"b.txt", NOTE)], comment=b"packed by a viewer") + bytes(512)

    assert beside(path, b"docs.zip", content) == ({"archive without images": 1}, "")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (b"series2.zip", inner_zip((b"IM7.dcm", IMAGE))),
        (b"series2.zip", streamed_zip("IM7", IMAGE)),
        (b"series2.zip", inner_zip((b"a.txt", NOTE), (b"more.zip", inner_zip((b"IM7", IMAGE))))),
        (b"series2.tar", tar_of(IM7=IMAGE)),
        (b"series2.tgz", packed(tar_of(note=NOTE, IM7=IMAGE))),
        (b"series2.tar.bz2", bz2.compress(tar_of(IM7=IMAGE))),
        (b"series2.tar.xz", lzma.compress(tar_of(IM7=IMAGE))),
        (b"IM7.dcm.gz", packed(IMAGE)),
        (b"IM7.gz", packed(b"") + packed(IMAGE)),
        (b"viewer.jar", inner_zip((b"META-INF/MANIFEST.MF", NOTE), (b"IM7.dcm", IMAGE))),
        (b"IM7.dcm.gz", packed(IMAGE[:-10])),  # damaged, and yet an image
    ],
)
def test_dicom_in_an_archive_inside_is_told(path: Path, name: bytes, content: bytes) -> None:
    assert beside(path, name, content) == unexplained("DICOM in an archive")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        (b"docs.zip", inner_zip((b"a.txt", NOTE), (b"b/c.pdf", b"%PDF-1.4")), "archive without images"),
        (b"docs.zip", streamed_zip("a.txt", NOTE), "archive without images"),
        (b"empty.zip", zip_of([]), "archive without images"),
        (b"docs.tar.gz", packed(tar_of(**{"a.txt": NOTE})), "archive without images"),
        (b"notes.txt.gz", packed(NOTE) + bytes(512), "archive without images"),
        (b"viewer.jar", inner_zip((b"META-INF/MANIFEST.MF", NOTE), (b"a/data.bin", b"\1\2")), "program"),
        (b"report.docx", inner_zip((b"[Content_Types].xml", b"<x/>"), (b"word/x.bin", b"\1")), "office file"),
    ],
)
def test_an_archive_that_certainly_holds_no_image_is_clutter(
    path: Path, name: bytes, content: bytes, kind: str
) -> None:
    assert beside(path, name, content) == ({kind: 1}, "")


def nested(depth: int) -> bytes:
    content = inner_zip((b"a.txt", NOTE))
    for _ in range(depth):
        content = inner_zip((b"more.zip", content))
    return content


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (b"series2.7z", b"7z\xbc\xaf\x27\x1c" + bytes(99), "an archive that is not looked into"),
        (b"series2.rar", b"Rar!\x1a\7\1\0" + bytes(99), "an archive that is not looked into"),
        (b"s.zip", zip_of([Part(b"a.txt", NOTE, flags=1)]), "an archive that is not looked into"),
        (b"s.zip", zip_of([Part(b"a.txt", NOTE, method=9)]), "an archive that is not looked into"),
        (
            b"s.zip",
            zip_of([Part(b"a.txt", NOTE), Part(b"b.txt", NOTE, gap=b"hidden")]),
            "an archive that is not looked into",
        ),
        (b"s.zip", inner_zip((b"a.txt", NOTE))[:-90], "an archive that is not looked into"),
        (b"s.zip", inner_zip((b"IM7", b"\1\2")), "an archive of unknown content"),
        (b"s.tar", tar_of(**{"a.txt": NOTE})[:1000], "an archive that is not looked into"),
        (b"s.tar", tar_of(**{"a.txt": NOTE}) + IMAGE, "an archive that is not looked into"),
        (b"s.txt.gz", packed(NOTE)[:-10], "an archive that is not looked into"),
        (b"s.txt.gz", packed(NOTE) + IMAGE, "an archive that is not looked into"),
        (b"s.zip", nested(9), "an archive of unknown content"),
        (b"notes.txt", inner_zip((b"a.txt", NOTE)), "an archive of unknown content"),
    ],
)
def test_an_archive_of_which_nobody_can_say_what_it_holds_is_unexplained(
    path: Path, name: bytes, content: bytes, reason: str
) -> None:
    assert beside(path, name, content) == unexplained(reason)


def test_an_archive_that_is_a_bomb_is_unexplained_and_refuses_nothing(path: Path) -> None:
    bomb = inner_zip((b"a.txt", b" " * 2**22))
    path.write_bytes(zip_of([Part(b"IM1.dcm", instance()), Part(b"s.zip", bomb)]))

    (study,) = open_zip(path, Limits(ratio_from=2**20)).studies

    assert (len(study.instances), study.trouble) == (1, unexplained("an archive that is not looked into")[1])


@pytest.mark.parametrize("name", [b"IM7.dcm.gz", b"all.tgz"])
def test_a_zip_of_which_nothing_can_be_read_is_refused(path: Path, name: bytes) -> None:
    with pytest.raises(Unusable, match="only archives in the ZIP, and no image beside them"):
        opened(path, Part(name, packed(IMAGE if name.endswith(b".dcm.gz") else tar_of(IM7=IMAGE))))


# What a DICOMDIR lists.


def directory(*images: tuple[str, int], syntax: str = EXPLICIT, undefined: bool = False) -> bytes:
    """Return a DICOMDIR that lists these images, each a study UID and a number."""
    records, last = [], ""
    for study, number in images:
        if study != last:
            record = Dataset()
            record.DirectoryRecordType, record.StudyInstanceUID = "STUDY", study
            records.append(record)
            last = study
        record = Dataset()
        record.RecordInUseFlag, record.DirectoryRecordType = 0xFFFF, "IMAGE"
        record.ReferencedFileID = ["DICOM", f"IM{number}"]
        record.ReferencedSOPInstanceUIDInFile = f"1.2.3.{number}"
        record.IconImageSequence = Sequence([Dataset()])
        records.append(record)
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = "1.2.840.10008.1.3.10", uid(0)
    data_set.DirectoryRecordSequence = Sequence(records)
    if undefined:
        data_set["DirectoryRecordSequence"].is_undefined_length = True
    return as_file(data_set, syntax)


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_an_image_that_a_dicomdir_lists_and_that_did_not_come_is_told_and_holds_nothing(
    path: Path, syntax: str, *, undefined: bool
) -> None:
    listing = directory(("1.2", 1), ("1.2", 2), ("1.2", 3), syntax=syntax, undefined=undefined)

    (study,) = opened(path, Part(b"DICOMDIR", listing), *(Part(b"IM%d" % n, instance(n)) for n in (1, 2))).studies

    (finding,) = study.findings
    assert (finding.kind, finding.count, finding.members) == (FindingKind.ABSENT, 1, ("DICOM/IM3",))
    assert not study.trouble


def test_a_dicomdir_that_lists_what_came_says_nothing(path: Path) -> None:
    (study,) = opened(path, Part(b"DICOMDIR", directory(("1.2", 1))), Part(b"IM1", instance())).studies

    assert not study.findings


def test_each_study_is_told_of_its_own_and_the_first_of_those_that_did_not_come(path: Path) -> None:
    listing = directory(("1.2", 1), ("9.9", 2), ("9.9", 3), ("6.6", 4), ("6.6", 5))

    studies = opened(
        path, Part(b"DICOMDIR", listing), Part(b"IM1", instance(1)), Part(b"IM2", instance(2, study="9.9"))
    ).studies

    assert [(one.uid, [found.count for found in one.findings]) for one in studies] == [("1.2", [2]), ("9.9", [1])]


def test_a_record_that_is_not_in_use_lists_nothing(path: Path) -> None:
    listing = directory(("1.2", 1), ("1.2", 2)).replace(
        element(0x00041410, "US", b"\xff\xff"), element(0x00041410, "US", b"\0\0")
    )

    (study,) = opened(path, Part(b"DICOMDIR", listing), Part(b"IM1", instance())).studies

    assert not study.findings


@pytest.mark.parametrize("size", range(400, 700, 7))
def test_a_dicomdir_that_breaks_off_lists_what_it_lists(path: Path, size: int) -> None:
    listing = directory(("1.2", 1), ("1.2", 2))[:size]

    (study,) = opened(path, Part(b"DICOMDIR", listing), Part(b"IM1", instance())).studies

    assert not study.trouble
    assert sum(one.count for one in study.findings) <= 1


def test_packed_content_is_clutter_like_plain_content(path: Path) -> None:
    contents = opened(path, Part(b"IM1.dcm", instance()), Part(b"a.txt", TEXT, packed=deflated(TEXT)))

    assert contents.clutter_kinds == {"text": 1}
