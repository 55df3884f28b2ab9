"""What a ZIP holds: studies, series and people, clutter, damage, and whether it may be sent as it is."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import struct
import subprocess
import sys
import zipfile
import zlib
from itertools import permutations
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.adapters.openings import open_zip, opened_by
from tests.adapters.zips import Part, deflated, descriptor, element, file_of, identity, instance, pixels, zip_of
from xnat_watchd.adapters.dicom import zip_file
from xnat_watchd.adapters.dicom.byte_source import PIECE
from xnat_watchd.adapters.dicom.inflating import ZLIB
from xnat_watchd.adapters.dicom.zip_file import is_whole
from xnat_watchd.core.delivery import Person, Series, Study, ZipContents
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.findings import FindingKind
from xnat_watchd.core.limits import Limits
from xnat_watchd.sandbox import samples
from xnat_watchd.sandbox.samples import AURELE, INGEBORG, THADDAEUS, XANTHIPPI, study, uid, write_zip


def unended(content: bytes, level: int = 6) -> bytes:
    """Deflate, but for the mark at the end."""
    engine = zlib.compressobj(level, zlib.DEFLATED, -15)
    return engine.compress(content) + engine.flush(zlib.Z_SYNC_FLUSH)


def lzma_of(content: bytes, dictionary: int) -> bytes:
    engine = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 2**16}])
    return struct.pack("<HHBL", 0x1409, 5, 0x5D, dictionary) + engine.compress(content) + engine.flush()


def on_disk_two(content: bytes) -> bytes:
    """Make the first member lie on another disk of a split ZIP."""
    at = content.index(b"PK\1\2") + 34
    return content[:at] + b"\2" + content[at + 1 :]


def with_checksum(content: bytes, crc: int, at: int) -> bytes:
    """Change four bytes at a place so that the content has this CRC-32, which is linear in them."""
    start = zlib.crc32(content)
    columns = [
        zlib.crc32(content[:at] + (1 << bit).to_bytes(4, "little") + content[at + 4 :]) ^ start for bit in range(32)
    ]
    rows = [(column, 1 << bit) for bit, column in enumerate(columns)]
    wanted, chosen = crc ^ start, 0
    for bit in range(32):
        pivot = next(row for row in rows if row[0] >> bit & 1)
        rows = [(c ^ pivot[0], k ^ pivot[1]) if c >> bit & 1 else (c, k) for c, k in rows if (c, k) != pivot]
        if wanted >> bit & 1:
            wanted, chosen = wanted ^ pivot[0], chosen ^ pivot[1]
    return content[:at] + chosen.to_bytes(4, "little") + content[at + 4 :]


NOT_PACKED = b"".join(  # deflate's own way of not packing: five bytes before each block, in all one piece of our reader
    struct.pack("<BHH", size == PIECE % 65540 - 5, size, 65535 - size) + bytes(size)
    for size in (65535, 65535, 65535, PIECE % 65540 - 5)
)
WHOLE_PIECE = zlib.decompress(NOT_PACKED, -15)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "export.zip"


def opened(path: Path, content: bytes) -> ZipContents:
    path.write_bytes(content)
    return open_zip(path, Limits())


def only(contents: ZipContents) -> Study:
    (found,) = contents.studies
    return found


def refused(path: Path, content: bytes) -> Unusable:
    path.write_bytes(content)
    with pytest.raises(Unusable) as caught:
        open_zip(path, Limits())
    return caught.value


# What is in it.


def test_a_zip_says_its_study_its_person_its_series_and_its_instances(path: Path) -> None:
    write_zip(path, study(1, modalities=("MR", "SR"), images=2))

    found = only(open_zip(path, Limits()))

    assert (found.uid, found.date, found.time, found.trouble) == (uid(1), "20240229", "101112.130000", "")
    assert found.person == Person(
        name=INGEBORG.name, id=INGEBORG.id, birth_date=INGEBORG.birth_date, age=INGEBORG.age, sex=INGEBORG.sex
    )
    assert found.series == (
        Series(uid(1, 1), "1", "MR", image=True),
        Series(uid(1, 2), "2", "SR", image=False),
    )
    assert [one.sop_uid for one in found.instances] == [uid(1, 1, 1), uid(1, 1, 2), uid(1, 2, 1), uid(1, 2, 2)]


def test_an_instance_is_known_by_size_checksum_and_place_in_the_directory(path: Path) -> None:
    members = study(1, images=2)
    write_zip(path, members)

    with zipfile.ZipFile(path) as archive:
        expected = [(info.file_size, info.CRC, number) for number, info in enumerate(archive.infolist())]

    instances = only(open_zip(path, Limits())).instances
    assert [(one.size, one.crc, one.member) for one in instances] == expected
    assert [one.digest for one in instances] == [hashlib.sha256(content).digest() for _, content in members]


def test_a_zip_is_known_by_the_digest_of_its_bytes(path: Path) -> None:
    contents = opened(path, zip_of([Part(b"a.dcm", instance())]))

    assert contents.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert contents.size == path.stat().st_size


def test_two_studies_in_a_zip_are_two(path: Path) -> None:
    write_zip(path, study(1) + study(2, patient=THADDAEUS))

    contents = open_zip(path, Limits())

    assert [(one.uid, one.person.id, len(one.instances)) for one in contents.studies] == [
        (uid(1), INGEBORG.id, 3),
        (uid(2), THADDAEUS.id, 3),
    ]


def test_names_and_extensions_of_members_mean_nothing(path: Path) -> None:
    names = [
        b"IM0001",
        b"x.jpg",
        b"../../etc/passwd",
        b"/abs.txt",
        b"C:\\x",
        b"sch\xff\xfen",
        b"new\nline",
        b"nul\0.dcm",
    ]
    contents = opened(path, zip_of(Part(name, instance(n), flags=0x800) for n, name in enumerate(names, 1)))

    assert [one.member for one in only(contents).instances] == list(range(len(names)))
    assert list(path.parent.iterdir()) == [path]


def test_text_is_read_in_the_character_set_of_its_instance(path: Path) -> None:
    write_zip(path, study(1, patient=XANTHIPPI) + study(2, patient=AURELE))

    assert [one.person.name for one in open_zip(path, Limits()).studies] == [XANTHIPPI.name, AURELE.name]


def test_a_person_is_what_the_first_instance_that_says_something_says(path: Path) -> None:
    nameless = instance(1, more=element(0x00100010, "PN", b""))
    named = instance(2, more=element(0x00100010, "PN", b"Doe^Jane ") + element(0x00100030, "DA", b"19700101"))

    person = only(opened(path, zip_of([Part(b"1", nameless), Part(b"2", named)]))).person

    assert (person.name, person.birth_date, person.sex) == ("Doe^Jane", "19700101", "")


def test_very_long_values_are_cut(path: Path) -> None:
    endless = element(0x00100020, "UT", b"9" * 70_000)

    assert only(opened(path, zip_of([Part(b"1", instance(more=endless))]))).person.id == "9" * 1024


@pytest.mark.parametrize(
    ("modality", "sop_class", "image"),
    [
        ("MR", "1.2.840.10008.5.1.4.1.1.4", True),
        ("OT", "1.2.840.10008.5.1.4.1.1.7", True),  # a secondary capture is something to look at
        ("SR", "1.2.840.10008.5.1.4.1.1.88.22", False),
        ("RTDOSE", "1.2.840.10008.5.1.4.1.1.481.2", False),
        ("MR", "1.2.840.10008.5.1.4.1.1.66", False),  # raw data come as MR
        ("MR", "1.3.12.2.1107.5.9.1", False),  # and so does what Siemens calls "CSA non-image"
        ("CT", "1.2.840.10008.5.1.4.1.1.88.67", False),  # and the dose report of some CTs
    ],
)
def test_a_series_is_of_images_unless_modality_or_class_say_otherwise(
    path: Path, *, modality: str, sop_class: str, image: bool
) -> None:
    def change(data_set: Dataset) -> None:
        data_set.SOPClassUID = sop_class

    write_zip(path, study(1, modalities=(modality,), change=change))

    assert [one.image for one in only(open_zip(path, Limits())).series] == [image]


def test_one_image_makes_a_series_one_of_images(path: Path) -> None:
    def change(data_set: Dataset) -> None:
        if data_set.InstanceNumber != 2:
            data_set.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66"

    write_zip(path, study(1, change=change))

    assert [one.image for one in only(open_zip(path, Limits())).series] == [True]


# Clutter.


def test_what_is_no_dicom_is_counted_as_clutter_and_folders_are_nothing(path: Path) -> None:
    folders = [("empty/", b""), ("empty/too/", b"")]
    write_zip(path, samples.clutter() + folders + study(1))

    contents = open_zip(path, Limits())

    assert contents.clutter == len(samples.clutter())
    assert len(only(contents).instances) == 3
    assert not only(contents).trouble


def test_a_zip_of_no_images_beside_images_is_clutter(path: Path) -> None:
    contents = opened(path, zip_of([Part(b"a.zip", zip_of([Part(b"x.txt", b"y")])), Part(b"1", instance())]))

    assert (contents.clutter, len(only(contents).instances)) == (1, 1)


# Damage.


def test_an_image_that_is_cut_short_holds_its_study_and_is_counted(path: Path) -> None:
    parts = [Part(str(n).encode(), instance(n)) for n in range(1, 5)]
    parts.append(Part(b"5", file_of(identity(sop="1.2.3.5") + pixels(length=4096))))

    found = only(opened(path, zip_of(parts)))

    assert found.trouble == "1 of 5 images is damaged (cut short)"
    assert len(found.instances) == 4


def test_damage_stays_with_the_study_that_it_is_in(path: Path) -> None:
    good, bad = Part(b"1", instance(1)), Part(b"2", instance(2, study="9.9"), crc=1)
    more = Part(b"3", instance(3, study="9.9"))

    studies = opened(path, zip_of([good, bad, more])).studies

    assert [(one.uid, one.trouble) for one in studies] == [
        ("1.2", ""),
        ("9.9", "1 of 2 images is damaged (wrong checksum)"),
    ]


def test_a_study_of_damaged_images_only_is_still_told(path: Path) -> None:
    broken = file_of(identity(study="9.9") + pixels(length=4096))

    studies = opened(path, zip_of([Part(b"1", instance()), Part(b"2", broken)])).studies

    assert [(one.uid, len(one.instances), one.trouble) for one in studies] == [
        ("1.2", 1, ""),
        ("9.9", 0, "1 of 1 image is damaged (cut short)"),
    ]


def test_a_uid_that_only_a_member_with_a_wrong_checksum_has_is_not_believed(path: Path) -> None:
    lonely = Part(b"2", instance(2, study="9.9"), crc=1)

    (found,) = opened(path, zip_of([Part(b"1", instance()), lonely])).studies

    assert (found.uid, found.trouble) == ("1.2", "1 image is damaged beyond telling the study (wrong checksum)")


@pytest.mark.parametrize(
    ("data_set", "problem"),
    [
        (identity(study=""), "no study UID"),
        (identity(study="../../tmp/x"), "invalid study UID"),
        (identity(study="1." + "2" * 127), "study UID of 129 characters"),
        (identity(study=".."), "invalid study UID"),
        (identity(study="٣.٤"), "invalid study UID"),
        (identity(study="", sop=""), "no instance UID"),
    ],
)
@pytest.mark.parametrize("others", [["1.2"], ["1.2", "9.9"]])
def test_what_names_no_study_is_trouble_of_its_own_and_of_no_other(
    path: Path, data_set: bytes, problem: str, others: list[str]
) -> None:
    sound = [Part(b"%d" % n, instance(n, study=uid)) for n, uid in enumerate(others)]

    contents = opened(path, zip_of([*sound, Part(b"x", file_of(data_set + pixels()))]))

    assert [one.trouble for one in contents.studies] == ["" for _ in others] + [f"1 image is of no study ({problem})"]
    assert (contents.studies[-1].uid, len(contents.studies[-1].instances)) == ("", 0)
    assert not contents.as_it_is


def test_what_is_damaged_beyond_telling_holds_the_only_study_and_none_of_several(path: Path) -> None:
    stray = Part(b"x", bytes(128) + b"DICM")
    trouble = "1 image is damaged beyond telling the study (cut short)"

    assert only(opened(path, zip_of([Part(b"1", instance(1)), stray]))).trouble == trouble

    two = [Part(b"1", instance(1)), Part(b"2", instance(2, study="9.9"))]
    studies = opened(path, zip_of([*two, stray])).studies
    assert [(one.uid, one.trouble) for one in studies] == [("1.2", ""), ("9.9", ""), ("", trouble)]


def test_a_zip_in_which_nothing_names_a_study_is_unusable(path: Path) -> None:
    nameless = [Part(b"%d" % n, file_of(identity(study="", sop=f"1.{n}") + pixels())) for n in (1, 2)]

    assert str(refused(path, zip_of(nameless))) == "every image in the ZIP is damaged (no study UID)"


@pytest.mark.parametrize(
    ("uids", "problem"),
    [
        ({"sop": ""}, "no instance UID"),
        ({"sop": "/abs/x"}, "invalid instance UID"),
        ({"series": ""}, "no series UID"),
        ({"series": "not a uid"}, "invalid series UID"),
    ],
)
def test_an_image_that_xnat_could_not_place_is_damaged(path: Path, uids: dict[str, str], problem: str) -> None:
    bad = file_of(identity(**uids) + pixels())

    found = only(opened(path, zip_of([Part(b"1", instance()), Part(b"2", bad)])))

    assert found.trouble == f"1 of 2 images is damaged ({problem})"


@pytest.mark.parametrize(
    "part",
    [
        Part(b"2", b"text", crc=1),
        Part(b"2", b"text", size=5),
        Part(b"2", b"longer text", size=4),
        Part(b"2", b"text", packed=b"\xff\xff\xff"),
        Part(b"2", b"text", method=12, packed=b"BZh9 this is not bzip2"),
        Part(b"2", b"text", method=14, packed=b"\x09\x14\x05\0\x5d\0\0\x10\0\xff\xff\xff"),
        Part(b"2", b"text", method=14, packed=b"\x09\x14\x05\0\x5d\xff\xff\xff\xff\0\0\0"),  # a dictionary of 4 GiB
        Part(b"2", b"text", packed=b""),
        Part(b"2", b"text", method=0, packed=b"text and more"),
        Part(b"2", b"text", packed=deflated(b"text") + b"more"),
        Part(b"2", WHOLE_PIECE, packed=NOT_PACKED + b"more"),
        Part(b"2", b"text", packed=unended(b"text")),
        Part(b"2", b"text", method=14, packed=lzma_of(b"text", dictionary=2**27)),
    ],
)
def test_nobody_knows_whether_it_was_an_image_when_its_bytes_are_wrong(path: Path, part: Part) -> None:
    found = only(opened(path, zip_of([Part(b"1", instance()), part])))

    assert found.trouble.startswith("1 image is damaged beyond telling the study (")


def test_a_zip_of_damaged_images_only_is_unusable_and_names_members_in_the_detail_only(path: Path) -> None:
    error = refused(path, zip_of([Part(b"Secret^Name.dcm", instance(), crc=1)]))

    assert str(error) == "every image in the ZIP is damaged (wrong checksum)"
    assert "Secret^Name" in error.detail


@pytest.mark.parametrize("one", ["1.2." + "3" * 63, "1.2.3.abc", "urn-1.2_3", "1.02.3"])
def test_uids_that_are_long_or_have_letters_are_taken_as_they_are(path: Path, one: str) -> None:
    content = file_of(identity(study=one, series=f"{one}.1", sop=f"{one}.1.1") + pixels())

    (study,) = opened(path, zip_of([Part(b"1", content)])).studies

    assert (study.uid, study.trouble) == (one, "")
    assert [(i.series_uid, i.sop_uid) for i in study.instances] == [(f"{one}.1", f"{one}.1.1")]


# Two of something.


def test_an_identical_copy_is_dropped_and_the_first_is_kept(path: Path) -> None:
    contents = opened(path, zip_of([Part(b"a", instance()), Part(b"copy/b", instance())]))

    assert [one.member for one in only(contents).instances] == [0]
    assert (only(contents).trouble, contents.as_it_is) == ("", False)


def test_one_uid_with_two_contents_holds_the_study(path: Path) -> None:
    other = instance(more=element(0x00200013, "IS", b"7 "))

    found = only(opened(path, zip_of([Part(b"a", instance()), Part(b"b", other)])))

    assert found.trouble == "1 image UID with two different contents"
    assert [(one.kind, one.count, one.members) for one in found.findings] == [(FindingKind.TWO_CONTENTS, 1, ("a", "b"))]


def test_neither_of_two_contents_of_one_uid_is_an_instance_and_the_others_are(path: Path) -> None:
    other = instance(more=element(0x00200013, "IS", b"7 "))

    found = only(opened(path, zip_of(Part(b"%d" % n, one) for n, one in enumerate([instance(), instance(2), other]))))

    assert [one.sop_uid for one in found.instances] == ["1.2.3.2"]


def test_equal_contents_are_told_by_their_digest_and_not_by_size_and_checksum(path: Path) -> None:
    first = instance(more=element(0x00291010, "OB", b"first   " + bytes(8)))
    other = with_checksum(first.replace(b"first   ", b"second  "), zlib.crc32(first), first.index(b"first   ") + 8)
    assert (len(first), zlib.crc32(first)) == (len(other), zlib.crc32(other))

    found = only(opened(path, zip_of([Part(b"a", first), Part(b"b", other)])))

    assert found.trouble == "1 image UID with two different contents"


@pytest.mark.parametrize(
    ("first", "second", "trouble"),
    [
        (("Doe^Jane", "1"), ("Doe^Jane", "2"), "two patients in one study"),
        (("Doe^Jane", "1"), ("Roe^Jane", "1"), "two patients in one study"),
        (("Doe^Jane", "1"), ("DOE^JANE^^", "1"), ""),
        (("Doe^Jane", "1"), ("", ""), ""),
        (("Doe^Jane", "a1"), ("Doe^Jane", "A1"), "two patients in one study"),
        (("Phantom, Four D", "1"), ("PHANTOM^FOUR D^^", "1"), ""),
        (("Yamada^Tarou=山田^太郎=やまだ^たろう", "1"), ("Yamada^Tarou", "1"), ""),
        (("Yamada^Tarou=山田^太郎", "1"), ("Yamada^Tarou=山本^太郎", "1"), "two patients in one study"),
    ],
)
def test_two_people_in_one_study_hold_it(
    path: Path, first: tuple[str, str], second: tuple[str, str], trouble: str
) -> None:
    parts = [Part(b"1", instance(1, more=person(*first))), Part(b"2", instance(2, more=person(*second)))]

    assert only(opened(path, zip_of(parts))).trouble == trouble


def person(name: str, patient: str) -> bytes:
    charset = element(0x00080005, "CS", b"ISO_IR 192")
    return charset + element(0x00100010, "PN", name.encode()) + element(0x00100020, "LO", patient.encode())


@pytest.mark.parametrize("order", list(permutations(["Yamada^T", "Yamada^T=山田", "Yamada^T=山本"])))
def test_a_short_spelling_joins_no_two_people_whichever_comes_first(path: Path, order: tuple[str, ...]) -> None:
    parts = [Part(b"%d" % n, instance(n, more=person(name, "1"))) for n, name in enumerate(order, 1)]

    found = only(opened(path, zip_of(parts)))

    assert found.trouble == "two patients in one study"
    assert found.person.name == order[0]


def test_several_troubles_are_told_in_one_sentence(path: Path) -> None:
    parts = [
        Part(b"1", instance(1, more=element(0x00100020, "LO", b"11"))),
        Part(b"2", instance(2, more=element(0x00100020, "LO", b"22"))),
        Part(b"3", instance(2, more=element(0x00100020, "LO", b"11"))),
        Part(b"4", file_of(identity(sop=""))),
        Part(b"5", file_of(identity(sop="1.2.3.5") + pixels(length=999))),
        Part(b"6", file_of(identity(sop="1.2.3.6") + pixels(length=999))),
    ]

    assert only(opened(path, zip_of(parts))).trouble == (
        "3 of 5 images are damaged (cut short, no instance UID); "
        "two patients in one study; 1 image UID with two different contents"
    )


# Of no use.


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"hello", "the file is not a ZIP"),
        (b"Rar!\x1a\7\1\0" + bytes(99), "the file is a RAR archive, not a ZIP"),
        (bytes(128) + b"DICM" + bytes(99), "the file is a single DICOM image, not a ZIP"),
        (zip_of([Part(b"1", instance())])[:-30], "the ZIP is not complete: the directory at its end is missing"),
        (
            zip_of([Part(b"1", instance())]) + bytes(65537),
            "the ZIP is not complete: the directory at its end is missing",
        ),
        (zip_of([]), "the ZIP is empty"),
        (zip_of([Part(b"a/", b""), Part(b"a/b/", b"")]), "there are only empty folders in the ZIP"),
        (zip_of([Part(b"a.dcm", b"no DICOM" * 99)]), "there is no DICOM image in the ZIP"),
        (zip_of([Part(b"DICOMDIR", samples.dicomdir())]), "there is no DICOM image in the ZIP"),
        (
            zip_of([Part(b"readme", b"see inside"), Part(b"a.zip", zip_of([Part(b"1", instance())]))]),
            "there are only archives in the ZIP, and no image beside them",
        ),
        (zip_of([Part(b"1", instance(), flags=1)]), "the ZIP is encrypted"),
        (zip_of([Part(b"1", instance(), flags=0x41)]), "the ZIP is encrypted"),
        (zip_of([Part(b"1", instance(), method=99)]), "the ZIP is encrypted"),
        (zip_of([Part(b"1", instance(), method=9)]), "the ZIP is compressed in a way that is not supported"),
        (zip_of([Part(b"1", instance())], disk=2), "this is one part of a split ZIP"),
        (on_disk_two(zip_of([Part(b"1", instance())])), "this is one part of a split ZIP"),
        (b"PK\7\x08" + zip_of([Part(b"1", instance())])[:-30], "this is one part of a split ZIP"),
    ],
)
def test_what_no_study_can_come_of_is_refused_in_one_sentence(path: Path, content: bytes, sentence: str) -> None:
    error = refused(path, content)

    assert str(error) == sentence
    assert error.advice


@pytest.mark.parametrize("mark", [b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"BZh9", b"%PDF-1.7"])
def test_a_foreign_archive_is_called_by_its_name(path: Path, mark: bytes) -> None:
    assert str(refused(path, mark + bytes(200))).endswith(", not a ZIP")
    assert str(refused(path, mark + bytes(200))) != "the file is not a ZIP"


# As it is.


def test_a_plain_zip_of_one_study_may_be_sent_as_it_is(path: Path) -> None:
    write_zip(path, [("A/", b""), *study(1, modalities=("MR", "CT"))])

    assert open_zip(path, Limits()).as_it_is


@pytest.mark.parametrize("mark", [True, False])
def test_deflated_members_that_were_written_as_a_stream_may_be_sent_as_they_are(path: Path, *, mark: bool) -> None:
    one, two = instance(1), instance(2)
    parts = [
        Part(b"1", one, flags=8, descriptor=descriptor(one, mark=mark)),
        Part(b"2", two, flags=8, descriptor=descriptor(two, mark=mark)),
    ]

    assert opened(path, zip_of(parts)).as_it_is


@pytest.mark.parametrize(
    "content",
    [
        zip_of([Part(b"1", instance(1)), Part(b"readme", b"hello")]),
        zip_of([Part(b"1", instance(1)), Part(b"2", instance(2, study="9.9"))]),
        zip_of([Part(b"1", instance(1)), Part(b"2", instance(2), crc=1)]),
        zip_of([Part(b"1", instance(1), method=0, flags=8, descriptor=descriptor(instance(1), method=0))]),
        zip_of([Part(b"1", instance(1), flags=8, descriptor=b"PK\7\x08" + bytes(12))]),
        zip_of([Part(b"1", instance(1), flags=8, descriptor=b"")]),
        zip_of([Part(b"1", instance(1), method=12, packed=bz2.compress(instance(1)))]),
        zip_of([Part(b"A/IM1", instance(1)), Part(b"B/im1", instance(2))]),
        zip_of([Part(b"A\\IM1", instance(1))]),
        zip_of([Part("é".encode(), instance(1), flags=0x800)]),
        zip_of([Part(b"a\nb", instance(1))]),
        zip_of([Part(b"../1", instance(1))]),
        zip_of([Part(b"/1", instance(1))]),
        zip_of([Part(b"a//1", instance(1))]),
        zip_of([Part(b"a/", instance(1))]),
        zip_of([Part(b"x" * 201, instance(1))]),
        zip_of([Part(b"1.tar", instance(1))]),
        zip_of([Part(b"1", instance(1))], before=b"MZ" + bytes(98)),
        zip_of([Part(b"1", instance(1)), Part(b"2", instance(2), gap=b"once a member")]),
        zip_of([Part(b"1", instance(1))], behind=b"PK\3\4 once a member"),
        zip_of([Part(b"1", instance(1), local_name=b"2")]),
        zip_of([Part(b"1", instance(1), flags=0x20)]),
    ],
    ids=[
        *("clutter", "two studies", "trouble", "stored with descriptor", "wrong descriptor", "no descriptor", "bzip2"),
        *("same last name", "backslash", "beyond ASCII", "control character", "climbs", "absolute", "empty part"),
        *(
            "folder with content",
            "long name",
            "archive name",
            "leading stub",
            "gap",
            "gap behind",
            "two names",
            "patched data",
        ),
    ],
)
def test_what_xnat_might_read_otherwise_is_not_sent_as_it_is(path: Path, content: bytes) -> None:
    contents = opened(path, content)

    assert contents.studies
    assert not contents.as_it_is


# While it is at work.


TAILS = [b"\0", bytes(5), bytes(65536), b"\r\n", b"<html>504 Gateway Time-out</html>", b"PK\5\6", b"PK\5\6" + bytes(30)]


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("comment", [b"", b"exported by us"])
def test_what_stands_behind_the_end_is_passed_over_and_not_sent(path: Path, tail: bytes, comment: bytes) -> None:
    contents = opened(path, zip_of([Part(b"1", instance())], comment=comment) + tail)

    assert is_whole(path)
    assert (len(only(contents).instances), only(contents).trouble, contents.as_it_is) == (1, "", False)


def test_a_copy_that_has_come_just_past_the_end_of_a_zip_inside_is_not_whole(path: Path) -> None:
    inner = zip_of([Part(b"1", instance())])
    content = zip_of([Part(b"a.zip", inner, method=0), Part(b"b", bytes(99_999), method=0)])
    start = content.index(inner) + len(inner)

    for size in range(start + 1, start + 60_000, 5000):
        path.write_bytes(content[:size])
        assert not is_whole(path)


def test_an_empty_zip_is_not_whole_yet(path: Path) -> None:
    path.write_bytes(zip_of([]))
    assert not is_whole(path)

    path.write_bytes(zip_of([Part(b"1", instance())]))
    assert is_whole(path)


def test_whole_is_what_has_its_directory(path: Path) -> None:
    content = zip_of([Part(b"1", instance())])
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        assert is_whole(path) == (size == len(content))


def test_a_zip_with_a_comment_is_whole_only_with_all_of_it(path: Path) -> None:
    path.write_bytes(zip_of([Part(b"1", instance())], comment=b"exported by PK\5\6" + bytes(30)))
    assert is_whole(path)

    path.write_bytes(path.read_bytes()[:-1])
    assert not is_whole(path)


def test_a_file_that_cannot_be_opened_is_neither_whole_nor_unfinished(path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        is_whole(path)


def test_a_heart_beats_every_few_mebibytes_of_both_passes(path: Path) -> None:
    beats: list[None] = []
    path.write_bytes(zip_of([Part(b"1", instance(size=64 * 2**20), method=0)]))

    with opened_by(ZLIB, 0):  # several threads beat by the clock
        (found,) = zip_file.open_zip(path, Limits(), lambda: beats.append(None)).studies
        opening = len(beats)
        zip_file.write_clean(path, found.instances, path.with_suffix(".clean"), lambda: beats.append(None))
    writing = len(beats) - opening  # reads the ZIP once, where opening reads it and digests it

    assert writing >= 64 / 4
    assert opening - writing >= 64 / 4


def test_neither_pydicom_nor_a_client_is_loaded_for_it() -> None:
    code = "import sys, xnat_watchd.adapters.dicom.zip_file; print({'pydicom', 'requests', 'xnat'} & set(sys.modules))"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - ours

    assert found.stdout == "set()\n"


def test_memory_stays_small_whatever_the_size_of_an_image(path: Path) -> None:
    head = file_of(identity() + pixels(0, length=200 * 2**20))
    _write_sparse(path, head, 200 * 2**20)
    code = (
        "import sys; from pathlib import Path;"
        "from xnat_watchd.adapters.dicom.zip_file import open_zip, write_clean;"
        "from xnat_watchd.core.limits import Limits;"
        "path = Path(sys.argv[1]); study, = open_zip(path, Limits()).studies;"
        "write_clean(path, study.instances, path.with_suffix('.clean'));"
        "print(len(study.instances), study.trouble, Path('/proc/self/status').read_text())"
    )

    found = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)  # noqa: S603 - ours

    assert found.stdout.split()[0] == "1"
    assert int(found.stdout.partition("VmHWM:")[2].split()[0]) < 60 * 1024


def _write_sparse(path: Path, head: bytes, hole: int) -> None:
    """Write a ZIP of one stored member: `head` and a hole of zeros behind it, which takes no room on the disk."""
    with path.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("1.dcm")
        archive.writestr(info, head)
        file.flush()
        info.file_size = info.compress_size = len(head) + hole
        info.CRC = _crc_with_zeros(info.CRC, hole)
        file.seek(0)
        file.write(info.FileHeader(zip64=False))
        file.seek(len(head) + hole, 1)
        archive.start_dir = file.tell()


def _crc_with_zeros(crc: int, count: int) -> int:
    from zlib import crc32

    piece = bytes(2**20)
    for _ in range(count // len(piece)):
        crc = crc32(piece, crc)
    return crc
