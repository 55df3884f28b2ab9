"""All 52 bad and odd files of the shared set, dropped at once with a good one: what becomes of each, through to XNAT.

The service is a process of its own, so that its memory can be told from everybody else's.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import instance, sop_uid, study_uid
from tests.once import once
from tests.services.desk import Desk, film, states, whole
from tests.shared import shared
from tests.station import Station, zipped
from xnat_watchd.core.errors import Impossible
from xnat_watchd.core.limits import Limits
from xnat_watchd.sandbox import Sandbox

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = shared("bad")
MEMORY, SECONDS = 200 * 1024, 5.0  #: KiB for the whole process, seconds of processor time for one file

ours = pytest.mark.skipif(not FOLDER.is_dir(), reason="the bad ZIPs are not beside this repository")


@dataclass(frozen=True)
class Rejected:
    """It lies in failed, with this reason beside it; nothing of it was sent."""

    why: str


@dataclass(frozen=True)
class Held:
    """Its study is held for this reason before anything is sent; `studies` when there are several."""

    why: str
    studies: int = 1


@dataclass(frozen=True)
class Complete:
    """So many images of it are in XNAT's archive."""

    images: int


@dataclass(frozen=True)
class Beside:
    """So many images are in XNAT's archive, and so much is held beside them; for what reason the last of it."""

    images: int
    why: str
    held: int = 1


CUT, NESTED = "the ZIP is not complete: the directory at its end is missing", "there are only archives in the ZIP, and no image beside them"  # fmt: skip  # noqa: E501
STRAY = "damaged beyond telling the study"
#: As `manifest.csv` proposes. Where it leaves a choice between a part and nothing, nothing is sent until a person has
#: decided: an export that was cut short looks just like that, and what is missing afterwards is missed by nobody.
OUTCOMES: dict[str, Rejected | Held | Complete | Beside] = {
    "b01_empty_file.zip": Rejected("the file is empty"),
    "b02_truncated.zip": Rejected(CUT),
    "b03_wrong_crc_one_member.zip": Held("1 of 4 images is damaged (wrong checksum)"),
    "b04_text_renamed.zip": Rejected("the file is not a ZIP"),
    "b05_encrypted_zipcrypto.zip": Rejected("the ZIP is encrypted"),
    "b06_encrypted_aes.zip": Rejected("the ZIP is encrypted"),
    # By content: no name of it becomes a path. Beside the images lies one byte of which nobody knows what it was.
    "b07_path_traversal.zip": Held("1 file may be an image that cannot be read (no DICOM)"),
    "b08_absolute_paths.zip": Complete(5),
    "b09_symlinks.zip": Held("1 file may be an image that cannot be read (named like an image)"),
    "b10_zip_bomb_5GB.zip": Rejected("the ZIP unpacks to far more than images would"),
    "b11_overlap_bomb.zip": Rejected("the files in the ZIP overlap"),
    "b12_size_lie.zip": Rejected("every image in the ZIP is damaged (larger than the ZIP says)"),
    "b13_nested_zip.zip": Rejected(NESTED),
    "b14_nested_6_levels.zip": Rejected(NESTED),
    "b15_no_dicom.zip": Rejected("there is no DICOM image in the ZIP"),
    "b16_empty_archive.zip": Rejected("the ZIP is empty"),
    "b17_only_directories.zip": Rejected("there are only empty folders in the ZIP"),
    "b18_only_DICOMDIR.zip": Rejected("there is no DICOM image in the ZIP"),
    "b19_one_truncated_dicom.zip": Held("1 of 5 images is damaged (cut short)"),
    "b20_pixel_data_cut.zip": Held("1 of 5 images is damaged (cut short)"),
    "b21_pixel_data_short_valid.zip": Complete(5),
    "b22_zero_byte_members.zip": Held("2 files may be images that cannot be read (empty)"),
    "b23_preamble_only.zip": Held(f"1 image is {STRAY} (cut short)"),
    "b24_parser_stress.zip": Held(
        f"1 of 4 images is damaged (nested too deeply); 2 images are {STRAY} (cut short, no transfer syntax)"
    ),
    "b25_no_StudyInstanceUID.zip": Rejected("every image in the ZIP is damaged (no study UID)"),
    "b26_empty_StudyInstanceUID.zip": Beside(1, "2 images are of no study (no study UID)"),
    # Subjects are named by PatientName here; PatientID is taken only where the template says so.
    "b27_no_PatientName.zip": Held("the PatientName has no letter or digit to name a subject by"),
    "b28_no_patient_at_all.zip": Held("the PatientName has no letter or digit to name a subject by"),
    "b29_no_SOPInstanceUID.zip": Held("1 of 3 images is damaged (no instance UID)"),
    "b30_no_modality_no_date.zip": Held("the study date is missing or not a date"),
    "b31_impossible_dates.zip": Held("the study date is missing or not a date"),
    "b32_mixed_patient_one_study.zip": Held("two patients in one study"),
    "b33_same_SOP_other_bytes.zip": Held("1 image UID with two different contents"),
    # Two of its 14 images have a path or 202 characters for a study UID: no study that is good lacks them.
    "b34_hostile_values.zip": Beside(
        7, "2 images are of no study (invalid study UID, study UID of 202 characters)", held=6
    ),
    "b35_duplicate_names.zip": Complete(3),
    "b36_case_collision.zip": Complete(7),
    "b37_odd_member_names.zip": Complete(13),
    "b38_invalid_utf8_name.zip": Complete(2),
    "b39_long_and_deep_names.zip": Complete(3),
    "b40_lzma_bzip2.zip": Complete(3),
    "b41_unknown_method.zip": Rejected("the ZIP is compressed in a way that is not supported"),
    "b42_leading_garbage_sfx.zip": Complete(3),
    "b43_trailing_garbage.zip": Rejected(CUT),
    "b44_split_first_part.zip": Rejected("this is one part of a split ZIP"),
    "b45_targz_renamed.zip": Rejected("the file is a gzip archive, not a ZIP"),
    "b46_rar_renamed.zip": Rejected("the file is a RAR archive, not a ZIP"),
    "b47_7z_renamed.zip": Rejected("the file is a 7z archive, not a ZIP"),
    "b48_bare_dicom_renamed.zip": Rejected("the file is a single DICOM image, not a ZIP"),
    "b49_100k_tiny_members.zip": Rejected("there is no DICOM image in the ZIP"),
    "b50_3_dicom_in_20k_files.zip": Complete(3),
    "b52_dicom_deflated_bomb.zip": Rejected("an image in the ZIP unpacks to far more than an image would"),
    "good.zip": Complete(2),
}


@dataclass(frozen=True)
class Life:
    """What the service told at its end, and what XNAT holds."""

    told: dict[str, Any]
    stored: list[tuple[str, str]]  #: where, SOP instance
    outside: list[str]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    told, stored, outside = once(tmp_path_factory, "bad", lived)
    return Life(told, [(where, sop_uid) for where, sop_uid in stored], outside)


def lived(root: Path) -> list[Any]:
    """Let a service meet every bad ZIP. Return what `Life` holds."""
    with Sandbox(root / "xnat", users={"tech": "secret"}, projects=["P1"]) as xnat:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "tests.services.bad_life", root / "watchd", xnat.url, FOLDER],
            cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        stored = [(one.where, one.sop_uid) for one in xnat.instances()]
    return [json.loads(done.stdout), stored, sorted(one.name for one in root.iterdir())]


def outcome(one: dict[str, Any]) -> Rejected | Held | Complete | Beside:
    if one["state"] == "rejected":
        return Rejected(one["why"])
    if one["state"] == "finished":
        assert set(one["studies"]) == {"complete, done: "}
        return Complete(sum(one["instances"]))
    done = [n for n, study in zip(one["instances"], one["studies"], strict=True) if study == "complete, done: "]
    if done:
        why = one["studies"][-1].removeprefix("received, held: ")
        return Beside(sum(done), why, len(one["studies"]) - len(done))
    held = Counter(part for study in one["studies"] for part in study.removeprefix("received, held: ").split(" | "))
    return Held(held.most_common(1)[0][0], len(one["studies"]))


@ours
def test_the_table_names_every_file() -> None:
    with (FOLDER / "manifest.csv").open(newline="", encoding="utf-8") as file:
        files = {row["file"] for row in csv.DictReader(file)}
    assert files - OUTCOMES.keys() == {"b51_upload_in_progress.zip.part"}  # never touched
    assert len(files) == 52


@ours
@pytest.mark.parametrize("name", OUTCOMES)
def test_each_ends_as_the_table_says_in_bounded_time(life: Life, name: str) -> None:
    one = life.told["deliveries"][name]
    assert outcome(one) == OUTCOMES[name]
    assert one["seconds"] < SECONDS


@ours
def test_an_upload_under_a_temporary_name_is_not_touched_and_counted(life: Life) -> None:
    assert life.told["ignored"] == [
        {"name": "b51_upload_in_progress.zip.part", "why": "a temporary name", "advice": ""}
    ]
    assert "drop/b51_upload_in_progress.zip.part" in life.told["files"]


@ours
def test_the_good_study_beside_them_and_every_sound_one_arrives_exactly_once(life: Life) -> None:
    expected = sum(one.images for one in OUTCOMES.values() if isinstance(one, Complete | Beside))
    twice = 1  # b38 holds an image of b37
    assert {where for where, _ in life.stored} == {"archive"}
    assert len(life.stored) == len(set(life.stored)) == expected - twice
    assert {sop for _, sop in life.stored} >= set(whole(7))


@ours
def test_the_memory_of_the_whole_service_is_bounded(life: Life) -> None:
    assert life.told["memory"] < MEMORY


@ours
def test_no_name_from_a_zip_touches_the_disk(life: Life) -> None:
    dropped = {*OUTCOMES, "b51_upload_in_progress.zip.part"}
    for path in life.told["files"]:
        name = path.rpartition("/")[2].removesuffix(".txt")
        assert name in dropped or name.partition("_")[2] in dropped or path.startswith("work/"), path
        assert (
            not path.startswith("work/")
            or path.removeprefix("work/").removesuffix(".zip").replace(".", "", 1).isdigit()
        )
    assert life.outside == ["watchd", "xnat"]
    assert not Path("/tmp/xnat_evil.dcm").exists()  # noqa: S108 - where two of them would like to write


# -- without the shared set --------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.close()


def test_a_good_study_beside_a_damaged_one_in_one_zip_arrives(desk: Desk) -> None:
    station = desk.station()
    station.drop("cd.zip", zipped([
        ("1.dcm", instance(1, 1, 1, time="100130")), ("2.dcm", instance(1, 1, 2, time="100130")),
        ("3.dcm", instance(2, 1, 1, time="100230")[:-100]), ("4.dcm", instance(2, 1, 2, time="100230")),
    ]))  # fmt: skip
    station.take_in()
    station.work()
    assert desk.archived() == whole(1)
    assert station.why("1.2") == "1 of 2 images is damaged (cut short)"


def skips(station: Station, key: int) -> None:
    station.ledger.decisions.skip(key, "nobody knows whose they are", station.time.now())


def accepts(station: Station, key: int) -> None:
    station.ledger.decisions.accept(key, "nobody knows whose they are", "ada", station.time.now())


@pytest.mark.parametrize("end", [skips, accepts])
def test_what_is_of_no_study_is_held_by_itself_and_ends_only_when_a_person_decides(
    desk: Desk, end: Callable[[Station, int], None]
) -> None:
    station = desk.station()
    nameless = instance(2).replace(study_uid(2).encode() + b"\0", b"/" * len(study_uid(2)) + b"\0")
    station.drop("cd.zip", zipped([
        ("1.dcm", instance(1, 1, 1, time="100130")), ("2.dcm", instance(1, 1, 2, time="100130")), ("3.dcm", nameless),
    ]))  # fmt: skip
    station.take_in()
    station.work()
    assert desk.archived() == whole(1)
    (key,) = station.ledger.views.held().values()
    with pytest.raises(Impossible):
        station.ledger.decisions.retry(key, station.time.now())
    station.work()
    (row,) = station.ledger.views.attention()
    assert (row["item"], row["why"]) == (
        "1.2",
        "1 image is of no study (invalid study UID)",
    )
    assert "`xnat-watchd accept 1.2 --why TEXT`" in row["advice"]
    assert station.files() == ["work/1.1.zip", "work/1.zip"]
    end(station, key)
    station.work()
    assert station.files() == ["done/skipped/1_cd.zip"]
    assert desk.archived() == whole(1)


JPEG_LOSSLESS = b"1.2.840.10008.1.2.4.70"
FRAME = bytes.fromhex("feff00e000000000feff00e008000000") + b"\xff\xd8\1\2\3\4\xff\xd9"


def in_frames(content: bytes, tail: bytes = b"") -> bytes:
    """Return an image with its pixels in one fragment, without a delimiter after it."""
    head = content[: content.index(bytes.fromhex("e07f1000"))]
    said = b"1.2.840.10008.1.2.1\0"
    packed = head.replace(said, JPEG_LOSSLESS).replace(b"UI\x14\0" + JPEG_LOSSLESS, b"UI\x16\0" + JPEG_LOSSLESS)
    return packed + bytes.fromhex("e07f10004f420000ffffffff") + FRAME + tail


LETTERS = sop_uid(1, 1, 1)[:-1].encode() + b"a"
ODD: dict[str, Callable[[bytes], bytes]] = {
    "frames without their delimiter": in_frames,
    "zeros for the delimiter": lambda content: in_frames(content, bytes(8)),
    "a delimiter that ends nothing": lambda content: content.replace(
        b"\x20\0\x0d\0", bytes.fromhex("feffdde000000000") + b"\x20\0\x0d\0", 1
    ),
    "line end behind the last element": lambda content: content[: content.index(b"\x28\0")] + b"\r\n",
    "UIDs with letters": lambda content: content.replace(
        sop_uid(1, 1, 1).encode(), sop_uid(1, 1, 1)[:-1].encode() + b"a"
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom warns, with which these tests see what has arrived
@pytest.mark.parametrize("how", ODD)
def test_what_every_reader_passes_over_is_sent_and_arrives(desk: Desk, how: str) -> None:
    station = desk.station()
    station.drop("odd.zip", zipped([("1.dcm", ODD[how](instance())), ("2.dcm", instance(1, 1, 2))]))
    station.take_in()
    station.work()
    assert (desk.archived().total(), station.ledger.views.held()) == (2, {})


def test_of_a_study_that_is_held_damaged_a_new_export_goes_on_as_its_advice_says(desk: Desk) -> None:
    station = desk.station()
    station.drop("cut.zip", zipped([("1.dcm", instance()), ("2.dcm", instance(1, 1, 2)[:-100])]))
    station.take_in()
    (row,) = station.ledger.views.attention()
    assert "Export the study again and drop the new ZIP: a complete one replaces what is held here." in row["advice"]
    station.drop("good.zip", zipped([("1.dcm", instance()), ("2.dcm", instance(1, 1, 2))]))
    station.take_in()
    station.work()
    assert desk.archived() == whole(1)
    assert station.ledger.views.attention() == []


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(members=1), "the ZIP holds more than 1 files"),
        (Limits(total=1024**2), "the ZIP would unpack to more than 0.000976562 GiB"),
        (Limits(member=1024**2), "a file in the ZIP would unpack to more than 0.000976562 GiB"),
        (Limits(ratio=2, ratio_from=1000), "the ZIP unpacks to far more than images would"),
    ],
    ids=["members", "total", "member", "ratio"],
)
def test_every_limit_is_a_setting_and_is_kept(desk: Desk, limits: Limits, why: str) -> None:
    station = desk.station(limits=lambda: limits)
    with zipfile.ZipFile(station.folders.drop / "scan.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in (1, 2):
            archive.writestr(f"{number}.dcm", instance(1, 1, number, pixels=bytes(2 * 1024**2)))
    station.take_in()
    assert states(station) == {"rejected": 1}
    assert station.ledger.views.attention()[0]["why"] == why


@pytest.mark.skipif(
    "XNAT_WATCHD_LONG_TESTS" not in os.environ, reason="takes half a minute: set XNAT_WATCHD_LONG_TESTS"
)
def test_a_zip_of_more_than_four_gib_arrives(desk: Desk) -> None:
    """Its images lie beyond 4 GiB, behind a film that is a hole in the file."""
    station = desk.station()
    images = [instance(1, 1, n, time="100130") for n in (1, 2)]
    film(station.folders.drop / "big.zip", 4 * 1024**3 + 1024**2, 0xC6A48B28, images)
    station.take_in()
    station.work()
    assert desk.archived() == Counter([sop_uid(1, 1, 1), sop_uid(1, 1, 2)])
    (done,) = (station.folders.done).glob("*/1_big.zip")
    assert done.stat().st_size > 4 * 1024**3
    done.unlink()
