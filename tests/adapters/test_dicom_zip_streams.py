"""Walking a data set as it streams by: every way of writing it, whole and broken, in pieces of any size."""

from __future__ import annotations

import struct
import zlib

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from tests.adapters.zips import (
    ITEM,
    ITEM_END,
    PIXELS,
    SEQUENCE_END,
    UNDEFINED,
    element,
    file_of,
    identity,
    pixels,
)
from xnat_watchd.adapters.dicom.byte_source import Source
from xnat_watchd.adapters.dicom.data_set import (
    FRAMES,
    SERIES,
    SOP_INSTANCE,
    STUDY,
    FileKind,
    Header,
    walk_file,
)
from xnat_watchd.adapters.dicom.inflating import Allowance, Exhausted
from xnat_watchd.adapters.dicom.instance import facts_of
from xnat_watchd.core.limits import Limits
from xnat_watchd.sandbox.samples import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    INGEBORG,
    as_file,
    dicomdir,
    study,
    uid,
)

SYNTAXES = (EXPLICIT, IMPLICIT, BIG_ENDIAN)
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"


def walked(content: bytes, piece: int = 2**20, limits: Limits | None = None) -> Header:
    """Walk a file that comes in pieces of the given size, and let the rest pass by."""
    source = Source(content[at : at + piece] for at in range(0, len(content), piece))
    header = walk_file(source, Allowance(limits or Limits(), len(content)))
    source.drain()
    return header


def nested(*items: bytes, syntax: str = EXPLICIT, tag: int = 0x00081140, vr: str = "SQ") -> bytes:
    """Return a sequence of undefined length with items of undefined length."""
    inside = IMPLICIT if vr == "UN" else syntax
    content = b"".join(
        element(ITEM, "", item, syntax=inside, length=UNDEFINED) + element(ITEM_END, "", b"", syntax=inside)
        for item in items
    )
    return element(tag, vr, content, syntax=syntax, length=UNDEFINED) + element(SEQUENCE_END, "", b"", syntax=inside)


# Every way of writing.


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
@pytest.mark.parametrize("piece", [1, 7, 64, 1000, 2**20])
def test_what_a_library_writes_is_read_in_pieces_of_any_size(syntax: str, piece: int) -> None:
    ((_, content),) = study(1, images=1, syntax=syntax)

    header = walked(content, piece)

    assert (header.kind, header.problem) == (FileKind.INSTANCE, "")
    assert (header.uid(SOP_INSTANCE), header.uid(SERIES), header.uid(STUDY)) == (uid(1, 1, 1), uid(1, 1), uid(1))
    assert facts_of(header).person.name == INGEBORG.name


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_stands_in_sequences_is_passed_over(syntax: str, *, defined: bool) -> None:
    def change(data_set: Dataset) -> None:
        inner, outer = Dataset(), Dataset()
        inner.PatientID, inner.StudyInstanceUID = "WRONG", "6.6.6"
        outer.ReferencedImageSequence = Sequence([inner, inner])
        data_set.ReferencedStudySequence = Sequence([outer, Dataset()])
        data_set.RequestAttributesSequence = Sequence([inner])
        for sequence in (data_set[0x00081110], data_set[0x00400275], outer[0x00081140]):
            sequence.is_undefined_length = not defined
        inner.is_undefined_length_sequence_item = outer.is_undefined_length_sequence_item = not defined

    ((_, content),) = study(1, images=1, syntax=syntax, change=change)

    header = walked(content)

    assert (header.problem, header.uid(STUDY)) == ("", uid(1))
    assert facts_of(header).person.id == INGEBORG.id


def frames(*contents: bytes, count: int | None = None) -> tuple[bytes, bytes]:
    """Return what stands before the pixels, and the pixels in one fragment per frame without a delimiter at the end."""
    said = b"" if count is None else element(FRAMES, "IS", b"%-2d" % count)
    return identity() + said, element(PIXELS, "OB", encapsulate(list(contents)), length=UNDEFINED)


SEQUENCE_ENDS = element(SEQUENCE_END, "", b"")


@pytest.mark.parametrize("piece", [1, 50, 2**20])
@pytest.mark.parametrize(
    "tail",
    [SEQUENCE_ENDS, SEQUENCE_ENDS + b"whatever", b"", bytes(1), bytes(8), bytes(500), b"\r\n", b"\r\n" * 9]
    + [SEQUENCE_ENDS[:n] for n in range(1, 8)],
)
def test_frames_that_are_packed_one_by_one_are_walked_to_their_delimiter_or_the_end(tail: bytes, piece: int) -> None:
    before, packed = frames(b"\1" * 100, b"\2" * 300)

    assert walked(file_of(before + packed + tail, syntax=JPEG_LOSSLESS), piece).problem == ""


@pytest.mark.parametrize("lost", [1, 2, 50, 299, 300, 301, 304])
def test_a_frame_that_is_cut_is_cut_short_with_and_without_what_fills_the_file_up(lost: int) -> None:
    before, packed = frames(b"\1" * 100, b"\2" * 300)

    assert walked(file_of(before + packed[:-lost], syntax=JPEG_LOSSLESS)).problem == "cut short"
    assert walked(file_of(before + packed + b"\xfe\xff\0", syntax=JPEG_LOSSLESS)).problem == "cut short"
    assert walked(file_of(before + packed + bytes(9) + b"\1", syntax=JPEG_LOSSLESS)).problem == "not readable"


@pytest.mark.parametrize(("count", "problem"), [(1, ""), (2, ""), (3, "cut short"), (None, "")])
def test_frames_that_end_without_delimiter_are_as_many_as_the_image_says(count: int | None, problem: str) -> None:
    before, packed = frames(b"\1" * 100, b"\2" * 300, count=count)

    assert walked(file_of(before + packed, syntax=JPEG_LOSSLESS)).problem == problem
    assert walked(file_of(before + packed + SEQUENCE_ENDS, syntax=JPEG_LOSSLESS)).problem == ""


def test_pixels_without_any_frame_are_cut_short() -> None:
    table = element(PIXELS, "OB", element(ITEM, "", b""), length=UNDEFINED)

    assert walked(file_of(identity() + table, syntax=JPEG_LOSSLESS)).problem == "cut short"
    assert walked(file_of(identity() + table + SEQUENCE_ENDS, syntax=JPEG_LOSSLESS)).problem == ""


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_delimiters_that_end_nothing_are_passed_over(syntax: str) -> None:
    stray = element(SEQUENCE_END, "", b"", syntax=syntax) + element(ITEM_END, "", b"", syntax=syntax)
    private = element(0x20051010, "SQ", b"", syntax=syntax) + stray

    header = walked(file_of(stray + identity(syntax=syntax) + private + pixels(syntax=syntax), syntax=syntax))

    assert (header.problem, header.uid(STUDY)) == ("", "1.2")


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_the_elements_of_a_command_before_the_data_set_are_passed_over(syntax: str) -> None:
    command = element(0x00000000, "UL", struct.pack("<L", 20), syntax=syntax)
    command += element(0x00000002, "UI", b"1.2\0", syntax=syntax) + element(0x00000100, "US", b"\1\0", syntax=syntax)

    header = walked(file_of(command + identity(syntax=syntax) + pixels(syntax=syntax), syntax=syntax))

    assert (header.problem, header.uid(STUDY)) == ("", "1.2")


@pytest.mark.parametrize(
    ("said", "written", "problem"),
    [
        (IMPLICIT, EXPLICIT, "its transfer syntax says implicit and its data is explicit"),
        (EXPLICIT, IMPLICIT, "its transfer syntax says explicit and its data is implicit"),
        (JPEG_LOSSLESS, IMPLICIT, "its transfer syntax says explicit and its data is implicit"),
    ],
)
def test_a_data_set_that_its_transfer_syntax_belies_is_read_and_the_fact_is_named(
    said: str, written: str, problem: str
) -> None:  # other readers guess as we do; what XNAT reads with believes the transfer syntax
    header = walked(file_of(identity(syntax=written) + pixels(syntax=written), syntax=said))

    assert (header.problem, header.uid(STUDY)) == (problem, "1.2")


def test_an_unknown_sequence_is_implicit_inside_and_afterwards_all_is_as_before() -> None:  # PS3.5 6.2.2
    inside = element(0x00091002, "", bytes(0x4955), syntax=IMPLICIT)  # a length that looks like the VR "UI"
    unknown = nested(inside, vr="UN", tag=0x00091001)

    assert walked(file_of(unknown + identity() + pixels())).problem == ""


def test_group_lengths_and_private_elements_are_passed_over() -> None:
    data_set = element(0x00080000, "UL", struct.pack("<L", 99)) + element(0x00091010, "OB", bytes(3000)) + identity()

    assert walked(file_of(data_set + pixels()), 100).problem == ""


def test_an_icon_is_not_taken_for_the_pixels() -> None:
    icon = nested(pixels(8), tag=0x00880200)

    assert walked(file_of(icon + identity() + pixels(length=999))).problem == "cut short"


@pytest.mark.parametrize("size", [64, 5000])
def test_a_vr_that_nobody_knows_yet_has_the_long_form(size: int) -> None:  # PS3.5 7.1.2
    unknown = struct.pack("<HH2sHL", 0x0009, 0x1001, b"ZZ", 0, 4) + bytes(4)

    assert walked(file_of(unknown + identity() + pixels(size))).problem == ""


@pytest.mark.parametrize("size", [64, 5000])
def test_an_implicit_element_among_explicit_ones_is_passed_over(size: int) -> None:
    slipped_in = element(0x00091001, "", b"\1\0\0\0", syntax=IMPLICIT)

    assert walked(file_of(slipped_in + identity() + pixels(size))).problem == ""


def test_a_data_set_without_pixels_is_whole_at_its_end() -> None:
    assert walked(file_of(identity())).problem == ""


@pytest.mark.parametrize(
    "tail", [b"\0", bytes(7), bytes(8), bytes(5000), b"\r\n", b"\n", b"\r\n\x1a", b"\r\n" * 50, b"\r\n" + bytes(20)]
)
def test_zeros_that_fill_a_file_up_and_line_ends_are_no_damage(tail: bytes) -> None:
    assert walked(file_of(identity() + tail), 100).problem == ""
    assert walked(file_of(identity() + pixels() + tail), 100).problem == ""


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("blanks", [bytes(64), b"\r\n" * 32], ids=["zeros", "line ends"])
def test_blanks_are_no_elements(syntax: str, blanks: bytes) -> None:
    content = file_of(identity(syntax=syntax) + blanks + pixels(5000, syntax=syntax), syntax=syntax)

    assert walked(content).problem == "not readable"


def test_what_follows_the_pixels_is_not_judged() -> None:
    assert walked(file_of(identity() + pixels() + b"a signature of the vendor")).problem == ""


def test_pixels_shorter_than_rows_and_columns_say_are_not_our_business() -> None:
    size = element(0x00280010, "US", b"\xff\xff") + element(0x00280011, "US", b"\xff\xff")

    assert walked(file_of(identity() + size + pixels(10))).problem == ""


# Broken.


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_file_that_breaks_off_inside_an_element_is_cut_short(syntax: str) -> None:
    inside = identity(syntax=syntax)
    elements = [
        nested(inside, inside, syntax=syntax),
        element(0x00100020, "LO", b"1234", syntax=syntax),
        element(0x00091010, "OB", b"1234", syntax=syntax),
        pixels(syntax=syntax),
    ]
    for n, last in enumerate(elements):
        before = file_of(b"".join(elements[:n]), syntax=syntax)
        for size in range(1, len(last)):
            if last[:size].strip(b"\0"):  # zeros may be meant to fill the file up
                assert walked((before + last)[: len(before) + size], 50).problem == "cut short"
        assert walked(before + last).problem == ""


@pytest.mark.parametrize(
    ("data_set", "problem"),
    [
        (element(0x00100010, "PN", b"x", length=0xFFFE), "cut short"),
        (element(0x00091010, "OB", b"x", length=UNDEFINED - 1), "cut short"),
        (element(0x00091010, "OB", b"x" * 8, length=UNDEFINED), "cut short"),
        (nested(identity())[:-8], "cut short"),
        (identity() + bytes(8) + b"\1", "not readable"),
        (identity() + b"\r\n" * 4 + b"\1", "not readable"),
        (identity() + b"\r\n\1", "cut short"),
        (b"\xde\xad\xbe\xef" * 500, "cut short"),
        (element(0x00081140, "SQ", b"", length=UNDEFINED) * 101, "nested too deeply"),
        (
            b"".join([element(0x00081140, "SQ", b"", length=UNDEFINED) + element(ITEM, "", b"")] * 5000),
            "nested too deeply",
        ),
    ],
)
def test_what_cannot_be_walked_to_its_end_is_damaged(data_set: bytes, problem: str) -> None:
    assert walked(file_of(data_set)).problem == problem


def test_a_hundred_sequences_in_each_other_are_still_walked() -> None:
    data_set = b""
    for _ in range(100):
        data_set = nested(data_set)

    assert walked(file_of(data_set + identity())).problem == ""


def test_a_file_without_transfer_syntax_is_damaged() -> None:
    assert walked(bytes(128) + b"DICM" + identity() + pixels()).problem == "no transfer syntax"


def test_what_was_read_before_the_break_is_kept() -> None:
    header = walked(file_of(identity(study="1.9") + pixels(length=999)))

    assert (header.uid(STUDY), header.problem) == ("1.9", "cut short")


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_data_set_without_preamble_is_an_instance_that_xnat_refuses(syntax: str) -> None:  # F76
    header = walked(identity(syntax=syntax) + pixels(syntax=syntax))

    assert (header.kind, header.problem, header.uid(STUDY)) == (FileKind.INSTANCE, "no DICOM file header", "1.2")


def test_neither_is_one_with_a_meta_header_but_without_preamble() -> None:
    meta = element(0x00020000, "UL", struct.pack("<L", 28)) + element(0x00020010, "UI", EXPLICIT.encode() + b"\0")

    header = walked(meta + identity() + pixels())

    assert (header.problem, header.uid(STUDY)) == ("no DICOM file header", "1.2")


# Something else.


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", FileKind.OTHER),
        (b"hello", FileKind.OTHER),
        (bytes(500), FileKind.OTHER),
        (b"\x08\0\x05\0" + b"\xff" * 200, FileKind.OTHER),
        (b"PK\3\4" + bytes(200), FileKind.OTHER),
        (dicomdir(), FileKind.DIRECTORY),
    ],
)
def test_what_is_no_instance_is_told_apart(content: bytes, kind: FileKind) -> None:
    assert walked(content, 50).kind is kind


def test_a_hanging_protocol_belongs_to_no_study() -> None:
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = "1.2.840.10008.5.1.4.38.1", "1.2.3"

    assert walked(as_file(data_set)).kind is FileKind.STUDYLESS


# Deflated inside.


def test_a_deflated_data_set_may_end_in_a_padding_byte() -> None:
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = engine.compress(identity() + pixels()) + engine.flush()

    assert walked(file_of(packed + b"\0", syntax=DEFLATED)).problem == ""
    assert walked(file_of(packed[:-9], syntax=DEFLATED)).problem == "cut short"
    assert walked(file_of(b"\xff" + packed, syntax=DEFLATED)).problem == "not readable"


@pytest.mark.parametrize("modality", ["MR", "SR"])
def test_zeros_up_to_the_end_fill_up_a_report_and_are_a_loss_where_pixels_should_be(modality: str) -> None:
    """A file of full size whose end was never written, from before its pixels on."""
    head = identity().replace(b"CS\2\0MR", b"CS\2\0" + modality.encode())

    lost = facts_of(walked(file_of(head + bytes(4000)))).problem
    assert lost == ("zeros instead of its pixels" if modality == "MR" else "")
    assert facts_of(walked(file_of(head + pixels() + bytes(4000)))).problem == ""


def test_a_deflated_data_set_is_unpacked_to_its_end() -> None:
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = engine.compress(identity() + pixels(2**21)) + engine.flush(zlib.Z_SYNC_FLUSH)

    assert walked(file_of(packed, syntax=DEFLATED)).problem == "cut short"
    assert walked(file_of(packed + b"\7", syntax=DEFLATED)).problem == "not readable"


def test_a_deflated_data_set_without_pixels_is_whole_with_the_mark_at_its_end() -> None:
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = engine.compress(identity()) + engine.flush(zlib.Z_SYNC_FLUSH)

    assert walked(file_of(packed, syntax=DEFLATED)).problem == "cut short"
    assert walked(file_of(packed + engine.flush(), syntax=DEFLATED)).problem == ""


def test_a_deflated_data_set_that_is_a_bomb_is_refused_before_it_has_gone_off() -> None:
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = identity() + element(0x00091010, "OB", b"", length=64 * 2**20)
    packed = engine.compress(head) + b"".join(engine.compress(bytes(2**20)) for _ in range(64)) + engine.flush()

    with pytest.raises(Exhausted):
        walked(file_of(packed, syntax=DEFLATED), limits=Limits(ratio_from=2**20))
    assert walked(file_of(packed, syntax=DEFLATED)).problem == ""
