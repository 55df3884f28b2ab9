"""What a busy scanner and its people drop, all of it from a seed: and what XNAT must hold of it in the end."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.dicom import instance, sop_uid, study_uid

PEOPLE = 60
Image = tuple[int, int, int]  #: study, series, number


@dataclass(frozen=True, slots=True)
class Drop:
    """One ZIP: its name, its bytes, where it must rest, and in how many pieces it grows."""

    name: str
    data: bytes
    rests: str  #: done, failed, or work where a person must decide
    pieces: int = 1
    kind: str = ""


@dataclass(slots=True)
class Truth:
    """What must be in the archive, once, and nothing besides."""

    instances: dict[str, tuple[str, str]] = field(default_factory=dict)  #: SOP UID -> study UID, SHA-256
    subjects: dict[str, str] = field(default_factory=dict)  #: study UID -> subject
    labels: dict[str, str] = field(default_factory=dict)  #: study UID -> session label

    def expect(self, image: Image) -> None:
        uid, subject = study_uid(image[0]), f"Quokka_Zenobia{person(image[0])}"
        self.instances[sop_uid(*image)] = uid, hashlib.sha256(made(image)).hexdigest()
        self.subjects[uid] = subject
        self.labels[uid] = f"{subject}_{date(image[0])}T{time(image[0])}_{modality(image[0])}"


def person(study: int) -> int:
    """Return whose study it is; one person has several."""
    return study * 7 % PEOPLE


def date(study: int) -> str:
    """Return its StudyDate; no two studies have the same date and time."""
    return f"2024{study // 1440 + 101:04}"


def time(study: int) -> str:
    """Return its StudyTime, a minute for each study."""
    return f"{study // 60 % 24:02}{study % 60:02}30"


def modality(study: int) -> str:
    """Return its modality; a session of one kind cannot become a session of another (F198)."""
    return ("MR", "CT")[study % 2]


def made(image: Image, *, other_pixels: bool = False) -> bytes:
    """Return the DICOM file of one image; some are large, so that a kill interrupts them half sent."""
    study, series, number = image
    who = person(study)
    return instance(
        study, series, number, name=f"Quokka^Zenobia{who}", patient=f"ZQ-7731-{who}",
        date=date(study), time=time(study), modality=modality(study),
        pixels=bytes([number + 100 * other_pixels]) * (200_000 if study % 13 == 0 else 512),
    )  # fmt: skip


class Traffic:
    """ZIP after ZIP: new ones, several studies in one, the same again, parts, more of the same, and broken ones."""

    def __init__(self, seed: int, step: int = 1) -> None:
        """`step`: from the number of one study to the next; the more, the fewer people."""
        self.truth, self._step = Truth(), step
        self._chance = Random(seed)
        self._studies = self._count = 0
        self._sent: list[list[Image]] = []  # the images of good ZIPs
        self._bytes: list[bytes] = []

    def next(self) -> Drop:
        """Return the next ZIP to drop."""
        kinds: list[tuple[Callable[[], Drop], int]] = [
            (self._new, 45), (self._several, 10), (self._growing, 6), (self._again, 8), (self._part, 5),
            (self._more, 6), (self._half, 3), (self._without_images, 3), (self._damaged, 4), (self._two_people, 3),
            (self._unexplained, 5), (self._two_contents, 2),
        ]  # fmt: skip
        self._count += 1
        nothing_to_repeat = self._count == 1
        kind = self._new if nothing_to_repeat else self._chance.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        return kind()

    def _new(self) -> Drop:
        return self._good(self._study(), "new")

    def _several(self) -> Drop:
        return self._good([i for _ in range(self._chance.randint(2, 3)) for i in self._study()], "several studies")

    def _growing(self) -> Drop:
        return self._good(self._study(), "growing", pieces=self._chance.randint(2, 6))

    def _again(self) -> Drop:
        return Drop(self._name(), self._chance.choice(self._bytes), "done", kind="the same again")

    def _part(self) -> Drop:
        images = self._chance.choice(self._sent)
        return self._good(self._chance.sample(images, self._chance.randint(1, len(images))), "a part")

    def _more(self) -> Drop:
        images = self._chance.choice(self._sent)
        study, series, _ = self._chance.choice(images)
        top = max(number for one, two, number in images if (one, two) == (study, series))
        grown = [(study, series, top + n) for n in (1, 2)]
        more = self._chance.choice([grown, [(study, series + 4, n) for n in (1, 2)]])
        return self._good(list(dict.fromkeys([*images, *more])), "more")

    def _half(self) -> Drop:
        whole = self._packed(self._study())
        return Drop(self._name(), whole[: len(whole) // 2], "failed", kind="half a ZIP")

    def _without_images(self) -> Drop:
        text = io.BytesIO()
        with zipfile.ZipFile(text, "w") as archive:
            archive.writestr(zipfile.ZipInfo("readme.txt"), self._name())
        return Drop(self._name(), text.getvalue(), "failed", kind="no images")

    def _damaged(self) -> Drop:
        images = self._study()
        data = bytearray(self._packed(images, zipfile.ZIP_STORED))
        data[data.index(bytes([1]) * 300) + 100] ^= 1
        return Drop(self._name(), bytes(data), "work" if len(images) > 1 else "failed", kind="damaged")

    def _two_people(self) -> Drop:
        study, series, _ = (images := self._study())[0]
        other = instance(study, series, 9, name="Quokka^Zenobia_Other", patient="ZQ-7731-other")
        return self._held(images, "two people", other)

    def _unexplained(self) -> Drop:
        study, series, _ = (images := self._study())[0]
        data = made((study, series, 9))  # cut in its pixels: between two elements no reader would see it
        odd = self._chance.choice(
            [b"", bytes(len(data)), bytes(512) + data[512:], data[:-200], gzip.compress(data, mtime=0),
             b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n"]
        )  # fmt: skip
        return self._held(images, "unexplained", odd)

    def _two_contents(self) -> Drop:
        images = self._study()
        return self._held(images, "two contents", made(images[0], other_pixels=True))

    def _held(self, images: list[Image], kind: str, odd: bytes) -> Drop:
        """Return a ZIP from which nothing may be sent until a person has decided."""
        return Drop(self._name(), self._packed(images, odd=odd), "work", kind=kind)

    def _good(self, images: list[Image], kind: str, pieces: int = 1) -> Drop:
        for image in images:
            self.truth.expect(image)
        self._sent.append(images)
        self._bytes.append(self._packed(images))
        return Drop(self._name(), self._bytes[-1], "done", pieces, kind)

    def _study(self) -> list[Image]:
        self._studies += self._step
        series = self._chance.randint(1, 3)
        return [(self._studies, s, n) for s in range(1, series + 1) for n in range(1, self._chance.randint(2, 5))]

    def _packed(self, images: list[Image], method: int | None = None, odd: bytes | None = None) -> bytes:
        buffer = io.BytesIO()
        how = self._chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]) if method is None else method
        with zipfile.ZipFile(buffer, "w", how) as archive:
            if self._chance.random() < 0.2:
                archive.writestr(zipfile.ZipInfo("AUTORUN.INF"), b"clutter")
            for image in images:
                archive.writestr(zipfile.ZipInfo(f"DICOM/{image[0]}/IM{image[1]:03}{image[2]:03}"), made(image))
            if odd is not None:
                archive.writestr(zipfile.ZipInfo(f"DICOM/{images[0][0]}/IM009999"), odd)
        return buffer.getvalue()

    def _name(self) -> str:
        return f"z{self._count:05}.zip"
