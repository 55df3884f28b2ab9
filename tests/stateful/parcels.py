"""ZIPs with troubles, and the truth about them: which bytes are which image of whom. Nothing here reads a ZIP."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.dicom import instance, sop_uid, study_uid
from xnat_watchd.sandbox.rewriting import remap

PEOPLE = 3  #: who come for the studies that are dropped: some of them for several
NAMESAKE, STRANGER = 40, 50  #: added to a person's number: one of the same name, and one of whom others have images
SAME_LABEL = 100  #: added to a study's number: that of the namesake


@dataclass(frozen=True, slots=True, order=True)
class Image:
    """One image: of whom, in which study, and with which pixels."""

    person: str
    study: int
    number: int
    pixels: int = 0
    spelt: str = ""  #: another spelling of the name; it is the same person

    @property
    def sop_uid(self) -> str:
        """Its SOP Instance UID."""
        return sop_uid(self.study, 1, self.number)

    @property
    def label(self) -> str:
        """The subject that XNAT makes of the patient's name."""
        number = int(self.person.rpartition("-")[2])
        return f"Quokka_Zenobia{number - NAMESAKE if NAMESAKE <= number < STRANGER else number}"

    @property
    def data(self) -> bytes:
        """Its DICOM file."""
        minute = self.study % 1440
        return instance(
            self.study, 1, self.number, name=self.spelt or self.label.replace("_", "^"), patient=self.person,
            time=f"{minute // 60:02}{minute % 60:02}30", pixels=bytes([self.pixels]) * 512,
        )  # fmt: skip


def person(study: int) -> str:
    """Return the PatientID of a study."""
    return f"ZQ-{study % PEOPLE}"


def images(study: int, size: int) -> list[Image]:
    """Return the first `size` images of a study as they should be."""
    return [Image(person(study), study, number) for number in range(1, size + 1)]


@cache
def remapped(image: Image) -> bytes:
    """Return the file of an image with the UIDs that a remapping site gives it, by the practice XNAT's own code."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "image")
        path.write_bytes(image.data)
        remap(path)
        return path.read_bytes()


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes, by which they are recognised in every place."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Parcel:
    """One ZIP, and what is true of it."""

    kind: str
    data: bytes
    sound: frozenset[Image]  #: what any reader takes for an image
    precious: frozenset[str]  #: digests of all members that are no certain clutter, sound or not
    held: frozenset[int] = frozenset()  #: studies of which nothing may be sent from it until a person accepts
    never: frozenset[int] = frozenset()  #: studies of which nothing may be sent from it, whatever anybody says
    plain: bool = True  #: a sound export of studies whose images all belong together

    @property
    def digest(self) -> str:
        """The SHA-256 of the ZIP."""
        return digest(self.data)

    @property
    def studies(self) -> frozenset[int]:
        """The studies of its sound images."""
        return frozenset(image.study for image in self.sound)


@dataclass(slots=True)
class Packing:
    """The members of a ZIP while it is packed."""

    members: list[tuple[str, bytes]] = field(default_factory=list)
    sound: set[Image] = field(default_factory=set)
    precious: set[str] = field(default_factory=set)
    held: set[int] = field(default_factory=set)
    never: set[int] = field(default_factory=set)

    def image(self, image: Image) -> None:
        """Add a sound image."""
        self.members.append((f"DICOM/{image.study}/IM{len(self.members):04}", image.data))
        self.sound.add(image)
        self.precious.add(digest(image.data))

    def odd(self, study: int, data: bytes, name: str = "") -> None:
        """Add what may be an image, or hold some, and is not sound."""
        self.members.append((name or f"DICOM/{study}/IM{len(self.members):04}", data))
        self.precious.add(digest(data))
        self.held.add(study)

    def packed(self, kind: str, method: int = zipfile.ZIP_DEFLATED) -> Parcel:
        """Return the ZIP."""
        return self.given(kind, zipped(self.members, method))

    def given(self, kind: str, data: bytes) -> Parcel:
        """Return these bytes as the ZIP."""
        never, held = frozenset(self.never), frozenset(self.held)
        sound, precious = frozenset(self.sound), frozenset(self.precious)
        return Parcel(kind, data, sound, precious, held, never, plain=kind in PLAIN)


def zipped(members: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a ZIP; equal members make equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return buffer.getvalue()


def _of(study: int, size: int) -> Packing:
    packing = Packing()
    for image in images(study, size):
        packing.image(image)
    return packing


# -- sound exports -----------------------------------------------------------------------------------------


def _plain(study: int, size: int) -> Parcel:
    return _of(study, size).packed("plain")


def _repacked(study: int, size: int) -> Parcel:
    return _of(study, size).packed("repacked", zipfile.ZIP_STORED)


def _with_text(study: int, size: int) -> Parcel:
    packing = _of(study, size)
    packing.members.append(("README.TXT", b"Images of a practice scanner.\r\n"))
    return packing.packed("with text")


def _part(study: int, size: int) -> Parcel:
    packing = Packing()
    packing.image(images(study, size + 1)[-1])
    return packing.packed("part")


def _several(study: int, size: int) -> Parcel:
    packing = _of(study, size)
    for image in images(study + 1, size):
        packing.image(image)
    return packing.packed("several")


def _capitals(study: int, size: int) -> Parcel:
    packing = Packing()
    for image in images(study, size):
        packing.image(image)
    number = person(study).rpartition("-")[2]
    packing.image(Image(person(study), study, 21, spelt=f"QUOKKA^ZENOBIA{number}^^"))
    return packing.packed("capitals")


# -- exports in which something is wrong -------------------------------------------------------------------


def _two_people(study: int, size: int) -> Parcel:
    packing = _of(study, size)
    packing.image(Image(person(study + 1), study, size + 1))
    packing.never.add(study)
    return packing.packed("two people")


def _two_ids(study: int, size: int) -> Parcel:
    packing = _of(study, size)
    packing.image(Image(person(study).lower(), study, size + 1))
    packing.never.add(study)
    return packing.packed("IDs in other capitals")


def _two_people_of_several(study: int, size: int) -> Parcel:
    packing = _of(study, size)
    packing.image(Image(person(study + 1), study, size + 1))
    packing.never.add(study)
    for image in images(study + 1, size):
        packing.image(image)
    return packing.packed("two people in one of two studies")


def _check_sum(study: int, size: int) -> Parcel:
    packing, bad = _of(study, size), Image(person(study), study, size + 1, pixels=7)
    packing.odd(study, bad.data)
    data = bytearray(packing.packed("", zipfile.ZIP_STORED).data)
    data[data.rindex(bytes([7]) * 300) + 100] ^= 1
    return packing.given("wrong check sum", bytes(data))


def _spoilt(spoil: Callable[[bytes], bytes], name: str = "") -> Callable[[int, int], Packing]:
    def packing_of(study: int, size: int) -> Packing:
        packing = _of(study, size)
        packing.odd(study, spoil(images(study, size + 1)[-1].data), name)
        return packing

    return packing_of


def _two_contents(study: int, size: int) -> Parcel:
    packing = _of(study, size)
    both = [Image(person(study), study, size + 1, pixels) for pixels in (3, 4)]
    for image in both:
        packing.odd(study, image.data)
    return packing.packed("two contents")


def _other_contents(study: int, size: int) -> Parcel:
    packing = Packing()
    for image in images(study, size):
        packing.image(Image(image.person, image.study, image.number, pixels=9))
    return packing.packed("other contents")


def _other_person(study: int, size: int) -> Parcel:
    packing = Packing()
    for number in range(31, 31 + size):
        packing.image(Image(person(study + 1), study, number))
    return packing.packed("another person's images under the study's UID")


def _same_label(study: int, size: int) -> Parcel:
    packing = Packing()
    namesake = f"ZQ-{int(person(study).rpartition('-')[2]) + NAMESAKE}"
    for number in range(1, size + 1):
        packing.image(Image(namesake, study + SAME_LABEL, number))
    return packing.packed("another person of the same name")


def _half(study: int, size: int) -> Parcel:
    whole = _plain(study, size).data
    return Packing().given("half a ZIP", whole[: len(whole) // 2])


def _clutter(study: int, size: int) -> Parcel:
    packing = Packing()
    packing.members.append(("README.TXT", f"No images of study {study}, {size} times.\r\n".encode()))
    return packing.packed("text alone")


SPOILT: Mapping[str, Callable[[int, int], Packing]] = {
    "cut image": _spoilt(lambda data: data[: len(data) - 200]),
    "zeros for an image": _spoilt(lambda data: bytes(len(data))),
    "head of zeros": _spoilt(lambda data: bytes(512) + data[512:]),
    "shifted image": _spoilt(lambda data: data[64:]),
    "page for an image": _spoilt(lambda _: b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n"),
    "empty image": _spoilt(lambda _: b""),
    "packed image": _spoilt(lambda data: gzip.compress(data, mtime=0), "DICOM/IM9000.dcm.gz"),
    "inner ZIP": _spoilt(lambda data: zipped([("IM9000", data)]), "more.zip"),
}

KINDS: Mapping[str, Callable[[int, int], Parcel]] = {
    "plain": _plain, "repacked": _repacked, "with text": _with_text, "part": _part, "several": _several,
    "capitals": _capitals, "two people": _two_people, "two IDs": _two_ids,
    "two people of several": _two_people_of_several, "wrong check sum": _check_sum, "two contents": _two_contents,
    "other contents": _other_contents, "other person": _other_person, "same label": _same_label, "half": _half,
    "text": _clutter,
}  # fmt: skip
PLAIN = frozenset({"plain", "repacked", "with text", "part", "several", "capitals"})
ALL_KINDS = (*KINDS, *SPOILT)


@cache
def parcel(kind: str, study: int, size: int) -> Parcel:
    """Return the ZIP of a kind. Equal arguments return equal bytes."""
    if kind in SPOILT:
        return SPOILT[kind](study, size).packed(kind)
    return KINDS[kind](study, size)


def uid_of(study: int) -> str:
    """Return a study's UID."""
    return study_uid(study)
